"""A user's day through the generated Python client, on a running server: STREAMSPACE_URL and STREAMSPACE_TOKEN."""

import json
import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import UUID, uuid4

from streamspace_client import AuthenticatedClient
from streamspace_client.api.applications import (
    get_application,
    install_application,
    list_application_events,
    list_applications,
    uninstall_application,
)
from streamspace_client.api.controllers import get_controller, list_controllers, list_platforms
from streamspace_client.api.dead_letters import get_dead_letter, list_dead_letters
from streamspace_client.api.events import get_event, list_events
from streamspace_client.api.jobs import bulk_dead_letters, bulk_sessions, cancel_job, get_job, list_jobs
from streamspace_client.api.sessions import (
    create_session,
    delete_session,
    extend_session,
    get_session,
    hibernate_session,
    list_session_events,
    list_sessions,
    patch_session,
    touch_session,
    wake_session,
)
from streamspace_client.api.templates import get_template, list_templates
from streamspace_client.models import (
    BulkAction,
    CreateSession,
    DeadLetterStatus,
    EventKind,
    ExtendSession,
    FeedItem,
    InstallApplication,
    JobStatus,
    LettersMeant,
    PatchSession,
    Problem,
    ReplayMany,
    Session,
    SessionsBulk,
    SessionsMeant,
    SessionSort,
    WaitDeleted,
    WaitHibernated,
    WaitRunning,
)
from streamspace_client.types import Response

T = TypeVar("T")
SERVER = os.environ["STREAMSPACE_URL"] + "/api/v1"
CLIENT = AuthenticatedClient(base_url=SERVER, token=os.environ["STREAMSPACE_TOKEN"])
NOBODY = UUID("0198f3c2-7a10-7b3e-9d51-2f6ac04e8b17")
MANIFEST = """\
apiVersion: stream.space/v1alpha1
kind: Template
metadata: { name: python-paint }
spec: { displayName: Paint, baseImage: "example/paint:1" }
"""


def good(answer: T | Problem | None) -> T:
    """The answer; a refusal ends the program."""
    assert answer is not None and not isinstance(answer, Problem), f"refused: {answer}"
    return answer


def answered(answer: Response[T | Problem] | Response[Problem | T], status: HTTPStatus) -> T:
    """The body of an answer that has this status."""
    assert answer.status_code == status, answer
    return good(answer.parsed)


def refused(answer: Response[Any], status: HTTPStatus, kind: str) -> Problem:
    """The problem that a request was refused with."""
    problem = answer.parsed
    assert answer.status_code == status and isinstance(problem, Problem), answer
    assert problem.status == status and problem.type_ == f"/problems/{kind}", problem
    return problem


def until(ask: Callable[[], T | Problem | None], wished: Callable[[T], bool]) -> T:
    """Asks until the answer is as wished."""
    deadline = time.monotonic() + 60
    while True:
        value = good(ask())
        if wished(value):
            return value
        assert time.monotonic() < deadline, f"not within a minute: {value}"
        time.sleep(0.1)


def become(session_id: UUID, status: str) -> None:
    until(lambda: get_session.sync(session_id, client=CLIENT), lambda session: session.status == status)


def sessions() -> None:
    asked = CreateSession(template_id="scratchpad", platform="local", persistent_home=True, idle_timeout="30m", tags=["python"])
    created = create_session.sync_detailed(client=CLIENT, body=asked, wait=WaitRunning.RUNNING, timeout="1m")
    session = answered(created, HTTPStatus.CREATED)
    session_id = session.session_id
    assert session.status == "running" and session.url and session.awake
    listed = good(list_sessions.sync(client=CLIENT, tag="python", limit=10, sort=SessionSort("-created_at")))
    assert [session.session_id for session in listed.items] == [session_id] and listed.next_cursor is None

    amended(session_id)
    good(touch_session.sync(session_id, client=CLIENT))
    pushed = good(extend_session.sync(session_id, client=CLIENT, body=ExtendSession(by="30m")))
    assert pushed.awake and "extension" in [reason.kind for reason in pushed.awake.reasons]
    rest = hibernate_session.sync_detailed(session_id, client=CLIENT, wait=WaitHibernated.HIBERNATED, timeout="1m")
    assert answered(rest, HTTPStatus.OK).status == "hibernated"
    woken = wake_session.sync_detailed(session_id, client=CLIENT, wait=WaitRunning.RUNNING, timeout="1m")
    assert answered(woken, HTTPStatus.OK).status == "running"
    told(session_id)

    good(delete_session.sync(session_id, client=CLIENT))
    become(session_id, "deleted")
    late = refused(wake_session.sync_detailed(session_id, client=CLIENT), HTTPStatus.CONFLICT, "illegal-transition")
    assert late.state == "deleted"


def amended(session_id: UUID) -> None:
    """Two people change one session: the second is told, reads again, and loses nothing."""
    tag = get_session.sync_detailed(session_id, client=CLIENT).headers["ETag"]
    tags = PatchSession(tags=["python", "patched"])
    changed = patch_session.sync_detailed(session_id, client=CLIENT, body=tags, if_match=tag)
    assert answered(changed, HTTPStatus.OK).tags == ["python", "patched"]
    late = patch_session.sync_detailed(session_id, client=CLIENT, body=PatchSession(tags=[]), if_match=tag)
    refused(late, HTTPStatus.PRECONDITION_FAILED, "precondition-failed")
    late_rest = hibernate_session.sync_detailed(session_id, client=CLIENT, if_match='"1.999999"')
    refused(late_rest, HTTPStatus.PRECONDITION_FAILED, "precondition-failed")
    # null takes away, what is left out stays
    forever = answered(
        patch_session.sync_detailed(session_id, client=CLIENT, body=PatchSession(idle_timeout=None), if_match=changed.headers["ETag"]),
        HTTPStatus.OK,
    )
    assert forever.idle_timeout is None and forever.tags == ["python", "patched"]
    good(patch_session.sync(session_id, client=CLIENT, body=PatchSession(idle_timeout="30m")))
    now = get_session.sync_detailed(session_id, client=CLIENT)
    unchanged = get_session.sync_detailed(session_id, client=CLIENT, if_none_match=now.headers["ETag"])
    assert unchanged.status_code == HTTPStatus.NOT_MODIFIED


def told(session_id: UUID) -> None:
    """What happened to the session, as rows of its log and of the log of everything."""
    own = good(list_session_events.sync(session_id, client=CLIENT)).items
    assert len(own) > 3
    commands = [event.event_id for event in own if event.kind == "command"]
    everything = list_events.sync(client=CLIENT, entity=f"session:{session_id}", kind=EventKind.COMMAND, limit=200)
    assert sorted(event.event_id for event in good(everything).items) == sorted(commands)
    assert good(get_event.sync(commands[0], client=CLIENT)).event_id == commands[0]
    first = watched(f"session:{session_id}", "0", 3)
    assert [item.entity_seq for item in first] == [1, 2, 3] and first[0].event_id == commands[0]
    assert watched(f"session:{session_id}", first[0].id, 2) == first[1:]


def watched(entity: str, after: str, count: int) -> list[FeedItem]:
    """The first items of the feed, which has no end: it is read line by line and left."""
    items: list[FeedItem] = []
    query = {"entity": entity, "after": after}
    with CLIENT.get_httpx_client().stream("GET", "/stream", params=query, timeout=60) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        for line in answer.iter_lines():
            assert not line.startswith("event: cut"), line
            if line.startswith("data: "):
                items.append(FeedItem.from_dict(json.loads(line.removeprefix("data: "))))
            if len(items) == count:
                break
    return items


def retried() -> None:
    """A request whose answer was lost is sent again: one session, the same answer."""
    key = str(uuid4())
    asked = CreateSession(template_id="scratchpad", platform="noop", tags=["python-retried"])
    first = create_session.sync_detailed(client=CLIENT, body=asked, idempotency_key=key)
    again = create_session.sync_detailed(client=CLIENT, body=asked, idempotency_key=key)
    assert answered(again, HTTPStatus.ACCEPTED) == answered(first, HTTPStatus.ACCEPTED)
    assert again.headers["Idempotent-Replayed"] == "true"
    asked.tags = []
    other = create_session.sync_detailed(client=CLIENT, body=asked, idempotency_key=key)
    refused(other, HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency-key-reused")
    [kept] = good(list_sessions.sync(client=CLIENT, tag="python-retried")).items
    gone = delete_session.sync_detailed(kept.session_id, client=CLIENT, wait=WaitDeleted.DELETED)
    assert answered(gone, HTTPStatus.OK).status == "deleted"


def in_bulk() -> None:
    """A whole class goes home: one job deletes its sessions, and is watched to its end."""
    asked = CreateSession(template_id="scratchpad", platform="noop", tags=["python-class"])
    created = [create_session.sync_detailed(client=CLIENT, body=asked, wait=WaitRunning.RUNNING) for _ in range(3)]
    ids = {answered(one, HTTPStatus.CREATED).session_id for one in created}
    page = good(list_sessions.sync(client=CLIENT, tag="python-class", limit=2))
    assert page.next_cursor
    rest = good(list_sessions.sync(client=CLIENT, tag="python-class", limit=2, cursor=page.next_cursor))
    assert {session.session_id for session in page.items + rest.items} == ids and rest.next_cursor is None

    nothing = SessionsBulk(action=BulkAction.DELETE, filter_=SessionsMeant())
    problem = refused(bulk_sessions.sync_detailed(client=CLIENT, body=nothing), HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-fields")
    assert problem.errors and [mistake.field for mistake in problem.errors] == ["filter"]
    meant = SessionsBulk(action=BulkAction.DELETE, filter_=SessionsMeant(tag="python-class"))
    job = answered(bulk_sessions.sync_detailed(client=CLIENT, body=meant), HTTPStatus.ACCEPTED)
    done = until(lambda: get_job.sync(job.job_id, client=CLIENT), lambda now: now.status == "completed")
    assert (done.kind, done.total, done.done, done.failed, done.skipped) == ("sessions.delete", 3, 3, 0, 0)
    for session_id in ids:
        become(session_id, "deleted")
    ended = good(list_jobs.sync(client=CLIENT, status=JobStatus.COMPLETED)).items
    assert job.job_id in [one.job_id for one in ended]
    refused(cancel_job.sync_detailed(job.job_id, client=CLIENT), HTTPStatus.CONFLICT, "conflict")


def applications() -> None:
    """An application is installed, used, and not taken away while it is used."""
    asked = InstallApplication(manifest=MANIFEST, platform="noop")
    install_id = good(install_application.sync(client=CLIENT, body=asked)).install_id
    ready = until(lambda: get_application.sync(install_id, client=CLIENT), lambda now: now.install_status == "ready")
    assert ready.manifest == MANIFEST
    assert answered(install_application.sync_detailed(client=CLIENT, body=asked), HTTPStatus.OK).install_id == install_id
    of_it = CreateSession(template_id=ready.template_name, platform="noop")
    used = create_session.sync_detailed(client=CLIENT, body=of_it, wait=WaitRunning.RUNNING)
    session = answered(used, HTTPStatus.CREATED)
    [listed] = good(list_applications.sync(client=CLIENT, platform="noop", template_name=ready.template_name)).items
    assert (listed.install_id, listed.in_use_by) == (install_id, 1)
    refused(uninstall_application.sync_detailed(install_id, client=CLIENT), HTTPStatus.CONFLICT, "in-use")
    good(delete_session.sync(session.session_id, client=CLIENT, wait=WaitDeleted.DELETED))
    good(uninstall_application.sync(install_id, client=CLIENT))
    until(lambda: get_application.sync(install_id, client=CLIENT), lambda now: now.install_status == "uninstalled")
    assert len(good(list_application_events.sync(install_id, client=CLIENT)).items) > 3


def refusals() -> None:
    wrong = CreateSession(template_id="no-such-template", idle_timeout="soon")
    answer = create_session.sync_detailed(client=CLIENT, body=wrong)
    problem = refused(answer, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-fields")
    assert problem.errors and sorted(mistake.field for mistake in problem.errors) == ["idle_timeout", "template_id"]
    refused(get_session.sync_detailed(NOBODY, client=CLIENT), HTTPStatus.NOT_FOUND, "not-found")
    refused(list_sessions.sync_detailed(client=CLIENT, limit=0), HTTPStatus.BAD_REQUEST, "invalid-parameter")
    refused(list_sessions.sync_detailed(client=CLIENT, cursor="made-up"), HTTPStatus.BAD_REQUEST, "invalid-parameter")
    stranger = AuthenticatedClient(base_url=SERVER, token="a-wrong-token")
    refused(list_sessions.sync_detailed(client=stranger), HTTPStatus.UNAUTHORIZED, "unauthorized")


def others() -> None:
    assert good(get_template.sync("scratchpad", client=CLIENT)).built_in
    assert "scratchpad" in [template.name for template in good(list_templates.sync(client=CLIENT)).items]
    controller = good(list_controllers.sync(client=CLIENT, platform="local")).items[0]
    assert controller.accepting
    assert good(get_controller.sync(controller.controller_id, client=CLIENT)).platform == "local"
    assert "local" in [platform.platform for platform in good(list_platforms.sync(client=CLIENT)).items]
    since = datetime(2026, 1, 1, tzinfo=timezone.utc)
    letters = list_dead_letters.sync(client=CLIENT, status=DeadLetterStatus.OPEN, subject="streamspace.session.>", since=since)
    assert good(letters).items == []
    refused(get_dead_letter.sync_detailed(NOBODY, client=CLIENT), HTTPStatus.NOT_FOUND, "not-found")
    some = ReplayMany(filter_=LettersMeant(platform="noop"), dry_run=True)
    replayed = answered(bulk_dead_letters.sync_detailed(client=CLIENT, body=some), HTTPStatus.ACCEPTED)
    assert replayed.dry_run and replayed.kind == "dead_letters.replay"


if __name__ == "__main__":
    for part in (others, refusals, sessions, retried, in_bulk, applications):
        part()
    print("python: a user's day through the generated client, as promised")
