"""`client`: register machine clients, list them, revoke them, give them other tokens or keys."""

import argparse
import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fhir_server.access import clients, public_keys
from fhir_server.access.clients import DOORS, Client
from fhir_server.app import served_at
from fhir_server.commands import client_file
from fhir_server.settings import Settings
from r4.json import decode

_PUBLIC = ("kty", "kid", "use", "alg", "crv", "x", "y", "n", "e")
"""What is kept of a key: nothing else of it is looked at."""


def add_arguments(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the command and its four actions."""
    top = add("client", "Register machine clients in the file of CSOR_CLIENTS, or revoke them.")
    actions = top.add_subparsers(required=True, metavar="action")
    adding = actions.add_parser("add", help="register a client, and say what its vendor needs")
    adding.add_argument("name", help="its client_id, and how the audit names it")
    known_by = adding.add_mutually_exclusive_group()
    known_by.add_argument("--jwks-url", metavar="URL", help="where it publishes its public keys")
    known_by.add_argument("--jwks", type=Path, metavar="FILE", help="its public keys, as JWKS")
    known_by.add_argument("--token", action="store_true", help="make a bearer token, shown once")
    adding.add_argument(
        "--redirect-uri", action="append", metavar="URL",
        help="of an app, which acts for people: where it has them sent back to; several times",
    )  # fmt: skip
    adding.add_argument("--scopes", help="as 'system/Patient.rs system/Observation.cu'")
    adding.add_argument(
        "--hospital", action="append", metavar="ODS", help="whose system it is; several times"
    )
    adding.add_argument("--door", action="append", choices=DOORS, help="by default every one")
    adding.add_argument("--reason", help="why, for whoever reads the file next")
    adding.set_defaults(run=lambda given: _add(Settings(), given))
    listing = actions.add_parser("list", help="list the clients; no secret is shown")
    listing.set_defaults(run=lambda _: _list(Settings()))
    revoking = actions.add_parser("revoke", help="refuse a client from its next request on")
    revoking.add_argument("name")
    revoking.set_defaults(run=lambda given: _revoke(Settings(), given.name))
    rotating = actions.add_parser("rotate", help="give a client another token, or other keys")
    rotating.add_argument("name")
    what = rotating.add_mutually_exclusive_group()
    what.add_argument("--jwks-url", metavar="URL", help="where its keys are published now")
    what.add_argument("--jwks", type=Path, metavar="FILE", help="its keys from now on")
    what.add_argument("--finish", action="store_true", help="end the tokens that were replaced")
    rotating.set_defaults(run=lambda given: _rotate(Settings(), given))


def _file(settings: Settings) -> Path:
    if settings.clients is None:
        raise ValueError("Set CSOR_CLIENTS to the TOML file of clients, which `client add` makes.")
    return settings.clients


def _add(settings: Settings, given: argparse.Namespace) -> None:
    file = _file(settings)
    entry: dict[str, Any] = {"name": given.name}
    token = None
    if given.hospital:
        entry["hospitals"] = given.hospital
    if given.scopes:
        entry["scopes"] = given.scopes
    if given.redirect_uri:
        entry["redirect_uris"] = given.redirect_uri
    if given.token:
        token, entry["token_sha256"] = _token()
    elif given.jwks is not None or given.jwks_url is not None:
        entry |= _keys(given)
    if given.door:
        entry["doors"] = given.door
    if given.reason:
        entry["reason"] = given.reason
    client_file.write(file, client_file.added(client_file.read(file), entry))
    print(f"{given.name} is registered in {file}. Send its vendor:\n")
    print(_letter(served_at(settings), _found(file, given.name), token))


def _list(settings: Settings) -> None:
    for each in clients(_file(settings)):
        state = "revoked" if each.revoked else "registered"
        whose = " ".join(sorted(each.hospitals)) or "registry"
        doors = " ".join(door for door in DOORS if door in each.doors)
        scopes = "everything" if each.scopes is None else " ".join(each.scopes)
        print("\t".join((each.name, state, whose, _known_by(each), doors, scopes)))


def _revoke(settings: Settings, name: str) -> None:
    file = _file(settings)
    text = client_file.changed(client_file.read(file), name, {"revoked": True})
    client_file.write(file, text)
    print(f"{name} is revoked: a server that runs refuses it from its next request on.")


def _rotate(settings: Settings, given: argparse.Namespace) -> None:
    file = _file(settings)
    text = client_file.read(file)
    known = {each.name: each for each in clients(file)}
    if given.name not in known:
        raise ValueError(f"no client is named {given.name}; `client list` shows who is.")
    before = known[given.name]
    if before.revoked:
        raise ValueError(f"{given.name} is revoked: take `revoked` out of {file} first.")
    token = None
    if given.finish:
        left = [] if before.has_keys else list(before.tokens[:1])
        changes: dict[str, Any] = {"token_sha256": left or None}
    elif given.jwks is not None or given.jwks_url is not None:
        changes = {"jwks": None, "jwks_url": None, **_keys(given)}
    else:
        token, made = _token()
        changes = {"token_sha256": [made, *before.tokens[:1]]}
    client_file.write(file, client_file.changed(text, given.name, changes))
    print(f"{given.name} has changed in {file}. Send its vendor:\n")
    print(_letter(served_at(settings), _found(file, given.name), token))
    if len(changes.get("token_sha256") or ()) > 1:
        print(
            f"\nThe token before stays good until `python -m fhir_server client rotate {given.name} "
            "--finish`."
        )


def _found(file: Path, name: str) -> Client:
    return next(each for each in clients(file) if each.name == name)


def _token() -> tuple[str, str]:
    """Make a token; returns it, and its SHA-256."""
    token = secrets.token_urlsafe(32)
    return token, hashlib.sha256(token.encode()).hexdigest()


def _keys(given: argparse.Namespace) -> dict[str, Any]:
    """Return what the file holds of the keys that are given; raises ValueError for useless ones."""
    if given.jwks_url is not None:
        return {"jwks_url": given.jwks_url}
    try:
        jwks = decode(given.jwks.read_bytes())
        public_keys.public(jwks)
    except ValueError as wrong:
        raise ValueError(f"{given.jwks}: {wrong}") from None
    kept = [{name: key[name] for name in _PUBLIC if name in key} for key in jwks["keys"]]
    return {"jwks": {"keys": kept}}


def _known_by(client: Client) -> str:
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
    return "; ".join(parts)


def _letter(base: str, client: Client, token: str | None) -> str:
    """Return what a vendor needs to know."""
    root = base.removesuffix("/fhir")
    lines = {"FHIR base URL": base}
    if token is not None:
        lines["bearer token"] = f"{token} (shown this once)"
    if client.has_keys:
        lines |= {
            "configuration": f"{base}/.well-known/smart-configuration",
            "token endpoint": f"{root}/token",
            "client_id": f"{client.name} (iss and sub of the assertion)",
            "known by": _known_by(client),
            "sign by": f"{', '.join(public_keys.ALGORITHMS)}; aud is the token endpoint",
        }
    if client.is_app:
        lines |= {
            "configuration": f"{base}/.well-known/smart-configuration",
            "begins at": f"{root}/authorize (aud is the FHIR base URL; PKCE with S256)",
            "token endpoint": f"{root}/token",
            "client_id": client.name,
            "known by": _known_by(client),
        }
    lines["scopes"] = "everything" if client.scopes is None else " ".join(client.scopes)
    if client.hospitals:
        lines["hospitals"] = " ".join(sorted(client.hospitals))
    lines["how"] = "docs/smart.md" if client.is_app else "docs/clients.md"
    return "\n".join(f"  {name:<16}{value}" for name, value in lines.items())
