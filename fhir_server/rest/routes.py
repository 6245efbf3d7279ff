"""The route table of the FHIR endpoint, and the one way in: identify, admit, answer, or say why not.

https://hl7.org/fhir/R4/http.html#summary
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fhir_server.access import Client, admit, identify
from fhir_server.context import Context, microseconds
from fhir_server.rest import answers, errors
from fhir_server.rest.answers import Answer, Asked
from fhir_server.store import inbox
from fhir_server.store.inbox import Arrival, Settlement
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
    Interaction("GET", "/{type}", "search-type", answers.search),
    Interaction("POST", "/{type}/_search", "search-type", answers.search),
    Interaction("POST", "/{type}", "create", answers.create),
    Interaction("PUT", "/{type}", "update", answers.update_where),
    Interaction("GET", "/{type}/{id}", "read", answers.read),
    Interaction("PUT", "/{type}/{id}", "update", answers.update),
    Interaction("GET", "/{type}/{id}/_history/{version}", "vread", answers.vread),
)
READS = frozenset({"capabilities", "search-type", "read", "vread", "$validate", "$extract"})


def routes(context: Context, registered: tuple[Client, ...]) -> Sequence[BaseRoute]:
    """Build the Starlette routes of the table."""
    methods: dict[str, dict[str, Interaction]] = {}
    for row in TABLE:
        methods.setdefault(row.path, {})[row.method] = row
    return [
        Route(path, _endpoint(context, registered, rows), methods=None)
        for path, rows in methods.items()
    ] + [Route("/{rest:path}", _endpoint(context, registered, {}), methods=None)]


class _Endpoint:
    """An ASGI application for one path: the method picks the row."""

    def __init__(
        self, context: Context, registered: tuple[Client, ...], rows: dict[str, Interaction]
    ) -> None:
        self.context, self.registered, self.rows = context, registered, rows

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """Answer one request."""
        request = Request(scope, receive)
        response = await self._answer(request)
        if request_id := request.headers.get("x-request-id"):
            response.headers["X-Request-ID"] = request_id
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        raw = b""
        code = "unknown"
        try:
            host = request.client.host if request.client else None
            principal = identify(host, request.headers.get("authorization"), self.registered)
            interaction = self._interaction(request)
            code = interaction.code
            admit(principal, code, request.path_params.get("type"))
            raw = await _body(request, self.context.settings.max_body)
            asked = Asked(request, raw)
            return (await interaction.answer(self.context.asked_by(principal), asked)).response(
                request
            )
        except FhirError as refusal:
            if code not in READS and raw and refusal.status < 500:  # noqa: PLR2004
                await _keep(self.context, request, raw, refusal)
            return errors.refusal(refusal)
        except Exception as unforeseen:
            return errors.failure(request, unforeseen)

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


def _endpoint(
    context: Context, registered: tuple[Client, ...], rows: dict[str, Interaction]
) -> _Endpoint:
    return _Endpoint(context, registered, rows)


async def _body(request: Request, largest: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > largest:
            text = f"The body is larger than the {largest} bytes that are taken at once."
            raise FhirError(413, [error("too-long", text, "http.body")])
        chunks.append(chunk)
    return b"".join(chunks)


async def _keep(context: Context, request: Request, raw: bytes, refusal: FhirError) -> None:
    """Keep what was refused: a hospital's mistake must not lose a child's record."""
    target = f"{request.method} {request.url.path}" + (
        f"?{request.url.query}" if request.url.query else ""
    )
    peer = request.client.host if request.client else ""
    sha256 = hashlib.sha256(raw).hexdigest()
    arrived = microseconds(context.now())
    message = await inbox.receive(
        context.database,
        Arrival("http", peer, sha256, sha256, target, raw),
        arrived,
    )
    answer = errors.refusal(refusal).body
    reason = "; ".join(issue.diagnostics for issue in refusal.issues)
    await inbox.refuse(
        context.database, Settlement(message.id, "refused", arrived, bytes(answer), reason)
    )
