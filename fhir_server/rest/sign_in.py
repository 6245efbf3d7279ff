"""Signing in and out: the list of identity providers, the way to one and back, beside the FHIR endpoint.

What goes wrong is a page in plain words, and stands in the audit.
https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth
"""

from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fhir_server.access import is_local, oidc_development
from fhir_server.access.jwks import Fetch
from fhir_server.access.oidc import NotSignedInError, SignedIn, SignIns
from fhir_server.access.oidc_providers import DEVELOPMENT, Provider, providers
from fhir_server.access.pending import WITHIN
from fhir_server.access.people import Person
from fhir_server.access.sessions import Sessions, cookie
from fhir_server.context import Context, agent_of
from fhir_server.rest.errors import logger
from fhir_server.rest.form import form
from fhir_server.rest.oauth import Giving
from fhir_server.rest.person import lets_apps_in, session_of
from fhir_server.rest.sheet import SECRET, sheet
from fhir_server.rest.sign_in_development import ABOVE
from fhir_server.store.audit_row import Agent
from fhir_server.store.failure import place
from r4.issue import FhirError, error
from r4.json import Resource, encode

PATH = "/sign-in"
_OUT = """
document.getElementById('out').onclick = async () => {
  const told = await (await fetch('session')).json();
  const headers = {'X-CSRF-Token': told.csrf};
  const done = await fetch('session', {method: 'DELETE', headers});
  location.assign(done.status === 200 ? (await done.json()).endSession : 'sign-in');
};
"""


class Door:
    """Signs people in, in the demo by its own provider alone.

    Raises ValueError for a file of identity providers that is none, and where the demo's is not safe.
    """

    def __init__(self, made: Context, sessions: Sessions, given: Giving, fetch: Fetch) -> None:
        settings = made.settings
        oidc_development.refuse_development(settings)
        self.context, self.sessions, self.given = made, sessions, given
        self.root = made.base_url.removesuffix("/fhir")
        self.above = ABOVE if settings.demo else ""
        registered: Mapping[str, Provider]
        if settings.demo:
            registered = {DEVELOPMENT: oidc_development.registered(self.root)}
            fetch = oidc_development.fetch
        else:
            is_here = is_local(settings.fhir_host)
            registered = providers(settings.identity_providers, made.base_url, is_local=is_here)
        self.browser = cookie(made.base_url, embedded=False, purpose="sign-in")
        self.sign_ins = SignIns(made.now, registered, self.root, fetch)

    def routes(self) -> list[BaseRoute]:
        """Return the routes of signing in."""
        return [
            Route(PATH, self.providers, methods=["GET"]),
            Route(f"{PATH}/{{name}}", self.begin, methods=["GET"]),
            Route(f"{PATH}/{{name}}/callback", self.finish, methods=["GET"]),
            Route(f"{PATH}/{{name}}/back-channel-logout", self.log_out, methods=["POST"]),
        ]

    async def providers(self, request: Request) -> Response:
        """GET /sign-in: who has signed in, and the providers; `next` is a place here to go to then."""
        found = session_of(self.sessions, request, use=False)
        then = request.query_params.get("next", "")
        query = f"?next={quote(then, safe='')}" if then else ""
        listed = "".join(
            f'<li><a href="{self.root}{PATH}/{name}{query}">{escape(each.title)}</a></li>'
            for name, each in self.sign_ins.providers.items()
        )
        body = self.above + (f"<p>Sign in by:</p><ul>{listed}</ul>" if listed else _NOBODY)
        if found is None:
            return sheet("Sign in", body)
        told = found.told
        whose = ", ".join(told.get("hospitals", ()))
        said = escape(
            f"You are {told['user']['display']}: {told['role']}{f' ({whose})' * bool(whose)}."
        )
        out = '<p><button id="out" type="button">Sign out</button></p>'
        opens = f'<p><a href="{self.root}/apps">Open an app for a child</a></p>'
        apps = opens if lets_apps_in(found) else ""
        return sheet("Signed in", f"<p>{said}</p>{apps}{out}{body}", script=_OUT)

    async def begin(self, request: Request) -> Response:
        """GET /sign-in/[provider]: send the browser on to it."""
        name, then = request.path_params["name"], request.query_params.get("next", PATH)
        browser = self.browser.of(_headers(request))
        try:
            where, browser = await self.sign_ins.begin(name, browser, then)
        except Exception as failure:
            return self._page(failure)
        kept = self.browser.given(browser, int(WITHIN.total_seconds()))
        return Response(None, 302, {**SECRET, "Location": where, "Set-Cookie": kept})

    async def finish(self, request: Request) -> Response:
        """GET /sign-in/[provider]/callback?code=…&state=…: open the session."""
        headers = _headers(request)
        try:
            browser = self.browser.of(headers)
            asked = dict(request.query_params)
            found = await self.sign_ins.finish(request.path_params["name"], asked, browser)
        except Exception as failure:
            return self._page(failure)
        self.sessions.end(headers)
        return self._opened(found, request.path_params["name"])

    def _opened(self, found: SignedIn, name: str) -> Response:
        who = found.person.principal
        told = _told(found.person, self.sign_ins.providers[name])
        value, _ = self.sessions.open(who, told, leave=found.leave, login=found.login)
        self.context.audit.record(agent_of(who), "sign-in", status=200)
        cookie = self.sessions.cookie.given(value)
        place = found.then if found.then != PATH else f"{self.root}{PATH}"
        return Response(None, 302, {**SECRET, "Location": place, "Set-Cookie": cookie})

    async def log_out(self, request: Request) -> Response:
        """POST /sign-in/[provider]/back-channel-logout: end the sessions whose sign-in has ended there.

        https://openid.net/specs/openid-connect-backchannel-1_0.html#BCResponse
        """
        try:
            token = _logout_token(await form(request))
            ended = await self.sign_ins.logged_out(request.path_params["name"], token)
        except FhirError as refusal:
            return self._not_ended(400, "invalid_request", refusal.issues[0].diagnostics)
        except Exception as failure:
            logger.error("500 sign-out %s", place(failure))
            return self._not_ended(500, "server_error", "The server failed; it has been logged.")
        self.given.log_out(ended)
        for each in self.sessions.log_out(ended):
            self.context.audit.record(agent_of(each.principal), "sign-out", status=200)
        return Response(None, 200, SECRET)

    def _not_ended(self, status: int, code: str, why: str) -> Response:
        self.context.audit.record(Agent("unknown"), "sign-out", status=status)
        told = {"error": code, "error_description": why}
        return Response(encode(told), status, SECRET, "application/json")

    def _page(self, failure: Exception) -> Response:
        """Return the page that says why nobody is signed in; it stands in the audit."""
        who = failure.who if isinstance(failure, NotSignedInError) else "unknown"
        if isinstance(failure, FhirError):
            status, said = failure.status, [issue.diagnostics for issue in failure.issues]
        else:
            logger.error("500 sign-in %s", place(failure))
            status, said = 500, ["The registry failed, and it has been logged. Try again."]
        self.context.audit.record(Agent(who), "sign-in", status=status)
        sentences = "".join(f"<p>{escape(each)}</p>" for each in said)
        again = f'<p><a href="{self.root}{PATH}">Back to the sign-in</a></p>'
        return sheet("You are not signed in", self.above + sentences + again, status)


_NOBODY = (
    "<p>Nobody can sign in yet: the operator registers an identity provider "
    "(<code>CSOR_IDENTITY_PROVIDERS</code>).</p>"
)


def _told(person: Person, provider: Provider) -> Resource:
    """Return what `GET /session` tells of a person."""
    number = {"system": provider.issuer, "value": person.subject}
    return {
        "user": {"display": person.display, "identifier": number},
        "role": person.role,
        "hospitals": sorted(person.principal.hospitals),
        "provider": provider.title,
    }


def _logout_token(sent: Sequence[tuple[str, str]]) -> str:
    found = [value for name, value in sent if name == "logout_token"]
    if len(found) != 1:
        raise FhirError(400, [error("required", "Send one logout_token.", "http.body")])
    return found[0]


def _headers(request: Request) -> dict[bytes, bytes]:
    return dict(request.scope["headers"])
