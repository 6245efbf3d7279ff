"""`client`: register machine clients, list them, revoke them, give them other tokens or keys."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fhir_server.access import client_file, clients, registration
from fhir_server.access.clients import DOORS, ROLES, Client
from fhir_server.app import served_at
from fhir_server.settings import Settings
from r4.json import decode


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
    adding.add_argument(
        "--launch-url", metavar="URL", help="of an app: where it is opened for a child from /apps"
    )
    adding.add_argument("--scopes", help="as 'system/Patient.rs system/Observation.cu'")
    adding.add_argument(
        "--hospital", action="append", metavar="ODS", help="whose system it is; several times"
    )
    adding.add_argument(
        "--role", choices=ROLES, help="an analyst's (every child, in pseudonyms) or an auditor's"
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
    token, made = registration.token() if given.token else (None, None)
    entry = registration.entry(
        given.name,
        hospitals=given.hospital,
        role=given.role,
        scopes=given.scopes,
        redirect_uris=given.redirect_uri,
        launch_url=given.launch_url,
        token_sha256=made,
        **_keys_of(given),
        doors=given.door,
        reason=given.reason,
    )
    client_file.write(file, client_file.added(client_file.read(file), entry))
    print(f"{given.name} is registered in {file}. Send its vendor:\n")
    print(_letter(served_at(settings), _found(file, given.name), token))


def _list(settings: Settings) -> None:
    for each in clients(_file(settings)):
        state = "revoked" if each.revoked else "registered"
        whose = " ".join(sorted(each.hospitals)) or each.role or "registry"
        doors = " ".join(door for door in DOORS if door in each.doors)
        scopes = "everything" if each.scopes is None else " ".join(each.scopes)
        print("\t".join((each.name, state, whose, registration.known_by(each), doors, scopes)))


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
        token, made = registration.token()
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


def _keys_of(given: argparse.Namespace) -> dict[str, Any]:
    """Return the keys of who has any; who can be known by nothing, the file of clients refuses."""
    has_keys = given.jwks is not None or given.jwks_url is not None
    return _keys(given) if has_keys and not given.token else {}


def _keys(given: argparse.Namespace) -> dict[str, Any]:
    """Return what the file holds of the keys that are given; raises ValueError for useless ones."""
    if given.jwks_url is not None:
        return {"jwks_url": given.jwks_url}
    try:
        return {"jwks": registration.keys(decode(given.jwks.read_bytes()))}
    except ValueError as wrong:
        raise ValueError(f"{given.jwks}: {wrong}") from None


def _letter(base: str, client: Client, token: str | None) -> str:
    """Return what a vendor needs to know."""
    lines = registration.letter(base, client, token)
    return "\n".join(f"  {name:<16}{value}" for name, value in lines.items())
