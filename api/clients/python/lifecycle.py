"""A session's whole life through the generated Python client, on a running server: STREAMSPACE_URL, STREAMSPACE_TOKEN, and the
API document in STREAMSPACE_DOCUMENT, which says what of the younger operations exists."""

import json
import os
import time
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import UUID

from streamspace_client import AuthenticatedClient
from streamspace_client.api.controllers import get_controller, list_controllers, list_platforms
from streamspace_client.api.dead_letters import get_dead_letter, list_dead_letters
from streamspace_client.api.sessions import (
    create_session,
    delete_session,
    get_session,
    hibernate_session,
    list_session_events,
    list_sessions,
    touch_session,
    wake_session,
)
from streamspace_client.api.templates import get_template, list_templates
from streamspace_client.models import CreateSession, DeadLetterStatus, Problem, Session
from streamspace_client.types import Response

T = TypeVar("T")
SERVER = os.environ["STREAMSPACE_URL"] + "/api/v1"
CLIENT = AuthenticatedClient(base_url=SERVER, token=os.environ["STREAMSPACE_TOKEN"])
NOBODY = UUID("0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17")

with open(os.environ["STREAMSPACE_DOCUMENT"], encoding="utf-8") as file:
    PATHS: dict[str, Any] = json.load(file)["paths"]


def good(answer: T | Problem | None) -> T:
    """The answer; a refusal ends the program."""
    assert answer is not None and not isinstance(answer, Problem), f"refused: {answer}"
    return answer


def refused(answer: Response[Any], status: HTTPStatus, kind: str) -> Problem:
    """The problem that a request was refused with."""
    problem = answer.parsed
    assert answer.status_code == status and isinstance(problem, Problem), answer
    assert problem.status == status and problem.type_ == f"/problems/{kind}", problem
    return problem


def until(session_id: UUID, status: str) -> Session:
    deadline = time.monotonic() + 60
    while True:
        session = good(get_session.sync(session_id, client=CLIENT))
        if session.status == status:
            return session
        assert time.monotonic() < deadline, f"not {status} within a minute: {session}"
        time.sleep(0.1)


def sessions() -> None:
    asked = CreateSession(template_id="scratchpad", platform="local", persistent_home=True, tags=["python"])
    session_id = good(create_session.sync(client=CLIENT, body=asked)).session_id
    assert until(session_id, "running").url
    listed = good(list_sessions.sync(client=CLIENT, tag="python", limit=10))
    assert [session.session_id for session in listed.items] == [session_id] and listed.next_cursor is None

    younger(session_id)
    good(touch_session.sync(session_id, client=CLIENT))
    good(hibernate_session.sync(session_id, client=CLIENT))
    until(session_id, "hibernated")
    good(wake_session.sync(session_id, client=CLIENT))
    until(session_id, "running")
    assert len(good(list_session_events.sync(session_id, client=CLIENT)).items) > 3

    good(delete_session.sync(session_id, client=CLIENT))
    until(session_id, "deleted")
    late = refused(wake_session.sync_detailed(session_id, client=CLIENT), HTTPStatus.CONFLICT, "illegal-transition")
    assert late.state == "deleted"


def refusals() -> None:
    wrong = CreateSession(template_id="no-such-template", idle_timeout="soon")
    answer = create_session.sync_detailed(client=CLIENT, body=wrong)
    problem = refused(answer, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-fields")
    assert sorted(mistake.field for mistake in problem.errors) == ["idle_timeout", "template_id"]
    refused(get_session.sync_detailed(NOBODY, client=CLIENT), HTTPStatus.NOT_FOUND, "not-found")
    refused(list_sessions.sync_detailed(client=CLIENT, limit=0), HTTPStatus.BAD_REQUEST, "invalid-parameter")
    stranger = AuthenticatedClient(base_url=SERVER, token="a-wrong-token")
    refused(list_sessions.sync_detailed(client=stranger), HTTPStatus.UNAUTHORIZED, "unauthorized")


def others() -> None:
    assert good(get_template.sync("scratchpad", client=CLIENT)).built_in
    assert "scratchpad" in [template.name for template in good(list_templates.sync(client=CLIENT)).items]
    controller = good(list_controllers.sync(client=CLIENT, platform="local")).items[0]
    assert controller.accepting
    assert good(get_controller.sync(controller.controller_id, client=CLIENT)).platform == "local"
    assert "local" in [platform.platform for platform in good(list_platforms.sync(client=CLIENT)).items]
    assert good(list_dead_letters.sync(client=CLIENT, status=DeadLetterStatus.OPEN)).items == []
    refused(get_dead_letter.sync_detailed(NOBODY, client=CLIENT), HTTPStatus.NOT_FOUND, "not-found")


def ask(method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
    """A request to an operation that not every version has, so that its module cannot be imported."""
    answer = CLIENT.get_httpx_client().request(method, path, json=body, headers=headers)
    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json()


def younger(session_id: UUID) -> None:
    path = f"/sessions/{session_id}"
    if "patch" in PATHS["/sessions/{id}"]:
        assert ask("PATCH", path, {"tags": ["python", "patched"]})["tags"] == ["python", "patched"]
    if "/sessions/{id}/extend" in PATHS:
        ask("POST", f"{path}/extend", {"by": "30m"})
    if "/events" in PATHS:
        assert ask("GET", f"/events?entity=session:{session_id}")["items"]
    if "/applications" in PATHS:
        assert isinstance(ask("GET", "/applications")["items"], list)
    if "/sessions/bulk" in PATHS:
        job = ask("POST", "/sessions/bulk", {"action": "hibernate", "filter": {"tag": "python"}, "dry_run": True})
        assert ask("GET", f"/jobs/{job['job_id']}")["kind"] == "sessions.hibernate"
    parameters = PATHS["/sessions"]["post"].get("parameters", [])
    if any(parameter["name"].lower() == "idempotency-key" for parameter in parameters):
        body = {"template_id": "scratchpad", "platform": "local", "tags": ["replayed"]}
        key = {"Idempotency-Key": f"python-{time.time_ns()}"}
        first, second = ask("POST", "/sessions", body, key), ask("POST", "/sessions", body, key)
        assert first["session_id"] == second["session_id"]
        good(delete_session.sync(UUID(first["session_id"]), client=CLIENT))
        until(UUID(first["session_id"]), "deleted")


if __name__ == "__main__":
    others()
    refusals()
    sessions()
    print("python: a session's life through the generated client, as promised")
