"""Registering a client: the entry that the file of clients has of it, and what its vendor is told."""

import hashlib
import secrets
from collections.abc import Iterable
from typing import Any

from fhir_server.access import public_keys
from fhir_server.access.clients import Client

_PUBLIC = ("kty", "kid", "use", "alg", "crv", "x", "y", "n", "e")
"""What is kept of a key: nothing else of it is looked at."""


def entry(name: str, **given: Any) -> dict[str, Any]:
    """Return an entry of the file of clients: of what is given, what is not empty."""
    return {"name": name, **{key: value for key, value in given.items() if value}}


def token() -> tuple[str, str]:
    """Make a token; returns it, and its SHA-256."""
    made = secrets.token_urlsafe(32)
    return made, hashlib.sha256(made.encode()).hexdigest()


def keys(jwks: Any) -> dict[str, Any]:
    """Return what the file holds of a JWKS; raises ValueError for a useless or a private one."""
    public_keys.public(jwks)
    return {"keys": [{name: key[name] for name in _PUBLIC if name in key} for key in jwks["keys"]]}


def known_by(client: Client) -> str:
    """Say what a client is known by, and no secret."""
    parts = []
    if client.jwks_url is not None:
        parts.append(client.jwks_url)
    if client.jwks is not None:
        parts.append(f"keys {', '.join(str(key.kid) for key in public_keys.of_json(client.jwks))}")
    if client.tokens:
        parts.append(f"{len(client.tokens)} bearer token{'s' * (len(client.tokens) > 1)}")
    if client.is_app:
        parts.append(f"app at {' '.join(client.redirect_uris)}")
    if client.launch_url is not None:
        parts.append(f"opened at {client.launch_url}")
    return "; ".join(parts)


def letter(base: str, client: Client, made: str | None) -> dict[str, str]:
    """Return what a vendor needs to know, line by line; made: the token that is shown this once."""
    root = base.removesuffix("/fhir")
    lines = {"FHIR base URL": base}
    if made is not None:
        lines["bearer token"] = f"{made} (shown this once)"
    if client.is_app:
        lines |= {
            "configuration": f"{base}/.well-known/smart-configuration",
            "begins at": f"{root}/authorize (aud is the FHIR base URL; PKCE with S256)",
            "token endpoint": f"{root}/token",
            "client_id": client.name,
            "known by": known_by(client),
        }
    elif client.has_keys:
        lines |= {
            "configuration": f"{base}/.well-known/smart-configuration",
            "token endpoint": f"{root}/token",
            "client_id": f"{client.name} (iss and sub of the assertion)",
            "known by": known_by(client),
            "sign by": f"{', '.join(public_keys.ALGORITHMS)}; aud is the token endpoint",
        }
    lines["scopes"] = "everything" if client.scopes is None else _listed(client.scopes)
    if client.hospitals:
        lines["hospitals"] = _listed(sorted(client.hospitals))
    lines["how"] = "docs/smart.md" if client.is_app else "docs/clients.md"
    return lines


def _listed(texts: Iterable[str]) -> str:
    return " ".join(texts)
