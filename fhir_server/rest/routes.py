"""The route table of the FHIR endpoint, and the one way in: identify, admit, answer, or say why not.

https://hl7.org/fhir/R4/http.html#summary
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from fhir_server.access import Client, admit, identify
from fhir_server.context import Context
from fhir_server.rest import answers, bulk, errors, negotiate
from fhir_server.rest.answers import Answer, Asked
from fhir_server.rest.keeping import REPLAYED, Keeper, sending
from r4.issue import FhirError, error

Handler = Callable[[Context, Asked], Awaitable[Answer]]


class Interaction(NamedTuple):
    """One row of the table: method, path below the base, the interaction's code, who answers it."""

    method: str
    path: str
    code: str
    answer: Handler


TABLE = (
    Interaction("GET", "/metadata", "capabilities", answers.capabilities),
    Interaction("POST", "/", "transaction", answers.transaction),
    Interaction("GET", "/", "search-system", answers.search_system),
    Interaction("POST", "/_search", "search-system", answers.search_system),
    Interaction("GET", "/Patient/{id}/$everything", "$everything", answers.everything),
    Interaction("GET", "/Encounter/{id}/$everything", "$everything", answers.everything),
    Interaction("POST", "/$validate", "$validate", answers.validate),
    Interaction("POST", "/{type}/$validate", "$validate", answers.validate),
    Interaction("POST", "/QuestionnaireResponse/$extract", "$extract", answers.extract),
    Interaction("POST", "/QuestionnaireResponse/$sign", "$sign", answers.sign),
    Interaction(
        "POST",
        "/QuestionnaireResponse/$process-response",
        "$process-response",
        answers.process_response,
    ),
    Interaction("GET", "/Measure/$evaluate", "$evaluate", answers.evaluate),
    Interaction("POST", "/Measure/$evaluate", "$evaluate", answers.evaluate),
    Interaction("GET", "/Measure/$evaluate-measure", "$evaluate", answers.evaluate_measure),
    Interaction("POST", "/Measure/$evaluate-measure", "$evaluate", answers.evaluate_measure),
    Interaction("GET", "/Measure/{id}/$evaluate-measure", "$evaluate", answers.evaluate_measure),
    Interaction("POST", "/Measure/{id}/$evaluate-measure", "$evaluate", answers.evaluate_measure),
    Interaction("GET", "/$export", "$export", bulk.export),
    Interaction("POST", "/$export", "$export", bulk.export),
    Interaction("GET", "/Patient/$export", "$export", bulk.export_patients),
    Interaction("POST", "/Patient/$export", "$export", bulk.export_patients),
    Interaction("GET", "/Group/{id}/$export", "$export", bulk.export_group),
    Interaction("POST", "/Group/{id}/$export", "$export", bulk.export_group),
    Interaction("POST", "/$import", "$import", bulk.import_),
    Interaction("GET", "/$bulk/{job}", "$bulk", bulk.status),
    Interaction("DELETE", "/$bulk/{job}", "$bulk", bulk.cancel),
    Interaction("GET", "/$bulk/{job}/{file}", "$bulk", bulk.output),
    Interaction("GET", "/_history", "history-system", answers.history),
    Interaction("GET", "/{type}/_history", "history-type", answers.history),
    Interaction("GET", "/{type}/{id}/_history", "history-instance", answers.history),
    Interaction("GET", "/{type}", "search-type", answers.search),
    Interaction("POST", "/{type}/_search", "search-type", answers.search),
    Interaction("POST", "/{type}", "create", answers.create),
    Interaction("PUT", "/{type}", "update", answers.update_where),
    Interaction("GET", "/{type}/{id}", "read", answers.read),
    Interaction("PUT", "/{type}/{id}", "update", answers.update),
    Interaction("PATCH", "/{type}", "patch", answers.patch_where),
    Interaction("PATCH", "/{type}/{id}", "patch", answers.patch),
    Interaction("GET", "/{type}/{id}/_history/{version}", "vread", answers.vread),
    Interaction("GET", "/{type}/{id}/{member}", "search-compartment", answers.compartment),
)
BASE = "/fhir"
READS = frozenset(
    {
        "capabilities",
        "search-type",
        "search-system",
        "read",
        "vread",
        "$validate",
        "$extract",
        "$export",
        "$import",
        "$bulk",
    }
)


def routes(context: Context, registered: tuple[Client, ...]) -> Sequence[BaseRoute]:
    """Build the Starlette routes of the table below /fhir; the base is served with and without /."""
    methods: dict[str, dict[str, Interaction]] = {}
    for row in TABLE:
        methods.setdefault(row.path, {})[row.method] = row
    places = [*methods.items(), ("", methods["/"]), ("/{rest:path}", {})]
    return [
        Route(BASE + path, _Endpoint(context, registered, rows), methods=None)
        for path, rows in places
    ]


class _Endpoint:
    """An ASGI application for one path: the method picks the row."""

    def __init__(
        self, context: Context, registered: tuple[Client, ...], rows: dict[str, Interaction]
    ) -> None:
        self.context, self.registered, self.rows = context, registered, rows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        response = await self._answer(request)
        if request_id := request.headers.get("x-request-id"):
            response.headers["X-Request-ID"] = request_id
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        raw = bytearray()
        keeper = None
        try:
            context, interaction = self._admitted(request)
            if interaction.code not in READS:
                keeper = Keeper(context, request.scope["path"], request.scope.get(REPLAYED))
            await _read(request, context.settings.max_body, raw)
            negotiate.wanted(request)
            asked = Asked(request, bytes(raw), keeper)
            answer = await interaction.answer(context, asked)
            if raw and keeper:
                await keeper.accepted(sending(request, bytes(raw)), answer.content)
            return answer.response(request)
        except FhirError as found:
            refusal = found
        except Exception as unforeseen:
            refusal = errors.failure(request, unforeseen)
        if raw and keeper:
            oversize = len(raw) > self.context.settings.max_body
            await keeper.refused(sending(request, bytes(raw)), refusal, oversize=oversize)
        return errors.refusal(request, refusal)

    def _admitted(self, request: Request) -> tuple[Context, Interaction]:
        """Find out who asks and what for; raises FhirError 400, 401, 403, 404 or 405."""
        host = request.client.host if request.client else None
        authorization = request.headers.get("authorization")
        principal = identify(host, authorization, self.registered, _addressed(request))
        interaction = self._interaction(request)
        admit(principal, interaction.code, request.path_params.get("type"))
        return self.context.asked_by(principal), interaction

    def _interaction(self, request: Request) -> Interaction:
        method = "GET" if request.method == "HEAD" else request.method
        if method in self.rows:
            return self.rows[method]
        if self.rows:
            served = ", ".join(sorted(self.rows))
            text = f"{request.method} is not supported on this URL; supported: {served}."
            raise FhirError(405, [error("not-supported", text, "http.method")])
        text = "This server has nothing at this URL; see metadata for what it has."
        raise FhirError(404, [error("not-found", text, "http.url")])


def _addressed(request: Request) -> list[str]:
    """Return the hosts that a request speaks of: where it is sent, and the page that sends it."""
    places = [f"//{request.headers.get('host', '')}"]
    if origin := request.headers.get("origin"):
        places.append(origin)
    try:
        return [urlsplit(place).hostname or "" for place in places]
    except ValueError:
        text = "The Host or Origin header is not well-formed."
        raise FhirError(400, [error("structure", text, "http.Host")]) from None


async def _read(request: Request, largest: int, raw: bytearray) -> None:
    """Read the body; raises FhirError 413 as soon as it is larger than is taken."""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > largest:
            text = f"The body is larger than the {largest} bytes that are taken at once."
            raise FhirError(413, [error("too-long", text, "http.body")])
