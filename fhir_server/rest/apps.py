"""The page of apps: a person who has signed in opens an app for one child (SMART EHR launch).

https://hl7.org/fhir/smart-app-launch/app-launch.html#launch-app-ehr-launch
"""

from html import escape
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fhir_server.access import Callers
from fhir_server.access.app_launches import AppLaunches
from fhir_server.access.authorizing import with_query
from fhir_server.access.clients import Client
from fhir_server.access.sessions import Session, Sessions
from fhir_server.context import Context, agent_of
from fhir_server.rest import children
from fhir_server.rest.errors import logger
from fhir_server.rest.form import form
from fhir_server.rest.person import lets_apps_in, sending, session_of
from fhir_server.rest.sheet import SECRET, sheet
from fhir_server.rest.sign_in import PATH as SIGN_IN
from fhir_server.rest.sign_in_development import ABOVE
from fhir_server.store.failure import place
from fhir_server.store.search.keys import place as place_of
from r4.issue import FhirError, error

PATH = "/apps"
_NONE = "<p>No app can be opened here: the operator registers its <code>launch_url</code>.</p>"


class Door:
    """Opens apps that have a launch URL, each for one child."""

    def __init__(
        self, made: Context, callers: Callers, sessions: Sessions, launches: AppLaunches
    ) -> None:
        self.context, self.callers, self.sessions = made, callers, sessions
        self.launches = launches
        self.root = made.base_url.removesuffix("/fhir")
        self.above = ABOVE if made.settings.demo else ""

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the page."""
        return [Route(PATH, self.page, methods=["GET"]), Route(PATH, self.open, methods=["POST"])]

    async def page(self, request: Request) -> Response:
        """GET /apps: the apps, and a child to open one for; `patient` is one by its id."""
        session = session_of(self.sessions, request)
        if session is None:
            query = request.url.query
            here = f"{urlsplit(self.root).path}{PATH}{f'?{query}' if query else ''}"
            where = f"{self.root}{SIGN_IN}?next={quote(here, safe='')}"
            return Response(None, 302, {**SECRET, "Location": where})
        try:
            _refuse_role(session)
            sent = request.query_params
            if "patient" in sent:
                child = await children.seen(self.context, session, sent["patient"])
                children.told(self.context, session, child["id"])
                return self._page(session, children.chosen(child))
            found = await children.named(self.context, session, sent.get("find", ""))
        except Exception as failure:
            return self._failed(session, failure)
        looking = children.looking(f"{self.root}{PATH}")
        return self._page(session, children.choices(found), looking)

    async def open(self, request: Request) -> Response:
        """POST /apps: open an app for a child; sends the browser to the app's launch URL."""
        session = None
        try:
            sent = dict(await form(request))
            session = sending(self.sessions, request, sent, "Open the page of apps again.")
            _refuse_role(session)
            app, url = self._app(sent.get("app", ""))
            child = await children.seen(self.context, session, sent.get("patient", ""))
        except Exception as failure:
            return self._failed(session, failure)
        value = self.launches.open(session, app, child["id"])
        self._record(session, child["id"], 303)
        where = with_query(url, {"iss": self.context.base_url, "launch": value})
        return Response(None, 303, {**SECRET, "Location": where})

    def _apps(self) -> list[tuple[Client, str]]:
        """Return the apps that can be opened, each with its launch URL, by name."""
        known = self.callers.registered.known
        listed = [known[name] for name in sorted(known) if not known[name].revoked]
        return [(each, each.launch_url) for each in listed if each.launch_url is not None]

    def _app(self, name: str) -> tuple[Client, str]:
        for app, url in self._apps():
            if app.name == name:
                return app, url
        raise FhirError(404, [error("not-found", "No app with this name can be opened here.")])

    def _page(self, session: Session, chosen: str, above: str = "") -> Response:
        """Return the page; chosen: the child, or those to choose from, in HTML; above: what is before."""
        apps = self._apps()
        buttons = "".join(
            f'<p><button name="app" value="{escape(app.name)}">Open {escape(app.name)}</button> '
            f"({escape(_origin(url))})</p>"
            for app, url in apps
        )
        opening = (
            f'<form method="post" action="{self.root}{PATH}">'
            f'<input type="hidden" name="csrf" value="{escape(session.csrf)}">{chosen}{buttons}</form>'
        )
        body = f"{above}{opening if chosen else ''}" if apps else _NONE
        who = f"<p>You are {escape(session.told['user']['display'])}.</p>"
        leads = {_origin(each) for app, url in apps for each in (url, *app.redirect_uris)}
        return sheet("Open an app", f"{self.above}{who}{body}", sends_to=sorted(leads))

    def _failed(self, session: Session | None, failure: Exception) -> Response:
        """Return the page that says why no app is opened; it stands in the audit."""
        if isinstance(failure, FhirError):
            status, said = failure.status, [issue.diagnostics for issue in failure.issues]
        else:
            logger.error("500 apps %s", place(failure))
            status, said = 500, ["The registry failed, and it has been logged. Try again."]
        self._record(session, None, status)
        sentences = "".join(f"<p>{escape(each)}</p>" for each in said)
        return sheet("No app is opened", self.above + sentences, status)

    def _record(self, session: Session | None, patient: str | None, status: int) -> None:
        agent = agent_of(None if session is None else session.principal)
        kind = None if patient is None else "Patient"
        told = set() if patient is None else {place_of("Patient", patient)}
        self.context.audit.record(agent, "app-launch", kind, patient, status, children=told)


def _refuse_role(session: Session) -> None:
    if not lets_apps_in(session):
        raise FhirError(403, [error("forbidden", "Your role opens no app.")])


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
