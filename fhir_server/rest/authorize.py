"""The authorization endpoint of SMART App Launch: a person decides what an app may see, and of which child.

https://hl7.org/fhir/smart-app-launch/app-launch.html
"""

from html import escape
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fhir_server.access import Callers, app_scopes
from fhir_server.access.app_launches import AppLaunches
from fhir_server.access.authorizing import (
    Asked,
    SentBackError,
    asked,
    denied,
    not_launched,
    with_query,
)
from fhir_server.access.grants import Grant, Grants
from fhir_server.access.sessions import Session, Sessions
from fhir_server.context import Context
from fhir_server.interactions.smart_configuration import openid_configuration
from fhir_server.operations.fhir_user import fhir_user
from fhir_server.rest import apps, children
from fhir_server.rest.errors import logger
from fhir_server.rest.form import form
from fhir_server.rest.person import lets_apps_in, sending, session_of
from fhir_server.rest.sheet import SECRET, sheet
from fhir_server.rest.sign_in import PATH as SIGN_IN
from fhir_server.rest.sign_in_development import ABOVE
from fhir_server.store.audit_row import Agent
from fhir_server.store.failure import place
from fhir_server.store.search.keys import place as place_of
from r4.issue import FhirError
from r4.json import Resource, encode

PATH = "/authorize"
_GONE = (404, 410)
_WHOSE = {
    (True, True): "of the child that you choose",
    (True, False): "of this child",
    (False, True): "that you may see",
}
"""Whose data an app sees, by whether it is of a child, and whether that is still to be chosen."""


class Door:
    """Lets people let apps in."""

    def __init__(self, made: Context, callers: Callers, sessions: Sessions, grants: Grants) -> None:
        self.context, self.callers, self.sessions, self.grants = made, callers, sessions, grants
        self.root = made.base_url.removesuffix("/fhir")
        self.above = ABOVE if made.settings.demo else ""
        self.launches = AppLaunches(made.now)

    def routes(self) -> list[BaseRoute]:
        """Return the routes of apps' launches; none where nobody can sign in."""
        if self.context.settings.identity_providers is None and not self.context.settings.demo:
            return []
        opening = apps.Door(self.context, self.callers, self.sessions, self.launches)
        return [
            *opening.routes(),
            Route(PATH, self.ask, methods=["GET"]),
            Route(PATH, self.decide, methods=["POST"]),
            Route("/.well-known/openid-configuration", self.configuration, methods=["GET"]),
        ]

    async def configuration(self, _: Request) -> Response:
        """GET /.well-known/openid-configuration: by what apps verify identity tokens."""
        told = openid_configuration(self.context)
        return Response(encode(told), 200, media_type="application/json")

    async def ask(self, request: Request) -> Response:
        """GET /authorize: the page on which a person decides; whoever has not signed in does so first."""
        try:
            query = request.scope["query_string"].decode("latin-1")
            pairs = parse_qsl(query, keep_blank_values=True)
            wanted = asked(pairs, self.callers.registered.known, self.context.base_url)
            session = session_of(self.sessions, request)
            if session is None:
                return self._sign_in_first(wanted)
            self._refuse_role(session, wanted)
            if wanted.launch is None:
                text = dict(pairs).get("find", "")
                found = await children.named(self.context, session, text)
                return self._page(session, wanted, children.choices(found))
            opened = self.launches.patient(wanted.launch, session, wanted.client)
            child = await self._seen(session, wanted, opened)
            children.told(self.context, session, child["id"])
            return self._page(session, wanted, children.chosen(child))
        except Exception as failure:
            return self._failed(failure)

    async def decide(self, request: Request) -> Response:
        """POST /authorize: what the person has decided; sends the browser back to the app."""
        try:
            pairs = await form(request)
            sent = dict(pairs)
            wanted = asked(pairs, self.callers.registered.known, self.context.base_url)
            session = sending(self.sessions, request, sent, "Begin again in the app.")
            self._refuse_role(session, wanted)
            child: str | None = sent.get("patient", "")
            if wanted.launch is not None:  # whatever is decided, it is used
                child = self.launches.take(wanted.launch, session, wanted.client)
            self._refuse_denied(wanted, sent.get("decision"))
            if wanted.is_of_patient:
                await self._seen(session, wanted, child)
            return await self._granted(session, wanted, child)
        except Exception as failure:
            return self._failed(failure)

    def _sign_in_first(self, wanted: Asked) -> Response:
        """Send the browser to the sign-in; raises SentBackError for a launch, which ends with its session."""
        if wanted.launch is not None:
            raise not_launched(wanted, self.root)
        here = f"{urlsplit(self.root).path}{PATH}?{urlencode(wanted.parameters)}"
        place = f"{self.root}{SIGN_IN}?next={quote(here, safe='')}"
        return Response(None, 302, {**SECRET, "Location": place})

    async def _seen(self, session: Session, wanted: Asked, child: str | None) -> Resource:
        """Return the child that an app is to be told of; raises FhirError unless the person sees it.

        Of a launch, SentBackError; child: its id, None where the launch is none.
        """
        if child is None:
            raise not_launched(wanted, self.root)
        try:
            return await children.seen(self.context, session, child)
        except FhirError as refusal:
            if wanted.launch is None or refusal.status not in _GONE:
                raise
            raise not_launched(wanted, self.root) from None

    async def _granted(self, session: Session, wanted: Asked, child: str | None) -> Response:
        patient = child if wanted.is_of_patient else None
        user = None
        if "fhirUser" in wanted.scopes:
            work = fhir_user(self.context, session.principal, session.told["user"])
            user = f"{self.context.base_url}/{await self.context.database.driven(work)}"
        grant = Grant(wanted.client, session, wanted.scopes, patient, user, wanted.nonce)
        code = self.grants.code(grant, wanted.redirect, wanted.challenge)
        self._record(grant.principal(()).name, patient, 302)
        answer = {"code": code, "state": wanted.state, "iss": self.root}
        place = with_query(wanted.redirect, answer)
        return Response(None, 303, {**SECRET, "Location": place})

    def _refuse_role(self, session: Session, wanted: Asked) -> None:
        if not lets_apps_in(session):
            text = "The role of the user lets no app in."
            raise denied(wanted, self.root, text)

    def _refuse_denied(self, wanted: Asked, decision: str | None) -> None:
        if decision != "allow":
            raise denied(wanted, self.root, "The user did not let the app in.")

    def _page(self, session: Session, wanted: Asked, child: str) -> Response:
        """Return the page: which app, what it may do, for whom; child: of which child, in HTML."""
        hidden = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
            for name, value in wanted.parameters.items()
        )
        target = urlsplit(wanted.redirect)
        origin = f"{target.scheme}://{target.netloc}"
        of_patient, chooses = wanted.is_of_patient, wanted.launch is None
        whose = _WHOSE[of_patient, chooses]
        may = "".join(
            f"<li>{escape(app_scopes.in_words(each, whose))}</li>" for each in wanted.scopes
        )
        looking = children.looking(f"{self.root}{PATH}", hidden) if of_patient and chooses else ""
        allow = '<button name="decision" value="allow">Let it in</button> '
        body = (
            f"{self.above}<p>You are {escape(session.told['user']['display'])}. The app "
            f"<strong>{escape(wanted.client.name)}</strong> ({escape(origin)}) wants to:</p>"
            f"<ul>{may}</ul>{looking}"
            f'<form method="post" action="{self.root}{PATH}">{hidden}'
            f'<input type="hidden" name="csrf" value="{escape(session.csrf)}">{child}'
            f"<p>{allow if child or not of_patient else ''}"
            '<button name="decision" value="deny" formnovalidate>Do not let it in</button></p></form>'
        )
        return sheet("Let this app in?", body, sends_to=[origin])

    def _failed(self, failure: Exception) -> Response:
        """Return where a refusal leads: back to the app, if it is known where that is, else a page."""
        if isinstance(failure, SentBackError):
            self._record(failure.client, None, 400)
            logger.warning("authorize refused to %s: %s", failure.client, failure)
            return Response(None, 303, {**SECRET, "Location": failure.place})
        if isinstance(failure, FhirError):
            status, said = failure.status, [issue.diagnostics for issue in failure.issues]
        else:
            logger.error("500 authorize %s", place(failure))
            status, said = 500, ["The registry failed, and it has been logged. Try again."]
        self._record("unknown", None, status)
        sentences = "".join(f"<p>{escape(each)}</p>" for each in said)
        return sheet("The app is not let in", self.above + sentences, status)

    def _record(self, who: str, patient: str | None, status: int) -> None:
        kind = None if patient is None else "Patient"
        told = set() if patient is None else {place_of("Patient", patient)}
        self.context.audit.record(Agent(who), "authorize", kind, patient, status, children=told)
