"""Who may do what: every route and every message passes `admit` before anything else happens.

Callers on this machine (a loopback address) and clients that the operator has registered with a bearer
token act for the registry as a whole. A surgeon whom an EPR has launched has a session, by its cookie,
and may do with one child's note what `SURGEON_MAY` lists. A parent who has opened a survey has a sitting,
by another cookie, and may do what `PARENT_MAY` lists, none of which is FHIR. A hospital's own system may
do what `hospital.HOSPITAL_MAY` lists, and sees its own children alone (`store.view`).
"""

import hashlib
import hmac
import ipaddress
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fhir_server.access import hospital
from fhir_server.access.sessions import Sessions
from fhir_server.context import HOSPITAL, Principal
from fhir_server.settings import Settings
from r4.issue import FhirError, error

REGISTRY, SURGEON, PARENT = "registry", "surgeon", "parent"
LOCAL = Principal("local", frozenset({REGISTRY}))

_NOTE = frozenset({"QuestionnaireResponse"})
_FORMS = frozenset({"Questionnaire", "ValueSet"})
_DOCUMENT = frozenset({"Composition"})
SURGEON_MAY: Mapping[str, frozenset[str | None]] = {
    "capabilities": frozenset({None}),
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


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client: its name and the SHA-256 of its bearer token, in hex."""

    name: str
    token_sha256: str


def is_local(host: str) -> bool:
    """Tell whether an address is this machine's own."""
    host = host.strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def clients(file: Path | None) -> tuple[Client, ...]:
    """Read the registered clients: `[[client]]` tables of name and token_sha256."""
    if file is None:
        return ()
    try:
        tables = tomllib.loads(file.read_text())["client"]
        return tuple(Client(table["name"], table["token_sha256"]) for table in tables)
    except (KeyError, TypeError, tomllib.TOMLDecodeError) as wrong:
        raise ValueError(
            f"{file} is not a list of [[client]] tables with name and token_sha256: {wrong}"
        ) from None


def refuse_open_doors(settings: Settings) -> None:
    """Raise ValueError if the HTTP door would be open to callers that cannot be told apart.

    Of the MLLP listeners, `access.senders.senders` sees to that.
    """
    if not is_local(settings.fhir_host) and settings.clients is None:
        raise ValueError(
            f"CSOR_FHIR_HOST={settings.fhir_host} can be reached from other machines, but no client "
            "is registered. Set CSOR_CLIENTS to a TOML file of clients, or keep to 127.0.0.1."
        )


def identify(
    host: str | None,
    authorization: str | None,
    registered: tuple[Client, ...],
    addressed: Sequence[str] = (),
) -> Principal:
    """Tell who calls, from the peer's address and the Authorization header; raises FhirError 401.

    `addressed` are the hosts that the request speaks of (Host, Origin): a page of another site that a
    browser on this machine shows is not a caller on this machine.
    """
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        digest = hashlib.sha256(token.strip().encode()).hexdigest()
        for client in registered:
            if scheme.lower() == "bearer" and hmac.compare_digest(digest, client.token_sha256):
                return Principal(client.name, frozenset({REGISTRY}))
        raise FhirError(401, [error("login", "This bearer token is not known here.")])
    if host is not None and is_local(host) and all(is_local(name) for name in addressed):
        return LOCAL
    raise FhirError(
        401, [error("login", "Send the registered bearer token: `Authorization: Bearer …`.")]
    )


_MOST_KNOWN = 1024
_FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via")
"""What a proxy adds to a request: the address is the proxy's then, and not that of who calls."""


class Callers:
    """Who calls over HTTP; who has been made out by the same headers before is not looked up again.

    Of a token only its hash is remembered, and nothing of one that is not known, nor of a session.
    """

    def __init__(
        self,
        registered: tuple[Client, ...],
        sessions: Sessions | None = None,
        sittings: Sessions | None = None,
    ) -> None:
        self._registered, self.sessions, self.sittings = registered, sessions, sittings
        self._known: dict[tuple[str | bytes | None, ...], Principal] = {}

    def identify(
        self, host: str | None, headers: Mapping[bytes, bytes], method: str = "GET"
    ) -> Principal:
        """Tell who calls, from the peer's address and the headers, their names in lower case.

        Who brings a session's cookie is the session's person and nobody else, on this machine too. What
        a proxy says that it has passed on comes from nobody on this machine.
        Raises FhirError 401 where nobody is known by them, 400 where Host or Origin is no host, 403
        where an unsafe method is not shown to be sent by a page of the session's.
        """
        if self.sessions is not None and b"cookie" in headers:
            session = self.sessions.asked_by(headers, method)
            if session is not None:
                return session.principal
        if self.sittings is not None and self.sittings.cookie.of(headers):
            text = "A survey's page has no access to FHIR: finish the survey in this browser first."
            raise FhirError(403, [error("forbidden", text, "http.Cookie")])
        if any(name in headers for name in _FORWARDED):
            host = None
        authorization = headers.get(b"authorization")
        digest = None if authorization is None else hashlib.sha256(authorization).digest()
        key = (host, digest, headers.get(b"host"), headers.get(b"origin"))
        found = self._known.get(key)
        if found is None:
            token = None if authorization is None else authorization.decode("latin-1")
            found = identify(host, token, self._registered, _addressed(headers))
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = found
        return found


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


def admit(principal: Principal, interaction: str, resource_type: str | None = None) -> None:
    """Let a principal do an interaction on a type, or raise FhirError 403."""
    if HOSPITAL in principal.roles and (why := hospital.refused(interaction, resource_type)):
        raise FhirError(403, [error("forbidden", f"{principal.name}: {why}")])
    if principal.roles & {REGISTRY, HOSPITAL}:
        return
    is_note = SURGEON in principal.roles and resource_type in SURGEON_MAY.get(interaction, ())
    is_survey = PARENT in principal.roles and interaction in PARENT_MAY
    if not is_note and not is_survey:
        on = f" on {resource_type}" if resource_type else ""
        raise FhirError(
            403, [error("forbidden", f"{principal.name} may not {interaction}{on} here.")]
        )
