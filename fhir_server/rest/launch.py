"""The session of a launched page, beside the FHIR endpoint: what it stands for, and its end.

Every refusal is an OperationOutcome whose details.text can be shown to whoever reads the page.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fhir_server.access.sessions import Session, Sessions
from fhir_server.context import Context, instant
from fhir_server.operations import launched
from fhir_server.rest.errors import HEADERS
from r4.issue import FhirError, error, operation_outcome
from r4.json import Resource, encode

_FHIR = "application/fhir+json"
_KEPT_NOWHERE = {"Cache-Control": "no-store"}
Handler = Callable[[Request], Awaitable[Response]]


def routes(made: Context, sessions: Sessions) -> list[BaseRoute]:
    """Return the routes of sessions: GET and DELETE /session."""
    door = _Door(made, sessions)
    return [
        Route("/session", door.session, methods=["GET"]),
        Route("/session", door.finish, methods=["DELETE"]),
    ]


@dataclass(frozen=True, slots=True)
class _Door:
    context: Context
    sessions: Sessions

    async def session(self, request: Request) -> Response:
        """GET /session: who, on which child, and the secret that unsafe requests repeat.

        Asking is no use of the session: a page that asks again and again keeps nothing open.
        """
        try:
            found = self._found(request, use=False)
        except FhirError as refusal:
            return _refusal(refusal)
        context = self.context.asked_by(found.principal)
        draft = await context.database.driven(launched.draft(context, found.told.get("form")))
        body = {
            **found.told,
            "response": draft,
            "csrf": found.csrf,
            "expires": instant(found.expires),
        }
        context.audit.record(found.principal.name, "session", "Patient", _id(found), 200)
        return Response(encode(body), 200, _KEPT_NOWHERE, "application/json")

    async def finish(self, request: Request) -> Response:
        """DELETE /session: end it, so that nobody who uses the browser next finds it."""
        try:
            found = self._found(request)
        except FhirError as refusal:
            return _refusal(refusal)
        self.sessions.end(dict(request.scope["headers"]))
        self.context.audit.record(found.principal.name, "finish", "Patient", _id(found), 204)
        return Response(None, 204, {**_KEPT_NOWHERE, "Set-Cookie": self.sessions.cookie.taken()})

    def _found(self, request: Request, *, use: bool = True) -> Session:
        headers = dict(request.scope["headers"])
        found = self.sessions.asked_by(headers, request.method, use=use)
        if found is None:
            text = "There is no session. Open the note from the hospital's system."
            raise FhirError(401, [error("login", text, "http.Cookie")])
        return found


def _id(session: Session) -> str:
    return (session.principal.patient or "").rpartition("/")[2]


def _refusal(refusal: FhirError) -> Response:
    outcome: Resource = operation_outcome(refusal.issues)
    for issue in outcome["issue"]:
        issue["details"] = {"text": issue["diagnostics"]}
    headers = {**_KEPT_NOWHERE, **HEADERS.get(refusal.status, {})}
    return Response(encode(outcome), refusal.status, headers, _FHIR)
