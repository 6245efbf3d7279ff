"""Who may do what: every route and every message passes `admit` before anything else happens.

Two kinds of caller are known: one on this machine (a loopback address), and a client that the operator
has registered with a bearer token. Both act for the registry as a whole. Identities that belong to one
hospital, one surgeon or one parent are not known, so none of them is let in from elsewhere.
"""

import hashlib
import hmac
import ipaddress
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fhir_server.context import Principal
from fhir_server.settings import Settings
from r4.issue import FhirError, error

REGISTRY = "registry"
LOCAL = Principal("local", frozenset({REGISTRY}))


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
    """Raise ValueError if a door would be open to callers that cannot be told apart."""
    if not is_local(settings.fhir_host) and settings.clients is None:
        raise ValueError(
            f"CSOR_FHIR_HOST={settings.fhir_host} can be reached from other machines, but no client "
            "is registered. Set CSOR_CLIENTS to a TOML file of clients, or keep to 127.0.0.1."
        )
    if settings.mllp and not is_local(settings.mllp_host):
        raise ValueError(
            f"CSOR_MLLP_HOST={settings.mllp_host} can be reached from other machines, and MLLP "
            "carries no identity here: keep it on 127.0.0.1 behind a tunnel that authenticates, or "
            "set CSOR_MLLP=false."
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


def admit(principal: Principal, interaction: str, resource_type: str | None = None) -> None:
    """Let a principal do an interaction on a type, or raise FhirError 403."""
    if REGISTRY not in principal.roles:
        on = f" on {resource_type}" if resource_type else ""
        raise FhirError(
            403, [error("forbidden", f"{principal.name} may not {interaction}{on} here.")]
        )
