"""The survey pages' own routes, beside the FHIR endpoint: a parent's sitting has no other.

What is refused is an OperationOutcome whose details.text can be shown to the parent. Whatever is wrong
with a link or a date of birth is answered in the same words, and not sooner than `FLOOR`.
https://hl7.org/fhir/R4/operationoutcome.html
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fhir_server.access import PARENT, admit
from fhir_server.access.links import Attempts, Link, read
from fhir_server.access.sessions import Lasting, Session, Sessions
from fhir_server.context import Context, Principal, agent_of, microseconds
from fhir_server.operations import surveys
from fhir_server.operations.couriers import courier
from fhir_server.operations.invitations import send_another
from fhir_server.operations.survey_schedule import plan_of
from fhir_server.operations.survey_standing import CLOSED, Survey, is_asked_of, survey
from fhir_server.rest.errors import logger, shown
from fhir_server.rest.sheet import SECRET
from fhir_server.store.audit_row import NOBODY
from fhir_server.store.failure import place
from fhir_server.store.links import Opening, spend
from fhir_server.store.search.keys import place as place_of
from r4.issue import FhirError, error
from r4.json import Resource, decode, encode

API = "/survey/api"
FLOOR = timedelta(milliseconds=250)
"""Time before which no link is refused, so that a refusal does not tell by its time what is wrong."""
LARGEST = 1024 * 1024
"""Most bytes of a body."""
_FHIR, _JSON = "application/fhir+json", "application/json"
_INTERACTIONS = {"response": "survey-answers", "another-link": "survey-link"}
Answering = Callable[[Context, Session, Request], Coroutine[Any, Any, Response]]


class Door:
    """Answers the survey pages; sittings are held in the memory of the one process that serves.

    Raises ValueError for a plan of surveys, or a file of their sender, that is none.
    """

    def __init__(self, made: Context) -> None:
        self.context = made
        self.sittings = Sessions(made.now, made.base_url, Lasting(), purpose="survey", proved=False)
        self.attempts = Attempts(made.now)
        self.courier = courier(made.settings)
        self.plan = plan_of(made, made.settings.surveys) if made.settings.surveys else None

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the survey pages."""
        return [
            Route(f"{API}/sitting", self.sitting, methods=["POST"]),
            self._route("form", "GET", self._form),
            self._route("response", "PUT", self._answers),
            self._route("consent", "POST", self._consent),
            self._route("submit", "POST", self._submit),
            self._route("another-link", "POST", self._another_link),
        ]

    async def sitting(self, request: Request) -> Response:
        """POST sitting {token, birthDate}: begin a sitting, which uses the link up."""
        try:
            found = await self.context.database.driven(self._begun(request))
        except Exception as failure:
            self.context.audit.record(NOBODY, "survey-sitting", status=_status(failure))
            return _refusal(failure, "survey-sitting")
        child = f"Patient/{found.child['id']}"
        principal = Principal(f"parent of Task/{found.id}", frozenset({PARENT}), child)
        value, session = self.sittings.open(principal, {"task": found.id, **found.parent})
        self._record(session, "survey-sitting", 204)
        return Response(None, 204, {**SECRET, "Set-Cookie": self.sittings.cookie.given(value)})

    async def _begun(self, request: Request) -> Survey:
        """Return the survey that a link opens; raises FhirError 403 for any other link, 410, or 429."""
        began = _seconds()
        self.sittings.refuse_other_pages(dict(request.scope["headers"]))
        self._refuse_hurry(request)
        link, is_open = await self._opened(await _body(request))
        if not is_open:
            await asyncio.sleep(began + FLOOR.total_seconds() - _seconds())
            text = (
                "This link and this date of birth do not open a survey. Check the date of birth. "
                "A link works once, and for some days: if it was used before, ask for a new one."
            )
            raise FhirError(403, [error("login", text)])
        return survey(self.context, link.task)

    def _refuse_hurry(self, request: Request) -> None:
        address = request.client.host if request.client else ""
        if not self.attempts.allow(address):
            text = "There have been too many tries from here. Wait a minute, then try again."
            raise FhirError(429, [error("throttled", text)])

    async def _opened(self, sent: Any) -> tuple[Link, bool]:
        """Return the link that is sent and whether it opens its survey; the same work for any."""
        context = self.context
        given = sent if isinstance(sent, dict) else {}
        link = read(given.get("token"), context.jwks(), context.now())
        link = link or Link(secrets.token_urlsafe(), "", "", 0)
        is_right = surveys.is_birth_date(context, link, given.get("birthDate"))
        opening = Opening(link.digest, link.task, microseconds(context.now()), is_right)
        return link, await spend(context.database, opening)

    def _route(self, name: str, method: str, answering: Answering) -> Route:
        """Return a route that is answered within a sitting; whatever goes wrong is an outcome."""
        interaction = _INTERACTIONS.get(name, f"survey-{name}")

        async def answer(request: Request) -> Response:
            session = None
            try:
                session = self._sitting(request)
                admit(session.principal, interaction)
                context = self.context.asked_by(session.principal)
                found = self._answered(answering, context, session, request)
                made = await self.context.database.driven(found)
            except Exception as failure:
                made = _refusal(failure, interaction)
            if session is not None:
                self._record(session, interaction, made.status_code)
            return made

        return Route(f"{API}/{name}", answer, methods=[method])

    async def _answered(
        self, answering: Answering, context: Context, session: Session, request: Request
    ) -> Response:
        found = survey(context, session.told["task"])
        if not is_asked_of(found, session.told["reference"]):
            self.sittings.end(dict(request.scope["headers"]))
            raise FhirError(410, [error("business-rule", CLOSED, rule="survey-closed")])
        return await answering(context, session, request)

    def _sitting(self, request: Request) -> Session:
        headers = dict(request.scope["headers"])
        try:
            found = self.sittings.asked_by(headers, request.method)
        except FhirError as refusal:
            if refusal.status != 401:  # noqa: PLR2004
                raise
            found = None
        if found is None:
            text = (
                "You have been away for a while, so this page has closed. Your answers are kept: open "
                "the survey with a new link to go on."
            )
            raise FhirError(401, [error("expired", text)])
        return found

    async def _form(self, context: Context, session: Session, request: Request) -> Response:
        """GET form?language=…: what the page shows, in that language where the survey has it."""
        wanted = request.query_params.get("language")
        found = await surveys.opened(context, session.told["task"], wanted)
        return Response(encode(found), 200, SECRET, _JSON)

    async def _answers(self, context: Context, session: Session, request: Request) -> Response:
        """PUT response, If-Match: keep the answers so far; 412 shows them beside those kept since."""
        task, sent = session.told["task"], await _body(request)
        try:
            answers = await surveys.keep(context, task, sent, request.headers.get("if-match"))
        except FhirError as refusal:
            if refusal.status != 412:  # noqa: PLR2004
                raise
            theirs = surveys.kept(context, survey(context, task))
            both = {"mine": sent, "theirs": theirs.response}
            return Response(encode(both), 412, {**SECRET, "ETag": theirs.etag}, _JSON)
        headers = {**SECRET, "ETag": answers.etag}
        return Response(encode(answers.response), 200, headers, _FHIR)

    async def _consent(self, context: Context, session: Session, request: Request) -> Response:
        """POST consent {streams}: record decisions; one that ends the survey ends the sitting."""
        goes_on = await surveys.decide(context, session.told["task"], await _body(request))
        return Response(None, 204, SECRET) if goes_on else self._ended(request)

    async def _submit(self, context: Context, session: Session, request: Request) -> Response:
        """POST submit, If-Match: hand the answers in, which ends the sitting."""
        await surveys.submit(context, session.told["task"], request.headers.get("if-match"))
        return self._ended(request)

    async def _another_link(self, context: Context, session: Session, _: Request) -> Response:
        """POST another-link: send a new link to the address on file, which is not told."""
        if self.courier is None or self.plan is None:
            text = (
                "No link can be sent from here. Your answers are kept for the next time we write."
            )
            raise FhirError(503, [error("transient", text)])
        await send_another(context, session.told["task"], self.plan.valid, self.courier)
        return Response(None, 204, SECRET)

    def _ended(self, request: Request) -> Response:
        self.sittings.end(dict(request.scope["headers"]))
        return Response(None, 204, {**SECRET, "Set-Cookie": self.sittings.cookie.taken()})

    def _record(self, session: Session, interaction: str, status: int) -> None:
        principal = session.principal
        child = (principal.patient or "").rpartition("/")[2]
        what = (interaction, "Patient", child, status)
        told = {place_of("Patient", child)}
        self.context.audit.record(agent_of(principal), *what, children=told)


def _seconds() -> float:
    return asyncio.get_running_loop().time()


async def _body(request: Request) -> Any:
    """Return the JSON that is sent; raises FhirError 400 or 413."""
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > LARGEST:
            text = "What was sent is too large."
            raise FhirError(413, [error("too-long", text)])
    try:
        return decode(bytes(raw))
    except (ValueError, RecursionError):
        raise FhirError(400, [error("structure", "Send JSON.")]) from None


def _status(failure: Exception) -> int:
    return failure.status if isinstance(failure, FhirError) else 500


def _refusal(failure: Exception, interaction: str) -> Response:
    """Return a refusal as an outcome; an unforeseen failure says no more than that it was one."""
    if not isinstance(failure, FhirError):
        logger.error("500 %s %s", interaction, place(failure))
        text = "Something went wrong here, not with you. Nothing was lost: try again."
        failure = FhirError(500, [error("exception", text)])
    outcome: Resource = shown(failure)
    return Response(encode(outcome), failure.status, SECRET, _FHIR)
