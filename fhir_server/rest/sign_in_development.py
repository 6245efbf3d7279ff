"""The pages and endpoints of the demo's identity provider; whoever may not do everything gets none."""

from collections.abc import Awaitable, Callable, Mapping
from html import escape

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fhir_server.access import Callers
from fhir_server.access.oidc_development import NOTICE, PATH, PEOPLE, Development
from fhir_server.access.roles import OF_HOSPITALS
from fhir_server.context import Context
from fhir_server.rest.form import form
from fhir_server.rest.sheet import SECRET, sheet
from r4.issue import FhirError
from r4.json import encode

ABOVE = f'<p class="notice" role="note">{NOTICE}</p>'
"""What stands on every page of the sign-in in the demo."""
_KNOWN_BY = (b"cookie", b"authorization")
"""Headers by which somebody elsewhere could be known, too."""
_TITLE = "Who do you want to be?"

Answers = Callable[[Request], Awaitable[Response]]


class Door:
    """Signs in whoever is chosen, on this machine."""

    def __init__(self, made: Context, callers: Callers) -> None:
        self.context, self.callers = made, callers
        self.root = made.base_url.removesuffix("/fhir")
        self.provider = Development(made.now, self.root)

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the provider."""
        listed: list[tuple[str, str, Answers]] = [
            ("/.well-known/openid-configuration", "GET", self.configuration),
            ("/jwks", "GET", self.jwks),
            ("/authorize", "GET", self.authorize),
            ("/authorize", "POST", self.chosen),
            ("/token", "POST", self.token),
            ("/end", "GET", self.end),
        ]
        return [
            Route(f"{PATH}{path}", self._on_this_machine(answer), methods=[method])
            for path, method, answer in listed
        ]

    async def configuration(self, _: Request) -> Response:
        """GET discovery."""
        return _json(self.provider.configuration())

    async def jwks(self, _: Request) -> Response:
        """GET the public key."""
        return _json(self.provider.jwks())

    async def authorize(self, request: Request) -> Response:
        """GET /authorize: the people who may be chosen."""
        asked = dict(request.query_params)
        self.provider.refuse(asked)
        kept = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
            for name, value in asked.items()
        )
        people = "".join(
            f'<label><input type="radio" name="who" value="{who}" required> {escape(each.name)}</label>'
            for who, each in PEOPLE.items()
        )
        whose = " and ".join(each.name for each in PEOPLE.values() if each.role in OF_HOSPITALS)
        body = (
            f'{ABOVE}<form method="post" action="{self.root}{PATH}/authorize">{kept}'
            f"<fieldset><legend>All of them are fictitious</legend>{people}</fieldset>"
            f'<label for="hospital">ODS code of the hospital, for {escape(whose)}</label>'
            '<input id="hospital" name="hospital" value="RTH">'
            '<p><button type="submit">Sign in</button></p></form>'
        )
        return sheet(_TITLE, body)

    async def chosen(self, request: Request) -> Response:
        """POST /authorize: somebody is chosen."""
        asked = dict(await form(request))
        who, hospital = asked.pop("who", ""), asked.pop("hospital", "").strip()
        place = self.provider.chosen(asked, who, hospital)
        return Response(None, 303, {**SECRET, "Location": place})

    async def token(self, request: Request) -> Response:
        """POST /token: an identity token for a code."""
        return _json(self.provider.token(dict(await form(request))))

    async def end(self, _: Request) -> Response:
        """GET /end: there is no session here to end."""
        back = f'<p><a href="{self.root}/sign-in">Sign in again</a></p>'
        return sheet("You are signed out", ABOVE + back)

    def _on_this_machine(self, answer: Answers) -> Answers:
        """Return what answers those alone who may do everything here already, cookie or not."""

        async def answering(request: Request) -> Response:
            host = request.client.host if request.client else None
            headers = dict(request.scope["headers"])
            headers = {name: value for name, value in headers.items() if name not in _KNOWN_BY}
            try:
                self.callers.identify(host, headers)
                return await answer(request)
            except FhirError as refusal:
                said = "".join(f"<p>{escape(each.diagnostics)}</p>" for each in refusal.issues)
                return sheet("Nobody is signed in", ABOVE + said, refusal.status)

        return answering


def _json(told: Mapping[str, object]) -> Response:
    return Response(encode(told), 200, SECRET, "application/json")
