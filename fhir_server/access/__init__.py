"""Who may do what: every route and every message passes `admit` before anything else happens.

Callers on this machine (a loopback address) and clients that the operator has registered for no hospital
act for the registry as a whole, as far as their scopes reach. A surgeon whom an EPR has launched has a
session, by its cookie, and may do with one child's note what `SURGEON_MAY` lists. A parent who has opened
a survey has a sitting, by another cookie, and may do what `PARENT_MAY` lists, none of which is FHIR. A
hospital's own system may do what `hospital.HOSPITAL_MAY` lists, and sees its own children alone
(`store.view`). An analyst may do what `analyst.ANALYST_MAY` lists, and is answered in pseudonyms.
People who have signed in (`oidc`) have a session by the same cookie as surgeons; those of a hospital may
do what `roles.READER_MAY` lists of that.
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from fhir_server.access import analyst, auditor, hospital, roles, scopes
from fhir_server.access.clients import Client, Clients, Door, clients
from fhir_server.access.integrator import INTEGRATOR_MAY
from fhir_server.access.private import refuse_readable
from fhir_server.access.roles import APP, AUDITOR, INTEGRATOR, PARENT, REGISTRY, SURGEON
from fhir_server.access.sessions import Session, Sessions
from fhir_server.access.tokens import Token, Tokens
from fhir_server.context import ANALYST, HOSPITAL, Principal
from fhir_server.settings import Settings
from r4.issue import FhirError, error

__all__ = [
    "AUDITOR", "EVERYBODY_MAY", "FORWARDED", "HOSPITAL", "LOCAL", "PARENT", "PARENT_MAY", "REGISTRY",
    "STRANGER",
    "SURGEON", "SURGEON_MAY", "Callers", "Client", "Clients", "admit", "clients", "identify", "is_local",
    "principal_of", "refuse_open_doors", "token_hash",
]  # fmt: skip

LOCAL = Principal("local", frozenset({REGISTRY}))
STRANGER = Principal("unknown", frozenset())
"""Whoever is not known: may read what everybody may."""
EVERYBODY_MAY = frozenset({"capabilities", "smart-configuration"})
"""What the server can do, and how a client gets a token."""

_NOTE = frozenset({"QuestionnaireResponse"})
_FORMS = frozenset({"Questionnaire", "ValueSet"})
_DOCUMENT = frozenset({"Composition"})
SURGEON_MAY: Mapping[str, frozenset[str | None]] = {
    "search-type": _FORMS,
    "read": _FORMS | _NOTE | _DOCUMENT,
    "$expand": frozenset({"ValueSet"}),
    "$validate-code": frozenset({"ValueSet", "CodeSystem"}),
    "$lookup": frozenset({"CodeSystem"}),
    "$populate": frozenset({"Questionnaire"}),
    "$document": _DOCUMENT,
    "$pdf": _DOCUMENT,
    **dict.fromkeys(
        ("create", "update", "$validate", "$extract", "$carry-over", "$sign", "$addend", "$correct"),
        _NOTE,
    ),
}  # fmt: skip
"""What a surgeon's session may do, and on which types: forms and their terms, and the child's note."""

PARENT_MAY = frozenset(
    {"survey-form", "survey-answers", "survey-consent", "survey-submit", "survey-link"}
)
"""What a parent's sitting may do, all of it with one survey."""


def is_local(host: str) -> bool:
    """Tell whether an address is this machine's own."""
    host = host.strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_open_doors(settings: Settings) -> None:
    """Raise ValueError if the HTTP door would be open to callers that cannot be told apart.

    Of the MLLP listeners, `access.senders.senders` sees to that.
    """
    if not is_local(settings.fhir_host) and settings.clients is None:
        raise ValueError(
            f"CSOR_FHIR_HOST={settings.fhir_host} can be reached from other machines, but no client "
            "is registered. Set CSOR_CLIENTS to a TOML file of clients, or keep to 127.0.0.1."
        )
    refuse_half_tls(settings)


def refuse_half_tls(settings: Settings) -> None:
    """Raise ValueError where the settings for TLS over HTTP are not all there, or the key is not private."""
    certificate, key = settings.tls_certificate, settings.tls_key
    if (certificate is None) != (key is None):
        raise ValueError("CSOR_TLS_CERTIFICATE and CSOR_TLS_KEY are set both, or neither.")
    if settings.tls_client_ca is not None and certificate is None:
        raise ValueError("CSOR_TLS_CLIENT_CA needs CSOR_TLS_CERTIFICATE and CSOR_TLS_KEY.")
    if key is not None:
        refuse_readable(key)


def principal_of(client: Client, granted: tuple[str, ...] | None = None) -> Principal:
    """Return whom a client acts as: with what its token was granted, else with all its own scopes.

    An app has no role of its own: it acts for people.
    """
    if client.is_app:
        return Principal(client.name, frozenset(), scopes=())
    role = client.role or (HOSPITAL if client.hospitals else REGISTRY)
    may = client.scopes if granted is None else granted
    return Principal(
        client.name,
        frozenset({role}),
        hospitals=client.hospitals,
        scopes=may,
        scoped=scopes.scoped(may or ()),
        purpose=client.purpose,
        rate=client.rate,
    )


def identify(
    host: str | None,
    authorization: str | None,
    registered: Iterable[Client],
    addressed: Sequence[str] = (),
    door: Door = "fhir",
) -> Principal:
    """Tell who calls, from the peer's address and the Authorization header; raises FhirError 401 or 403.

    `addressed` are the hosts that the request speaks of (Host, Origin): a page of another site that a
    browser on this machine shows is not a caller on this machine.
    """
    if authorization is not None:
        digest = bearer(authorization)
        for client in registered:
            if any(hmac.compare_digest(digest, each) for each in client.tokens):
                return _let_in(client, door)
        raise unknown_token()
    if host is not None and is_local(host) and all(is_local(name) for name in addressed):
        return LOCAL
    raise FhirError(
        401, [error("login", "Send the registered bearer token: `Authorization: Bearer …`.")]
    )


def bearer(authorization: str) -> str:
    """Return the SHA-256 of a bearer token, in hex; raises FhirError 401 for another scheme."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise unknown_token()
    return token_hash(token.strip())


def token_hash(token: str) -> str:
    """Return the SHA-256 of a token, in hex, by which it is known."""
    return hashlib.sha256(token.encode()).hexdigest()


def unknown_token() -> FhirError:
    """Return the refusal of a token that nobody has, or has any more."""
    text = "This bearer token is not known here. One that /token gives ends after five minutes."
    return FhirError(401, [error("login", text)])


def _let_in(client: Client, door: Door, token: Token | None = None) -> Principal:
    """Return whom a client acts as; raises FhirError 401 where it is revoked, 403 at a door not its own."""
    if client.revoked:
        raise unknown_token()
    if door not in client.doors:
        text = f"{client.name} is not registered for this door ({door})."
        raise FhirError(403, [error("forbidden", text)])
    if token is not None and token.grant is not None:
        return token.grant.principal(token.scopes)
    return principal_of(client, None if token is None else token.scopes)


_MOST_KNOWN = 1024
FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})
"""What a proxy adds to a request: the address is the proxy's then, and not that of who calls."""


class Callers:
    """Who calls over HTTP; who has been made out by the same headers before is not looked up again.

    Of a token only its hash is remembered, and nothing of one that is not known, nor of a session.
    """

    def __init__(
        self,
        registered: Clients,
        sessions: Sessions | None = None,
        sittings: Sessions | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        self.registered, self.sessions, self.sittings = registered, sessions, sittings
        self._tokens = tokens
        self._clients = registered.known
        self._known: dict[tuple[str | bytes | None, ...], Principal] = {}

    def identify(
        self,
        host: str | None,
        headers: Mapping[bytes, bytes],
        method: str = "GET",
        door: Door = "fhir",
    ) -> Principal:
        """Tell who calls, from the peer's address and the headers, their names in lower case.

        Who brings a session's cookie is the session's person and nobody else, on this machine too. What
        a proxy says that it has passed on comes from nobody on this machine.
        Raises FhirError 401 where nobody is known by them, 400 where Host or Origin is no host, 403
        where an unsafe method is not shown to be sent by a page of the session's, or a client is not
        registered for the door.
        """
        if b"cookie" in headers and (session := self._session(headers, method)) is not None:
            return session.principal
        if not FORWARDED.isdisjoint(headers):
            host = None
        if (registered := self.registered.known) is not self._clients:
            self._clients = registered
            self._known.clear()
        authorization = headers.get(b"authorization")
        digest = None if authorization is None else hashlib.sha256(authorization).digest()
        key = (host, digest, headers.get(b"host"), headers.get(b"origin"), door)
        found = self._known.get(key)
        if found is not None:
            return found
        token = None if authorization is None else authorization.decode("latin-1")
        if token is not None and self._tokens is not None:
            granted = self._tokens.of(bearer(token))
            if granted is not None:
                if registered.get(granted.client.name) != granted.client:
                    raise unknown_token()
                return _let_in(granted.client, door, granted)
        found = identify(host, token, registered.values(), _addressed(headers), door)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[key] = found
        return found

    def _session(self, headers: Mapping[bytes, bytes], method: str) -> Session | None:
        """Return the session of a cookie; raises FhirError 403 for that of a survey."""
        session = None if self.sessions is None else self.sessions.asked_by(headers, method)
        if session is None and self.sittings is not None and self.sittings.cookie.of(headers):
            text = "A survey's page has no access to FHIR: finish the survey in this browser first."
            raise FhirError(403, [error("forbidden", text, "http.Cookie")])
        return session


def _addressed(headers: Mapping[bytes, bytes]) -> list[str]:
    """Return the hosts that a request speaks of: where it is sent, and the page that sends it."""
    places = [b"//" + headers.get(b"host", b"")]
    if origin := headers.get(b"origin"):
        places.append(origin)
    try:
        return [urlsplit(place.decode("latin-1")).hostname or "" for place in places]
    except ValueError:
        text = "The Host or Origin header is not well-formed."
        raise FhirError(400, [error("structure", text, "http.Host")]) from None


@lru_cache(maxsize=4096)  # by nothing but what is given; a refusal is made anew
def admit(principal: Principal, interaction: str, resource_type: str | None = None) -> None:
    """Let a principal do an interaction on a type, or raise FhirError 403.

    What the server can do everybody may read.
    """
    if interaction in EVERYBODY_MAY and resource_type is None:
        return
    if principal.is_analyst and (why := analyst.refused(interaction, resource_type)):
        raise FhirError(403, [error("forbidden", f"{principal.name}: {why}")])
    if HOSPITAL in principal.roles and (why := hospital.refused(interaction, resource_type)):
        raise FhirError(403, [error("forbidden", f"{principal.name}: {why}")])
    if APP in principal.roles and resource_type == "AuditEvent":
        text = f"{principal.name}: the audit is for the registry's people, and no app."
        raise FhirError(403, [error("forbidden", text)])
    if why := roles.unread(principal.roles, interaction):
        raise FhirError(403, [error("forbidden", f"{principal.name} may not {interaction}: {why}")])
    if not _may(principal, interaction, resource_type):
        on = f" on {resource_type}" if resource_type else ""
        raise FhirError(
            403, [error("forbidden", f"{principal.name} may not {interaction}{on} here.")]
        )
    if principal.scopes is not None:
        scopes.require(principal.name, principal.scopes, interaction, resource_type)


def _may(principal: Principal, interaction: str, resource_type: str | None) -> bool:
    """Tell whether one of a principal's roles lets it do an interaction on a type."""
    if principal.roles & {REGISTRY, HOSPITAL, ANALYST}:
        return True
    if AUDITOR in principal.roles and auditor.may(interaction, resource_type):
        return True
    if SURGEON in principal.roles and resource_type in SURGEON_MAY.get(interaction, ()):
        return True
    if INTEGRATOR in principal.roles and interaction in INTEGRATOR_MAY:
        return True
    return PARENT in principal.roles and interaction in PARENT_MAY
