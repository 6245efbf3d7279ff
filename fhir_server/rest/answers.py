"""From a request to an interaction, and from its result to an answer.

https://hl7.org/fhir/R4/http.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate, parsedate_to_datetime
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import parse_qsl

from fhir_server.access.scopes import covers
from fhir_server.context import Context
from fhir_server.interactions import capabilities as capabilities_interaction
from fhir_server.interactions import compartment as compartment_interaction
from fhir_server.interactions import create as create_interaction
from fhir_server.interactions import delete as delete_interaction
from fhir_server.interactions import everything as everything_interaction
from fhir_server.interactions import history as history_interaction
from fhir_server.interactions import patch as patch_interaction
from fhir_server.interactions import read as read_interaction
from fhir_server.interactions import search as search_interaction
from fhir_server.interactions import smart_configuration as smart
from fhir_server.interactions import transaction as transaction_interaction
from fhir_server.interactions import update as update_interaction
from fhir_server.interactions.compartment import Owner
from fhir_server.interactions.plan import Outcome
from fhir_server.rest import abridged, negotiate, patches
from fhir_server.rest.keeping import Keeper
from fhir_server.rest.request import Request
from fhir_server.store.read import Stored, current
from fhir_server.store.told import tells
from r4 import definitions
from r4.issue import FhirError, Issue, error, operation_outcome
from r4.json import Resource, encode


@cache
def _types() -> frozenset[str]:
    return frozenset(definitions.resource_types())


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with the parameters of its path, and its body read."""

    request: Request
    parameters: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""
    keeper: Keeper | None = None

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.request.method

    @property
    def path(self) -> str:
        """The path, decoded."""
        return self.request.path

    @property
    def query(self) -> str:
        """The query string, as it was sent."""
        return self.request.query.decode("latin-1")

    @property
    def type(self) -> str:
        """The resource type in the path; raises FhirError 404 for what is no R4 resource type."""
        found = self.parameters["type"]
        if found not in _types():
            text = f"{found} is not a resource type of FHIR R4."
            raise FhirError(404, [error("not-supported", text, "http.url")])
        return found

    @property
    def id(self) -> str:
        """The resource id in the path."""
        return self.parameters["id"]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of the query string, in order."""
        return parse_qsl(self.query, keep_blank_values=True)

    @property
    def lenient(self) -> bool:
        """Whether parameters that are not known are to be left out, and not refused."""
        return negotiate.preference(self.request, "handling") == "lenient"

    def header(self, name: str) -> str | None:
        """Return a header, or None; one that is sent several times as one, joined by commas."""
        return self.request.header(name)

    def resource(self) -> Resource:
        """Read the body as a resource."""
        return negotiate.body(self.request, self.raw)

    def of_type(self) -> Resource:
        """Read the body as a resource of the path's type; raises FhirError 400 for another one."""
        resource = self.resource()
        if resource["resourceType"] != self.type:
            text = f"The body is {resource['resourceType']!r}; this URL takes {self.type}."
            raise FhirError(400, [error("invalid", text, "resourceType")])
        return resource


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, headers and content.

    Without a media type the content is FHIR JSON, which is sent in the format that was asked for; with
    one it is sent as it is. With a file, that is what is sent. `settles` is False for the answer to a
    write that says why nothing was stored.
    """

    content: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str | None = None
    file: Path | None = None
    settles: bool = True


async def capabilities(context: Context, asked: Asked) -> Answer:
    """GET metadata, with mode=terminology for what the terminology service does."""
    if dict(asked.pairs).get("mode") == "terminology":
        return Answer(encode(capabilities_interaction.terminology_capabilities(context)))
    return Answer(encode(capabilities_interaction.capabilities(context)))


async def smart_configuration(context: Context, _: Asked) -> Answer:
    """GET .well-known/smart-configuration, which is JSON and no resource."""
    told = smart.smart_configuration(context)
    return Answer(encode(told), media_type="application/json")


async def read(context: Context, asked: Asked) -> Answer:
    """GET [type]/[id], with If-None-Match and If-Modified-Since, _summary and _elements."""
    stored = read_interaction.read(context, asked.type, asked.id)
    if _is_unmodified(asked.request, stored):
        return Answer(b"", 304, _version(stored.version, stored.updated))
    return _stored(asked, stored)


async def vread(context: Context, asked: Asked) -> Answer:
    """GET [type]/[id]/_history/[version]."""
    number = asked.parameters["version"]
    return _stored(asked, read_interaction.vread(context, asked.type, asked.id, number))


async def history(context: Context, asked: Asked) -> Answer:
    """GET [type]/[id]/_history, [type]/_history and _history."""
    wanted = asked.type if "type" in asked.parameters else None
    key = asked.id if "id" in asked.parameters else None
    return Answer(history_interaction.history(context, asked.pairs, wanted, key))


async def search(context: Context, asked: Asked) -> Answer:
    """GET [type]?… and POST [type]/_search."""
    return _search(context, asked, asked.type)


async def search_system(context: Context, asked: Asked) -> Answer:
    """GET [base]?… and POST [base]/_search: every type, or those that _type names."""
    return _search(context, asked, "")


def _search(context: Context, asked: Asked, resource_type: str) -> Answer:
    pairs = asked.pairs
    if asked.method == "POST":
        pairs += parse_qsl(negotiate.form(asked.raw), keep_blank_values=True)
    return Answer(search_interaction.search(context, resource_type, pairs, lenient=asked.lenient))


async def compartment(context: Context, asked: Asked) -> Answer:
    """GET [type]/[id]/[other type]?… and GET [type]/[id]/*."""
    owner = Owner(asked.type, asked.id)
    wanted = asked.parameters["member"]
    return Answer(compartment_interaction.compartment(context, owner, wanted, asked.pairs))


async def everything(context: Context, asked: Asked) -> Answer:
    """GET Patient/[id]/$everything and Encounter/[id]/$everything."""
    owner = Owner(asked.type, asked.id)
    return Answer(everything_interaction.everything(context, owner, asked.pairs))


async def create(context: Context, asked: Asked) -> Answer:
    """POST [type], with If-None-Exist."""
    criteria = asked.header("if-none-exist")
    outcome = await create_interaction.create(context, asked.of_type(), criteria)
    return _outcome(context, asked, outcome)


async def update(context: Context, asked: Asked) -> Answer:
    """PUT [type]/[id], with If-Match."""
    if_match = asked.header("if-match")
    outcome = await update_interaction.update(context, asked.of_type(), asked.id, if_match)
    return _outcome(context, asked, outcome)


async def update_where(context: Context, asked: Asked) -> Answer:
    """PUT [type]?[criteria]."""
    criteria = asked.query
    if not criteria:
        text = "A PUT names an id in its path, or criteria in its query."
        raise FhirError(400, [error("required", text, "http.url")])
    outcome = await update_interaction.update_where(context, asked.of_type(), criteria)
    return _outcome(context, asked, outcome)


async def patch(context: Context, asked: Asked) -> Answer:
    """PATCH [type]/[id], with If-Match."""
    change = patches.patch(asked.request, asked.raw)
    if_match = asked.header("if-match")
    outcome = await patch_interaction.patch(context, asked.type, asked.id, change, if_match)
    return _patched(context, asked, outcome)


async def patch_where(context: Context, asked: Asked) -> Answer:
    """PATCH [type]?[criteria]."""
    if not asked.query:
        text = "A PATCH names an id in its path, or criteria in its query."
        raise FhirError(400, [error("required", text, "http.url")])
    change = patches.patch(asked.request, asked.raw)
    outcome = await patch_interaction.patch_where(context, asked.type, asked.query, change)
    return _patched(context, asked, outcome)


async def delete(context: Context, asked: Asked) -> Answer:
    """DELETE [type]/[id], with If-Match."""
    place = f"{asked.type}/{asked.id}"
    if_match = asked.header("if-match")
    outcome = await delete_interaction.delete(context, asked.type, asked.id, if_match)
    if outcome is None:
        return _said(asked, f"{place} was not here; there was nothing to delete.")
    text = f"{place} has been deleted, which is its version {outcome.version}."
    return _said(asked, text, {"ETag": f'W/"{outcome.version}"'})


async def delete_where(context: Context, asked: Asked) -> Answer:
    """DELETE [type]?[criteria]."""
    if not asked.query:
        text = "A DELETE names an id in its path, or criteria in its query."
        raise FhirError(400, [error("required", text, "http.url")])
    most = context.settings.max_entries
    number = await delete_interaction.delete_where(context, asked.type, asked.query, most)
    return _said(asked, f"{number} resources of type {asked.type} have been deleted.")


async def transaction(context: Context, asked: Asked) -> Answer:
    """POST [base] with a transaction or batch Bundle."""
    bundle = asked.resource()
    kind = bundle.get("type")
    if bundle["resourceType"] != "Bundle" or kind not in ("transaction", "batch"):
        text = "This URL takes a Bundle of type transaction or batch."
        raise FhirError(400, [error("invalid", text, "Bundle.type")])
    if kind == "batch":
        answered = asked.keeper.entry if asked.keeper else None
        response = await transaction_interaction.batch(context, bundle, answered)
    else:
        response = await transaction_interaction.transaction(context, bundle, asked=True)
    for entry, told in zip(bundle.get("entry", ()), response["entry"], strict=False):
        found = told["response"].get("location", "").split("/")
        if entry["request"]["method"] == "POST" and told["response"]["status"] == FOUND:
            _found_again(context, found[0], found[1])
    return Answer(encode(response))


def _stored(asked: Asked, stored: Stored) -> Answer:
    body = stored.body
    if asked.request.query:
        body = abridged.abridged(body, asked.pairs, lenient=asked.lenient)
    return Answer(body, 200, _version(stored.version, stored.updated))


def _is_unmodified(request: Request, stored: Stored) -> bool:
    """Tell whether the caller has this version; If-None-Match decides where both headers are sent."""
    headers = request.headers
    if b"if-none-match" not in headers and b"if-modified-since" not in headers:
        return False
    if tags := request.header("if-none-match"):
        return f'W/"{stored.version}"' in (tag.strip() for tag in tags.split(","))
    since = request.header("if-modified-since")
    try:
        moment = parsedate_to_datetime(since).timestamp() if since else None
    except (ValueError, TypeError, OverflowError):
        return False
    return moment is not None and stored.updated // 1_000_000 <= moment


def _outcome(context: Context, asked: Asked, outcome: Outcome) -> Answer:
    """Answer a write with what `Prefer: return=` asks for: the resource, nothing, or an outcome."""
    place = f"{context.base_url}/{outcome.type}/{outcome.id}/_history/{outcome.version}"
    headers = {**_version(outcome.version, outcome.updated), "Location": place}
    if outcome.unchanged:  # what stands is told, and nothing was stored that would say so
        tells(each for each in [current(context.database, outcome.type, outcome.id)] if each)
    wanted = negotiate.preference(asked.request, "return")
    if wanted == "minimal":
        return Answer(b"", outcome.status, headers)
    if wanted == "OperationOutcome":
        done = "created" if outcome.status == CREATED else "as it stands"
        text = f"{outcome.type}/{outcome.id} is at version {outcome.version}, {done}."
        said = operation_outcome([Issue("information", "informational", text)])
        return Answer(encode(said), outcome.status, headers)
    return Answer(outcome.body, outcome.status, headers)


def _patched(context: Context, asked: Asked, outcome: Outcome) -> Answer:
    """Answer a patch; with nothing where its asker may not read what has become of the resource."""
    answer = _outcome(context, asked, outcome)
    granted = context.principal.scopes
    if granted is not None and not covers(granted, "r", outcome.type):
        return replace(answer, content=b"")
    if context.principal.scoped:
        read = context.by_letters("r").database
        return answer if current(read, outcome.type, outcome.id) else replace(answer, content=b"")
    return answer


def _said(asked: Asked, text: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer a deletion with an outcome that says what was done; with nothing, where that is asked."""
    if negotiate.preference(asked.request, "return") == "minimal":
        return Answer(b"", 204, headers or {})
    said = operation_outcome([Issue("information", "informational", text)])
    return Answer(encode(said), 200, headers or {})


def _found_again(context: Context, kind: str, key: str) -> None:
    """Record a create that has stored nothing, as what it would create was there: no version tells of it."""
    context.audit.record(context.agent, "create", kind, key, OK)


OK, CREATED = 200, 201
FOUND = "200 OK"
"""The status of an entry that has found what it would create."""


def _version(version: int, updated: int) -> dict[str, str]:
    return {"ETag": f'W/"{version}"', "Last-Modified": _http_date(updated // 1_000_000)}


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
