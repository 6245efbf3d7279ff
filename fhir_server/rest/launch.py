"""SMART launches and the sessions that they open, beside the FHIR endpoint.

What goes wrong in a launch is a page in plain words; what a session is refused is an OperationOutcome
whose details.text can be shown to whoever reads the page.
https://hl7.org/fhir/smart-app-launch/app-launch.html
"""

from html import escape
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fhir_server.access import is_local
from fhir_server.access.asking import Ask, ask
from fhir_server.access.eprs import eprs
from fhir_server.access.launch import Launches
from fhir_server.access.pending import WITHIN
from fhir_server.access.sessions import Headers, Session, Sessions, cookie
from fhir_server.context import Context, agent_of, instant
from fhir_server.operations import chart, launched
from fhir_server.operations.write_back import WriteBacks
from fhir_server.rest.errors import HEADERS, logger, shown
from fhir_server.rest.sheet import SECRET, sheet
from fhir_server.store.audit_row import NOBODY
from fhir_server.store.failure import place
from fhir_server.store.search.keys import place as place_of
from r4.issue import FhirError, error
from r4.json import encode

_FHIR = "application/fhir+json"
_PAGE = "note"


class Door:
    """Answers launches and sessions; raises ValueError for a file of EPRs that is none."""

    def __init__(self, made: Context, sessions: Sessions, ask: Ask = ask) -> None:
        settings, root = made.settings, made.base_url.removesuffix("/fhir")
        is_here = is_local(settings.fhir_host)
        registered = eprs(settings.epr_servers, made.base_url, is_local=is_here)
        self.context, self.sessions, self.ask = made, sessions, ask
        self.browser = cookie(made.base_url, embedded=bool(settings.epr_origins), purpose="launch")
        self.launches = Launches(made.now, registered, f"{root}/callback", ask)
        self.write_backs = WriteBacks(made, self.launches, ask)

    def routes(self) -> list[BaseRoute]:
        """Return the routes of launches and sessions."""
        return [
            Route("/launch", self.launch, methods=["GET"]),
            Route("/callback", self.callback, methods=["GET"]),
            Route("/session", self.session, methods=["GET"]),
            Route("/session", self.finish, methods=["DELETE"]),
        ]

    def signed(self, headers: Headers, answer: bytes) -> None:
        """Give back to the EPR what a session has signed; answer is the transaction-response.

        Never raises: the note is signed, and its answer says so whatever becomes of this.
        """
        try:
            if (session := self.sessions.asked_by(headers)) is not None:
                self.write_backs.signed(session, answer)
        except Exception as failure:
            logger.error("a signed note is not given back: %s", place(failure))

    async def launch(self, request: Request) -> Response:
        """GET /launch?iss=…&launch=…: send the browser on to the EPR that opened it."""
        headers = dict(request.scope["headers"])
        asked = request.query_params
        try:
            place, browser = await self.launches.begin(
                asked.get("iss", ""), asked.get("launch"), self.browser.of(headers)
            )
        except Exception as failure:
            return self._page(failure, "launch")
        kept = self.browser.given(browser, int(WITHIN.total_seconds()))
        return Response(None, 302, {**SECRET, "Location": place, "Set-Cookie": kept})

    async def callback(self, request: Request) -> Response:
        """GET /callback?code=…&state=…: open the session, and the note's page."""
        headers = dict(request.scope["headers"])
        try:
            browser = self.browser.of(headers)
            grant = await self.launches.finish(dict(request.query_params), browser)
            found = await chart.read(grant, self.ask, self.context.forms.values())
            database = self.context.database
            opened = await database.driven(launched.opened(self.context, grant, found))
        except Exception as failure:
            return self._page(failure, "launch")
        self.sessions.end(headers)
        value, session = self.sessions.open(opened.principal, opened.told, grant)
        self._record(session, "launch", 200)
        page = f"{urlsplit(self.context.base_url).path.removesuffix('/fhir')}/{_PAGE}"
        given = {**SECRET, "Location": page, "Set-Cookie": self.sessions.cookie.given(value)}
        return Response(None, 302, given)

    async def session(self, request: Request) -> Response:
        """GET /session: who, on which child, and the secret that unsafe requests repeat.

        Asking is no use of the session: a page that asks again and again keeps nothing open.
        """
        try:
            found = self._found(request, use=False)
        except FhirError as refusal:
            return _refusal(refusal)
        body = {**found.told, "csrf": found.csrf, "expires": instant(found.expires)}
        if found.principal.patient is not None:
            context = self.context.asked_by(found.principal)
            body["response"] = await context.database.driven(launched.draft(context, found.told))
            body["written"] = found.written
        self._record(found, "session", 200)
        return Response(encode(body), 200, SECRET, "application/json")

    async def finish(self, request: Request) -> Response:
        """DELETE /session: end it, so that nobody who uses the browser next finds it.

        Where the browser can sign out of its identity provider, too, `endSession` says at which URL.
        """
        try:
            found = self._found(request)
        except FhirError as refusal:
            return _refusal(refusal)
        self.sessions.end(dict(request.scope["headers"]))
        status = 204 if found.leave is None else 200
        self._record(found, "finish", status)
        headers = {**SECRET, "Set-Cookie": self.sessions.cookie.taken()}
        if found.leave is None:
            return Response(None, status, headers)
        return Response(encode({"endSession": found.leave}), status, headers, "application/json")

    def _found(self, request: Request, *, use: bool = True) -> Session:
        headers = dict(request.scope["headers"])
        found = self.sessions.asked_by(headers, request.method, use=use)
        if found is None:
            text = "There is no session. Open the note from the hospital's system, or sign in at /sign-in."
            raise FhirError(401, [error("login", text, "http.Cookie")])
        return found

    def _record(self, session: Session, interaction: str, status: int) -> None:
        child = (session.principal.patient or "").rpartition("/")[2]
        what = (
            (interaction, "Patient", child, status) if child else (interaction, None, None, status)
        )
        told = {place_of("Patient", child)} if child else set()
        self.context.audit.record(agent_of(session.principal), *what, children=told)

    def _page(self, failure: Exception, interaction: str) -> Response:
        """Return the page that says why nothing is opened; an unforeseen failure says no more than that."""
        if isinstance(failure, FhirError):
            status, said = failure.status, [issue.diagnostics for issue in failure.issues]
        else:
            logger.error("500 %s %s", interaction, place(failure))
            status, said = 500, ["The registry failed; nothing was stored. It has been logged."]
        self.context.audit.record(NOBODY, interaction, status=status)
        sentences = "".join(f"<p>{escape(each)}</p>" for each in said)
        origins = (self.context.settings.epr_origins or "").replace(",", " ").split()
        return sheet("The note was not opened", sentences, status, ancestors=origins)


def _refusal(refusal: FhirError) -> Response:
    headers = {**SECRET, **HEADERS.get(refusal.status, {})}
    return Response(encode(shown(refusal)), refusal.status, headers, _FHIR)
