"""What is sent and what is asked for: FHIR JSON, and nothing else yet.

https://hl7.org/fhir/R4/http.html#mime-type
"""

from starlette.requests import Request

from fhir_server.rest import reading
from r4.issue import FhirError, error
from r4.json import Resource, decode, pretty

JSON = "application/fhir+json"
_READ = ("application/fhir+json", "application/json", "text/json", "application/json+fhir")
_ANSWERED = (*_READ, "*/*", "application/*", "json")


def accepts(request: Request) -> None:
    """Raise FhirError 406 unless JSON is an answer that the caller takes; `_format` decides first."""
    asked = request.query_params.get("_format")
    header = request.headers.get("accept", "*/*")
    wanted = [asked] if asked else [part.partition(";")[0].strip() for part in header.split(",")]
    if not any(kind in _ANSWERED or kind == "text/html" for kind in wanted):
        text = f"{', '.join(wanted)} is not served; this server answers in {JSON}."
        raise FhirError(406, [error("not-supported", text, "http.Accept")])


def preference(request: Request, name: str) -> str | None:
    """Return what the Prefer header asks for under a name ("return", "handling"), or None.

    https://www.rfc-editor.org/rfc/rfc7240
    """
    for part in ",".join(request.headers.getlist("prefer")).replace(";", ",").split(","):
        key, _, value = part.partition("=")
        if key.strip().lower() == name:
            return value.strip().strip('"')
    return None


def body(request: Request, raw: bytes) -> Resource:
    """Read a request's body as one FHIR resource; raises FhirError 400 or 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _READ:
        text = f"The Content-Type {kind or '(none)'} is not read here; send {JSON}."
        raise FhirError(415, [error("not-supported", text, "http.Content-Type")])
    return reading.resource(raw)


def form(raw: bytes) -> str:
    """Read a POST _search body; raises FhirError 400 unless it is text."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise FhirError(400, [error("structure", "The form is not UTF-8.")]) from None


def written(request: Request, content: bytes) -> bytes:
    """Return JSON as it was asked for: indented with `_pretty=true`, or when a browser asks."""
    asked = request.query_params.get("_pretty")
    browser = asked is None and "text/html" in request.headers.get("accept", "")
    indented = content and (asked == "true" or browser)
    return pretty(decode(content)) if indented else content
