"""From a request to an interaction or operation, and from its result to an answer.

https://hl7.org/fhir/R4/http.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from fhir_server.context import Context
from fhir_server.interactions import capabilities as capabilities_interaction
from fhir_server.interactions import compartment as compartment_interaction
from fhir_server.interactions import create as create_interaction
from fhir_server.interactions import everything as everything_interaction
from fhir_server.interactions import history as history_interaction
from fhir_server.interactions import patch as patch_interaction
from fhir_server.interactions import read as read_interaction
from fhir_server.interactions import search as search_interaction
from fhir_server.interactions import transaction as transaction_interaction
from fhir_server.interactions import update as update_interaction
from fhir_server.interactions.compartment import Owner
from fhir_server.interactions.plan import Outcome
from fhir_server.operations import evaluate as evaluate_operation
from fhir_server.operations import extract as extract_operation
from fhir_server.operations import parameters
from fhir_server.operations import process_response as process_response_operation
from fhir_server.operations import sign as sign_operation
from fhir_server.operations import validate as validate_operation
from fhir_server.rest import negotiate, patches
from fhir_server.rest.keeping import Keeper
from fhir_server.store.read import Stored
from r4 import definitions
from r4.issue import FhirError, Issue, error, operation_outcome
from r4.json import Resource, encode


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with its body read."""

    request: Request
    raw: bytes
    keeper: Keeper | None = None

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.request.method

    @property
    def parameters(self) -> Mapping[str, str]:
        """The parameters of the path."""
        return self.request.path_params

    def header(self, name: str) -> str | None:
        """Return a header, its repetitions joined, or None."""
        return ", ".join(self.request.headers.getlist(name)) or None

    @property
    def query(self) -> str:
        """The query string, as it was sent."""
        found: bytes = self.request.scope["query_string"]
        return found.decode("latin-1")

    @property
    def type(self) -> str:
        """The resource type in the path; raises FhirError 404 for what is no R4 resource type."""
        found: str = self.request.path_params["type"]
        if found not in definitions.resource_types():
            text = f"{found} is not a resource type of FHIR R4."
            raise FhirError(404, [error("not-supported", text, "http.url")])
        return found

    @property
    def id(self) -> str:
        """The resource id in the path."""
        found: str = self.request.path_params["id"]
        return found

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of the query string, in order."""
        return parse_qsl(self.query, keep_blank_values=True)

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
    """A status, JSON and headers."""

    content: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str | None = None
    file: Path | None = None

    def response(self, request: Request) -> Response:
        """Return the Starlette response in the form that was asked for."""
        if self.file is not None:
            return FileResponse(self.file, self.status, self.headers, media_type=self.media_type)
        if self.media_type is not None:
            return Response(self.content, self.status, self.headers, media_type=self.media_type)
        content, kind = negotiate.written(request, self.content)
        return Response(content, self.status, self.headers, media_type=kind)


async def capabilities(context: Context, _asked: Asked) -> Answer:
    """GET metadata."""
    return Answer(encode(capabilities_interaction.capabilities(context)))


async def read(context: Context, asked: Asked) -> Answer:
    """GET [type]/[id], with If-None-Match and If-Modified-Since."""
    stored = read_interaction.read(context, asked.type, asked.id)
    if _is_unmodified(asked.request, stored):
        return Answer(b"", 304, _version(stored.version, stored.updated))
    return _stored(stored)


async def vread(context: Context, asked: Asked) -> Answer:
    """GET [type]/[id]/_history/[version]."""
    number = asked.request.path_params["version"]
    return _stored(read_interaction.vread(context, asked.type, asked.id, number))


async def history(context: Context, asked: Asked) -> Answer:
    """GET [type]/[id]/_history, [type]/_history and _history."""
    wanted = asked.type if "type" in asked.request.path_params else None
    key = asked.id if "id" in asked.request.path_params else None
    return Answer(history_interaction.history(context, asked.pairs, wanted, key))


async def search(context: Context, asked: Asked) -> Answer:
    """GET [type]?… and POST [type]/_search."""
    return _search(context, asked, asked.type)


async def search_system(context: Context, asked: Asked) -> Answer:
    """GET [base]?… and POST [base]/_search: every type, or those that _type names."""
    return _search(context, asked, "")


def _search(context: Context, asked: Asked, resource_type: str) -> Answer:
    pairs = asked.pairs
    if asked.request.method == "POST":
        pairs += parse_qsl(negotiate.form(asked.raw), keep_blank_values=True)
    lenient = negotiate.preference(asked.request, "handling") == "lenient"
    return Answer(search_interaction.search(context, resource_type, pairs, lenient=lenient))


async def compartment(context: Context, asked: Asked) -> Answer:
    """GET [type]/[id]/[other type]?… and GET [type]/[id]/*."""
    owner = Owner(asked.type, asked.id)
    wanted = asked.request.path_params["member"]
    return Answer(compartment_interaction.compartment(context, owner, wanted, asked.pairs))


async def everything(context: Context, asked: Asked) -> Answer:
    """GET Patient/[id]/$everything and Encounter/[id]/$everything."""
    owner = Owner(asked.request.url.path.split("/")[2], asked.id)
    return Answer(everything_interaction.everything(context, owner, asked.pairs))


async def create(context: Context, asked: Asked) -> Answer:
    """POST [type], with If-None-Exist."""
    criteria = asked.request.headers.get("if-none-exist")
    outcome = await create_interaction.create(context, asked.of_type(), criteria)
    return _outcome(context, asked, outcome)


async def update(context: Context, asked: Asked) -> Answer:
    """PUT [type]/[id], with If-Match."""
    if_match = asked.request.headers.get("if-match")
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
    if_match = asked.request.headers.get("if-match")
    outcome = await patch_interaction.patch(context, asked.type, asked.id, change, if_match)
    return _outcome(context, asked, outcome)


async def patch_where(context: Context, asked: Asked) -> Answer:
    """PATCH [type]?[criteria]."""
    if not asked.query:
        text = "A PATCH names an id in its path, or criteria in its query."
        raise FhirError(400, [error("required", text, "http.url")])
    change = patches.patch(asked.request, asked.raw)
    outcome = await patch_interaction.patch_where(context, asked.type, asked.query, change)
    return _outcome(context, asked, outcome)


async def transaction(context: Context, asked: Asked) -> Answer:
    """POST [base] with a transaction or batch Bundle."""
    bundle = asked.resource()
    kind = bundle.get("type")
    if bundle["resourceType"] != "Bundle" or kind not in ("transaction", "batch"):
        text = "This URL takes a Bundle of type transaction or batch."
        raise FhirError(400, [error("invalid", text, "Bundle.type")])
    if kind == "batch":
        answered = asked.keeper.entry if asked.keeper else None
        return Answer(encode(await transaction_interaction.batch(context, bundle, answered)))
    return Answer(encode(await transaction_interaction.transaction(context, bundle)))


async def validate(context: Context, asked: Asked) -> Answer:
    """POST $validate, on the base or a type."""
    wanted = asked.type if "type" in asked.request.path_params else None
    given = parameters.of_resource(asked.resource(), validate_operation.NAMES, "resource")
    resource = parameters.required(given, "resource")
    return Answer(encode(validate_operation.validate(context, wanted, resource)))


async def extract(context: Context, asked: Asked) -> Answer:
    """POST QuestionnaireResponse/$extract."""
    given = parameters.of_resource(asked.resource(), extract_operation.NAMES, "response")
    response = given.get("questionnaire-response") or parameters.required(given, "response")
    return Answer(encode(extract_operation.extract(context, response)))


async def sign(context: Context, asked: Asked) -> Answer:
    """POST QuestionnaireResponse/$sign."""
    given = parameters.of_resource(asked.resource(), sign_operation.NAMES)
    return Answer(encode(await sign_operation.sign(context, given)))


async def process_response(context: Context, asked: Asked) -> Answer:
    """POST QuestionnaireResponse/$process-response."""
    names = process_response_operation.NAMES
    given = parameters.of_resource(asked.resource(), names, "response")
    response = given.get("questionnaire-response") or parameters.required(given, "response")
    stored = await process_response_operation.process_response(context, response)
    return Answer(encode(stored))


async def evaluate(context: Context, asked: Asked) -> Answer:
    """GET or POST Measure/$evaluate; only a POST stores the reports."""
    given = _evaluation(asked)
    keep = asked.request.method == "POST"
    return Answer(encode(await evaluate_operation.evaluate(context, given, keep=keep)))


async def evaluate_measure(context: Context, asked: Asked) -> Answer:
    """GET or POST Measure/[id]/$evaluate-measure; only a POST stores the report."""
    given = _evaluation(asked)
    if "id" in asked.request.path_params:
        given["measureId"] = asked.id
    keep = asked.request.method == "POST"
    return Answer(encode(await evaluate_operation.evaluate_measure(context, given, keep=keep)))


EVALUATION: parameters.Kinds = {
    "measureUrl": "string",
    "measure": "string",
    "periodStart": "date",
    "periodEnd": "date",
    "reportType": "string",
    "subject": "party",
    "reporter": "party",
}


def _evaluation(asked: Asked) -> parameters.Input:
    given = parameters.of_query(asked.pairs, EVALUATION)
    body = asked.resource() if asked.raw else None
    return {**given, **parameters.of_resource(body, EVALUATION)}


def _stored(stored: Stored) -> Answer:
    return Answer(stored.body, 200, _version(stored.version, stored.updated))


def _is_unmodified(request: Request, stored: Stored) -> bool:
    """Tell whether the caller has this version; If-None-Match decides where both headers are sent."""
    if tags := request.headers.get("if-none-match"):
        return f'W/"{stored.version}"' in (tag.strip() for tag in tags.split(","))
    since = request.headers.get("if-modified-since")
    try:
        moment = parsedate_to_datetime(since).timestamp() if since else None
    except (ValueError, TypeError, OverflowError):
        return False
    return moment is not None and stored.updated // 1_000_000 <= moment


def _outcome(context: Context, asked: Asked, outcome: Outcome) -> Answer:
    """Answer a write with what `Prefer: return=` asks for: the resource, nothing, or an outcome."""
    place = f"{context.base_url}/{outcome.type}/{outcome.id}/_history/{outcome.version}"
    headers = {**_version(outcome.version, outcome.updated), "Location": place}
    wanted = negotiate.preference(asked.request, "return")
    if wanted == "minimal":
        return Answer(b"", outcome.status, headers)
    if wanted == "OperationOutcome":
        done = "created" if outcome.status == CREATED else "as it stands"
        text = f"{outcome.type}/{outcome.id} is at version {outcome.version}, {done}."
        said = operation_outcome([Issue("information", "informational", text)])
        return Answer(encode(said), outcome.status, headers)
    return Answer(outcome.body, outcome.status, headers)


CREATED = 201


def _version(version: int, updated: int) -> dict[str, str]:
    moment = datetime.fromtimestamp(updated / 1_000_000, UTC)
    return {"ETag": f'W/"{version}"', "Last-Modified": format_datetime(moment, usegmt=True)}
