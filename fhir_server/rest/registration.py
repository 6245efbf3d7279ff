"""Registering a client by a page: in a sandbox at once; elsewhere as a request, which the operator decides.

Who asks is not known, and nothing is granted but in a sandbox, where every child is fictitious.
"""

import asyncio
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fhir_server.access import client_file, clients, registration
from fhir_server.access.clients import DOORS, of_text
from fhir_server.access.links import Attempts
from fhir_server.context import Context
from fhir_server.interactions.search import search
from fhir_server.rest.errors import logger, shown
from fhir_server.rest.sheet import SECRET
from fhir_server.store.audit_row import Agent
from fhir_server.store.failure import place
from fhir_server.store.sandbox import is_sandbox
from r4.issue import FhirError, error
from r4.json import Resource, decode, encode

API = "/integrators/api"
MOST = 500
"""Most clients of a sandbox."""
_LARGEST = 64 * 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,38}[a-z0-9]")
_LINE = re.compile(r"[^\x00-\x1f\x7f]{0,200}")
_ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
_KNOWN = frozenset({"name", "hospital", "scopes", "doors", "jwks", "jwksUrl", "reason"})


class Asked(NamedTuple):
    """What somebody asks to be registered as; jwks and jwks_url: one of them, or neither for a token."""

    name: str
    hospital: str
    scopes: str
    doors: tuple[str, ...]
    jwks: Resource | None
    jwks_url: str | None
    reason: str

    def entry(self, **known_by: Any) -> dict[str, Any]:
        """Return the entry of the file of clients."""
        return registration.entry(
            self.name, hospitals=[self.hospital], scopes=self.scopes, doors=list(self.doors),
            jwks=self.jwks, jwks_url=self.jwks_url, reason=self.reason, **known_by,
        )  # fmt: skip


class Door:
    """Answers the page for integrators."""

    def __init__(self, made: Context) -> None:
        self.context = made
        self.attempts = Attempts(made.now)
        self._turn = asyncio.Lock()

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the page."""
        return [
            Route(f"{API}/about", self.about, methods=["GET"]),
            Route(f"{API}/registration", self.register, methods=["POST"]),
        ]

    async def about(self, _: Request) -> Response:
        """GET about: whether this is a sandbox, and which hospitals it has."""
        is_sandbox = self.context.settings.sandbox
        told = {
            "sandbox": is_sandbox,
            "base": self.context.base_url,
            "hospitals": await asyncio.to_thread(_hospitals, self.context) if is_sandbox else [],
        }
        return _json(told)

    async def register(self, request: Request) -> Response:
        """POST registration: register a client (201, sandbox), or say what the operator is to do (200)."""
        try:
            return await self._registration(request)
        except FhirError as found:
            refusal = found
        except Exception as unforeseen:
            logger.error("500 registration %s", place(unforeseen))
            text = "The server failed; nobody was registered. It has been logged."
            refusal = FhirError(500, [error("exception", text)])
        return _json(shown(refusal), refusal.status)

    async def _registration(self, request: Request) -> Response:
        address = request.client.host if request.client else ""
        if not self.attempts.allow(address):
            text = "There have been too many tries from here. Wait a minute, then try again."
            raise FhirError(429, [error("throttled", text)])
        asked = await _asked(request)
        if not self.context.settings.sandbox:
            return _json(_request(asked))
        async with self._turn:
            told = await asyncio.to_thread(_registered, self.context, asked)
        self.context.audit.record(Agent(asked.name), "register", status=201)
        return _json(told, 201)


def _json(told: object, status: int = 200) -> Response:
    return Response(encode(told), status, SECRET, "application/json")


def _hospitals(context: Context) -> list[dict[str, str]]:
    """List the hospitals of a sandbox: code and name."""
    bundle = decode(
        search(context, "Organization", [("identifier", f"{_ODS}|"), ("_count", "200")])
    )
    found = {
        identifier["value"]: each["resource"].get("name", identifier["value"])
        for each in bundle.get("entry", ())
        for identifier in each["resource"].get("identifier", ())
        if identifier.get("system") == _ODS
    }
    return [{"code": code, "name": found[code]} for code in sorted(found)]


async def _asked(request: Request) -> Asked:
    """Read what is asked for; raises FhirError 400, 413 or 415 with what to mend."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise FhirError(415, [error("not-supported", "Send application/json.")])
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > _LARGEST:
            raise FhirError(413, [error("too-long", "What was sent is too large.")])
    try:
        sent = decode(bytes(raw))
    except ValueError:
        raise _wrong("What was sent is no JSON.") from None
    if not isinstance(sent, dict) or not sent.keys() <= _KNOWN:
        raise _wrong(f"Send an object with some of {', '.join(sorted(_KNOWN))}.")
    asked = _read(sent)
    known_by = {} if asked.jwks or asked.jwks_url else {"token_sha256": "0" * 64}
    try:
        of_text(client_file.added("", asked.entry(**known_by)), Path())
    except ValueError as wrong:
        raise _wrong(f"{wrong}") from None
    return asked


def _read(sent: Mapping[str, Any]) -> Asked:
    text = {
        name: str(sent.get(name) or "").strip()
        for name in ("name", "hospital", "scopes", "jwksUrl", "reason")
    }
    if not _NAME.fullmatch(text["name"]):
        raise _wrong("The name has 3 to 40 small letters, digits and hyphens, as oxford-epr.")
    if not all(_LINE.fullmatch(each) for each in text.values()):
        raise _wrong("Each text is one line of at most 200 characters.")
    if not text["hospital"] or not text["scopes"]:
        raise _wrong("Say whose system it is (hospital), and what it may do (scopes).")
    doors = sent.get("doors") or list(DOORS)
    if not isinstance(doors, list) or not set(map(str, doors)) <= set(DOORS):
        raise _wrong(f"doors is a list of {' and '.join(DOORS)}.")
    jwks = sent.get("jwks") or None
    if jwks and text["jwksUrl"]:
        raise _wrong("Give the keys, or the URL where they are published: not both.")
    try:
        kept = registration.keys(jwks) if jwks else None
    except (ValueError, TypeError, AttributeError) as wrong:
        raise _wrong(f"The keys: {wrong}") from None
    return Asked(
        text["name"], text["hospital"], text["scopes"], tuple(doors), kept,
        text["jwksUrl"] or None, text["reason"],
    )  # fmt: skip


def _wrong(text: str) -> FhirError:
    return FhirError(400, [error("invalid", text)])


def _request(asked: Asked) -> dict[str, object]:
    """Return what the operator runs to register a client, with the file of keys that it names."""
    words = ["python", "-m", "fhir_server", "client", "add", asked.name]
    words += ["--hospital", asked.hospital, "--scopes", asked.scopes]
    words += [each for door in asked.doors for each in ("--door", door)]
    file = None
    if asked.jwks is not None:
        file = f"{asked.name}.jwks.json"
        words += ["--jwks", file]
    elif asked.jwks_url is not None:
        words += ["--jwks-url", asked.jwks_url]
    else:
        words += ["--token"]
    if asked.reason:
        words += [f"--reason={asked.reason}"]
    told: dict[str, object] = {"command": shlex.join(words)}
    if file is not None:
        told["file"] = {"name": file, "content": json.dumps(asked.jwks, indent=2)}
    return told


def _registered(context: Context, asked: Asked) -> dict[str, object]:
    """Register a client of the sandbox; raises FhirError 400, 409 or 503."""
    file = context.settings.clients
    if file is None:
        raise FhirError(503, [error("transient", "This sandbox has no file of clients.")])
    if asked.hospital not in {each["code"] for each in _hospitals(context)}:
        raise _wrong(f"The sandbox has no hospital {asked.hospital}: choose one of the list.")
    known = clients(file)
    if any(each.name == asked.name for each in known):
        text = f"There is a client {asked.name} already: choose another name."
        raise FhirError(409, [error("duplicate", text)])
    if len(known) >= MOST:
        raise FhirError(503, [error("throttled", "This sandbox is full: ask its operator.")])
    token, known_by = None, {}
    if asked.jwks is None and asked.jwks_url is None:
        token, known_by["token_sha256"] = registration.token()
    client_file.write(file, client_file.added(client_file.read(file), asked.entry(**known_by)))
    found = next(each for each in clients(file) if each.name == asked.name)
    letter = registration.letter(context.base_url, found, token)
    return {"client": asked.name, "token": token, "letter": letter}


def refuse_other(context: Context) -> None:
    """Raise ValueError unless a sandbox is served as one, and nothing else is."""
    marked = is_sandbox(context.database)
    if context.settings.sandbox and not marked:
        raise ValueError(
            "CSOR_SANDBOX is set, and this database is no sandbox: `python -m fhir_server sandbox` has "
            "one of its own."
        )
    if marked and not context.settings.sandbox:
        raise ValueError(
            "this database is a sandbox, whose children are fictitious: `python -m fhir_server sandbox` "
            "serves it."
        )
