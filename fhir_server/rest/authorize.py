"""The authorization endpoint of SMART App Launch: a person decides what an app may see, and of which child.

https://hl7.org/fhir/smart-app-launch/app-launch.html
"""

import hmac
from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fhir_server.access import HOSPITAL, REGISTRY, Callers, app_scopes
from fhir_server.access.authorizing import Asked, SentBackError, asked, denied, with_query
from fhir_server.access.grants import Grant, Grants
from fhir_server.access.sessions import Session, Sessions
from fhir_server.context import Context
from fhir_server.interactions.read import read
from fhir_server.interactions.search import search
from fhir_server.interactions.smart_configuration import openid_configuration
from fhir_server.operations import launched
from fhir_server.operations.fhir_user import fhir_user
from fhir_server.rest.errors import logger
from fhir_server.rest.form import form
from fhir_server.rest.sheet import SECRET, sheet
from fhir_server.rest.sign_in import PATH as SIGN_IN
from fhir_server.rest.sign_in_development import ABOVE
from fhir_server.store.audit_row import Agent
from fhir_server.store.failure import place
from fhir_server.store.search.keys import place as place_of
from r4.issue import FhirError, error
from r4.json import Resource, decode, encode

PATH = "/authorize"
_MOST = 20
"""Most children that are listed to choose from."""
_LONGEST = 100
"""Most characters of a name that is looked for, or of an id."""


class Door:
    """Lets people let apps in."""

    def __init__(self, made: Context, callers: Callers, sessions: Sessions, grants: Grants) -> None:
        self.context, self.callers, self.sessions, self.grants = made, callers, sessions, grants
        self.root = made.base_url.removesuffix("/fhir")
        self.above = ABOVE if made.settings.demo else ""

    def routes(self) -> list[BaseRoute]:
        """Return the routes of apps' launches; none where nobody can sign in."""
        if self.context.settings.identity_providers is None and not self.context.settings.demo:
            return []
        return [
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
            session = self._session(request)
            if session is None:
                here = f"{urlsplit(self.root).path}{PATH}?{urlencode(wanted.parameters)}"
                place = f"{self.root}{SIGN_IN}?next={quote(here, safe='')}"
                return Response(None, 302, {**SECRET, "Location": place})
            self._refuse_role(session, wanted)
            found = await self._children(session, dict(pairs).get("find", "")[:_LONGEST])
            return self._page(session, wanted, found)
        except Exception as failure:
            return self._failed(failure)

    async def decide(self, request: Request) -> Response:
        """POST /authorize: what the person has decided; sends the browser back to the app."""
        try:
            pairs = await form(request)
            sent = dict(pairs)
            wanted = asked(pairs, self.callers.registered.known, self.context.base_url)
            session = self._deciding(request, sent)
            self._refuse_role(session, wanted)
            self._refuse_denied(wanted, sent.get("decision"))
            return await self._granted(session, wanted, sent.get("patient", ""))
        except Exception as failure:
            return self._failed(failure)

    async def _granted(self, session: Session, wanted: Asked, child: str) -> Response:
        patient = None
        if wanted.is_of_patient:
            await self._read(session, child)
            patient = child
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

    def _session(self, request: Request) -> Session | None:
        """Return the session of whoever has signed in, or None; a surgeon's, of one note, is none."""
        try:
            found = self.sessions.asked_by(dict(request.scope["headers"]))
        except FhirError:
            return None
        return found if found is not None and found.principal.patient is None else None

    def _deciding(self, request: Request, sent: Mapping[str, str]) -> Session:
        """Return the session that a decision is of; raises FhirError 403 where a page of ours sent none."""
        session = self._session(request)
        if session is None:
            text = "Your session has ended. Go back to the app, and begin again."
            raise FhirError(403, [error("expired", text)])
        self.sessions.refuse_other_pages(dict(request.scope["headers"]))
        if not hmac.compare_digest(sent.get("csrf", "").encode(), session.csrf.encode()):
            text = (
                "This page is not of the session that the browser has now. Begin again in the app."
            )
            raise FhirError(403, [error("forbidden", text)])
        return session

    def _refuse_role(self, session: Session, wanted: Asked) -> None:
        if not session.principal.roles & {REGISTRY, HOSPITAL}:
            text = "The role of the user lets no app in."
            raise denied(wanted, self.root, text)

    def _refuse_denied(self, wanted: Asked, decision: str | None) -> None:
        if decision != "allow":
            raise denied(wanted, self.root, "The user did not let the app in.")

    async def _children(self, session: Session, text: str) -> list[Resource]:
        """Return the children whom a person sees by a name or a number, few of them."""
        plain = text.strip()
        if not plain:
            return []
        number = plain.replace(" ", "")
        by = ("identifier", number) if number.isdecimal() else ("name", plain.replace(",", " "))
        context = self.context.asked_by(session.principal)

        async def found() -> bytes:
            return search(context, "Patient", [by, ("_count", str(_MOST))])

        listed = decode(await context.database.driven(found())).get("entry", ())
        shown = [each["resource"] for each in listed if each["search"]["mode"] == "match"]
        told = {place_of("Patient", each["id"]) for each in shown}
        self.context.audit.record(context.agent, "search-type", "Patient", None, 200, children=told)
        return shown

    async def _read(self, session: Session, child: str) -> None:
        """Raise FhirError 404 unless a person sees a child."""
        context = self.context.asked_by(session.principal)

        async def reading() -> None:
            read(context, "Patient", child[:_LONGEST])

        await context.database.driven(reading())

    def _page(self, session: Session, wanted: Asked, found: Sequence[Resource]) -> Response:
        """Return the page: which app, what it may do, for whom, and of which child."""
        hidden = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
            for name, value in wanted.parameters.items()
        )
        target = urlsplit(wanted.redirect)
        origin = f"{target.scheme}://{target.netloc}"
        of_patient = wanted.is_of_patient
        may = "".join(
            f"<li>{escape(app_scopes.in_words(each, of_patient=of_patient))}</li>"
            for each in wanted.scopes
        )
        looking = self._search_form(hidden) if of_patient else ""
        chosen = "".join(_choice(each) for each in found)
        children = f"<fieldset><legend>Which child?</legend>{chosen}</fieldset>" if chosen else ""
        allow = '<button name="decision" value="allow">Let it in</button> '
        body = (
            f"{self.above}<p>You are {escape(session.told['user']['display'])}. The app "
            f"<strong>{escape(wanted.client.name)}</strong> ({escape(origin)}) wants to:</p>"
            f"<ul>{may}</ul>{looking}"
            f'<form method="post" action="{self.root}{PATH}">{hidden}'
            f'<input type="hidden" name="csrf" value="{escape(session.csrf)}">{children}'
            f"<p>{allow if children or not of_patient else ''}"
            '<button name="decision" value="deny" formnovalidate>Do not let it in</button></p></form>'
        )
        return sheet("Let this app in?", body, sends_to=[origin])

    def _search_form(self, hidden: str) -> str:
        return (
            f'<form method="get" action="{self.root}{PATH}">{hidden}'
            '<label for="find">Find the child, by name or number</label>'
            '<input id="find" name="find" required> <button type="submit">Find</button></form>'
        )

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


def _choice(child: Resource) -> str:
    """Return the radio button of a child: name, date of birth, and the numbers that tell it from others."""
    numbers = [str(each["value"]) for each in child.get("identifier", ()) if "value" in each]
    told = [launched.name(child) or "(no name)", child.get("birthDate", ""), *numbers]
    said = ", ".join(each for each in told if each)
    return (
        f'<label><input type="radio" name="patient" value="{escape(child["id"])}" required> '
        f"{escape(said)}</label>"
    )
