"""Who has signed in and asks for one of the server's own pages, or sends its form."""

import hmac
from collections.abc import Mapping

from starlette.requests import Request

from fhir_server.access import HOSPITAL, REGISTRY
from fhir_server.access.sessions import Session, Sessions
from r4.issue import FhirError, error


def session_of(sessions: Sessions, request: Request, *, use: bool = True) -> Session | None:
    """Return the session of whoever has signed in, or None; a surgeon's, of one note, is none."""
    try:
        found = sessions.asked_by(dict(request.scope["headers"]), use=use)
    except FhirError:
        return None
    return found if found is not None and found.principal.patient is None else None


def sending(sessions: Sessions, request: Request, sent: Mapping[str, str], again: str) -> Session:
    """Return the session that a form is of; raises FhirError 403 where a page of ours sent none.

    again: what to do then, in a sentence.
    """
    session = session_of(sessions, request)
    if session is None:
        raise FhirError(403, [error("expired", f"Your session has ended. {again}")])
    sessions.refuse_other_pages(dict(request.scope["headers"]))
    if not hmac.compare_digest(sent.get("csrf", "").encode(), session.csrf.encode()):
        text = f"This page is not of the session that the browser has now. {again}"
        raise FhirError(403, [error("forbidden", text)])
    return session


def lets_apps_in(session: Session) -> bool:
    """Tell whether a person's role lets apps in: others see no child, or under other names."""
    return bool(session.principal.roles & {REGISTRY, HOSPITAL})
