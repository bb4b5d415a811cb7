"""What the API document cannot say to schemathesis, and why.

Data that fits every schema may still be refused where it names something that does not exist, or is a token that only the server
can make. A schema has no words for that, so valid requests are completed here; invalid ones are sent as they were made.
"""

from uuid import uuid4

import schemathesis
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import use_after_free

# a name of something that must exist
NAMES = {"template_id": "scratchpad", "template_name": "scratchpad", "platform": "noop"}
# a range (1s to 365d) and a quantity above nothing: neither is a regular expression
MEASURES = {"idle_timeout": "30m", "max_duration": "8h", "by": "30m", "timeout": "1s", "memory": "512Mi", "cpu": "500m"}
# made by the server alone
TOKENS = ("cursor", "after", "Last-Event-ID", "If-Match", "If-None-Match")
# these keep their story and can be read after their end
KEPT = ("/sessions/{", "/admin/dlq/{", "/applications/{")
# to a schema, YAML is text
MANIFEST = """\
apiVersion: stream.space/v1alpha1
kind: Template
metadata: {name: written-in-yaml}
spec: {displayName: Written, category: Tests, baseImage: "example/image:1"}
"""


# a text is a document already, not one quoted YAML scalar
# (a name of the family is found by the first that is registered)
@schemathesis.serializer("text/yaml", "application/yaml")
def as_it_is(context, value):
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


def complete(value: object, known: dict[str, str]) -> None:
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        if isinstance(inner, str) and name in known:
            value[name] = known[name]
        # to JSON Schema 3.0 is an integer; this API wants it written as 3, and says so
        elif isinstance(inner, float) and inner.is_integer():
            value[name] = int(inner)
        elif isinstance(inner, dict) and name != "metadata":
            complete(inner, known)


def within_64_bits(value: object) -> object:
    """Free JSON may hold any integer that 64 bits hold, and a schema of free JSON cannot say so."""
    if isinstance(value, dict):
        return {name: within_64_bits(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [within_64_bits(inner) for inner in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return value % 2**63
    return value


def together(case) -> None:
    """What OpenAPI has no words for: parameters and fields that ask for one another, and a key that is for one request."""
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid4())
    if case.query and "wait" not in case.query:
        case.query.pop("timeout", None)
    if not isinstance(case.body, dict):
        return
    # a session that asks for labels that no controller has waits for one, as it should
    if "selector" in case.body:
        case.body["selector"] = {"zone": "eu-1"}
    if case.operation.path == "/applications":
        case.body.update(manifest=MANIFEST, template_name=None)
    if "filter" in case.body:
        meant = case.body["filter"]
        if not any(value is not None for name, value in meant.items() if name not in ("all", "until")):
            meant["all"] = True
    if case.body.get("action") not in (None, "delete"):
        case.body.pop("force", None)


@schemathesis.hook
def before_call(context, case, kwargs):
    # what every session here is made of has to stay
    if case.method == "DELETE" and "scratchpad" in (case.path_parameters or {}).values():
        case.path_parameters["name"] = "another"
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    if case.media_type == "application/yaml":
        case.body = MANIFEST
    complete(case.body, {**NAMES, **MEASURES})
    complete(case.query, MEASURES)
    together(case)
    if isinstance(case.body, (dict, list)):
        case.body = within_64_bits(case.body)
    for place in (case.query, case.headers):
        for token in TOKENS:
            if place and token in place:
                del place[token]


# The tool's check takes for granted that what was deleted is 404, and OpenAPI has no words for a thing that stays readable as
# deleted. So it is held to what it must say instead; everything else is held to the check.
@schemathesis.check
def use_after_delete(ctx, response, case):
    try:
        return use_after_free(ctx, response, case)
    except AssertionError:
        if not case.operation.path.startswith(KEPT):
            raise
        if case.operation.path.endswith("}"):
            assert response.json()["status"] in ("deleting", "deleted", "discarded", "uninstalling", "uninstalled", "failed")
