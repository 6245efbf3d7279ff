"""What is sent and what is asked for: FHIR JSON or FHIR XML.

https://hl7.org/fhir/R4/http.html#mime-type
"""

from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl

from fhir_server.rest import reading
from fhir_server.rest.request import Request
from r4 import xml
from r4.issue import FhirError, error
from r4.json import Resource, decode, pretty

JSON = "application/fhir+json"
XML = "application/fhir+xml"
HL7V2 = (
    "application/hl7-v2",
    "application/hl7-v2+er7",
    "application/hl7-v2+xml",
    "x-application/hl7-v2+er7",
    "x-application/hl7-v2+xml",
)
"""What HL7 v2 is sent as, by HL7 over HTTP; how it is encoded is seen in the bytes."""
Format = Literal["json", "xml"]
_KINDS: dict[str, Format] = {
    "application/fhir+json": "json",
    "application/json": "json",
    "text/json": "json",
    "application/json+fhir": "json",
    "json": "json",
    "application/fhir+xml": "xml",
    "application/xml": "xml",
    "text/xml": "xml",
    "application/xml+fhir": "xml",
    "xml": "xml",
}
_ANYTHING = (
    "*/*", "application/*", "text/html", "application/fhir+ndjson", "application/ndjson"
)  # fmt: skip
_TABLES = {
    "text/csv": "text/csv",
    "csv": "text/csv",
    "application/vnd.apache.parquet": "application/vnd.apache.parquet",
    "parquet": "application/vnd.apache.parquet",
}
READ = tuple(kind for kind in _KINDS if "/" in kind)


class Wanted(NamedTuple):
    """How an answer is written: its format, and whether it is indented for people."""

    format: Format
    indented: bool = False


PLAIN = Wanted("json")


def table(request: Request) -> str | None:
    """Return the media type of the table that a GET asks for, None where it asks for FHIR."""
    named = dict(parse_qsl(request.query.decode("latin-1"), keep_blank_values=True)).get("_format")
    kinds = [named.replace(" ", "+")] if named else _accepted(request.header("accept") or "")
    first = kinds[0] if kinds and request.method == "GET" else ""
    return _TABLES.get(first)


def wanted(request: Request) -> Wanted:
    """Return how to answer: `_format` decides, then Accept by its weights; else FhirError 406.

    It is indented with `_pretty=true`, and when a browser asks for it.
    """
    query = request.query
    if query and (b"format" in query or b"pretty" in query or b"%" in query):
        named = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
        return _wanted(request.headers.get(b"accept"), named.get("_format"), named.get("_pretty"))
    return _wanted(request.headers.get(b"accept"), None, None)


@lru_cache(maxsize=256)
def _wanted(header: bytes | None, format: str | None, pretty: str | None) -> Wanted:
    accept = "*/*" if header is None else header.decode("latin-1")
    kinds = [format.replace(" ", "+")] if format else _accepted(accept)
    indented = pretty == "true" or (pretty is None and "text/html" in accept)
    for kind in kinds:
        if kind in _KINDS:
            return Wanted(_KINDS[kind], indented)
        if kind in _ANYTHING:
            return Wanted("json", indented)
    text = f"{', '.join(kinds)} is not served; this server answers in {JSON} and {XML}."
    raise FhirError(406, [error("not-supported", text, "http.Accept")])


def _accepted(header: str) -> list[str]:
    """List the kinds of an Accept header, the most wanted first."""
    weighed = []
    for part in header.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weighed.append((float(weight), kind))
        except ValueError:
            continue
    return [kind for weight, kind in sorted(weighed, key=lambda each: -each[0]) if weight > 0]


def preference(request: Request, name: str) -> str | None:
    """Return what the Prefer header asks for under a name ("return", "handling"), or None.

    https://www.rfc-editor.org/rfc/rfc7240
    """
    header = request.headers.get(b"prefer")
    if header is None:
        return None
    for part in header.decode("latin-1").replace(";", ",").split(","):
        key, _, value = part.partition("=")
        if key.strip().lower() == name:
            return value.strip().strip('"')
    return None


def content_type(request: Request) -> str:
    """Return the media type that the body is said to have, without its parameters."""
    return (request.header("content-type") or "").partition(";")[0].strip().lower()


def body(request: Request, raw: bytes) -> Resource:
    """Read a request's body as one FHIR resource; raises FhirError 400 or 415."""
    kind = content_type(request)
    if kind not in READ:
        text = f"The Content-Type {kind or '(none)'} is not read here; send {JSON} or {XML}."
        raise FhirError(415, [error("not-supported", text, "http.Content-Type")])
    if not raw:
        text = f"The body is empty: send a resource as {JSON} or {XML}."
        raise FhirError(400, [error("required", text, "http.body")])
    return xml.decode(raw) if _KINDS[kind] == "xml" else reading.resource(raw)


def form(raw: bytes) -> str:
    """Read a POST _search body; raises FhirError 400 unless it is text."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise FhirError(400, [error("structure", "The form is not UTF-8.")]) from None


def written(how: Wanted, content: bytes) -> tuple[bytes, str]:
    """Return JSON as it was asked for, and its media type: as XML, or indented, or as it is."""
    if how.format == "xml":
        return (xml.encode(decode(content), pretty=how.indented) if content else b""), XML
    return (pretty(decode(content)) if content and how.indented else content), JSON
