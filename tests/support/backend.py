"""A registered client and the server that knows it: keys, the file of clients, assertions, requests."""

import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from fhir_server.access.assertions import KIND
from fhir_server.app import application, context
from fhir_server.context import Context
from fhir_server.settings import Settings
from fhir_server.store.audit import accesses
from tests.support.databases import new_database

BASE = "http://registry.example/fhir"
TOKEN_URL = "http://registry.example/token"  # noqa: S105 - an address, no secret
ELLIPTIC, RSA = ECKey.generate_key("P-384"), RSAKey.generate_key(2048)
STATIC = "a-token-that-the-operator-has-registered"
PEER = "192.0.2.7"


def public(key: ECKey | RSAKey, kid: str, **members: object) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": kid, **members}


JWKS = {"keys": [public(ELLIPTIC, "elliptic"), public(RSA, "rsa")]}
CLIENTS = f"""
[[client]]
name = "epr"
scopes = "system/Patient.rs system/Observation.cruds"
jwks = "epr.jwks.json"

[[client]]
name = "everything"
scopes = "system/*.cruds"
jwks = "epr.jwks.json"

[[client]]
name = "monitor"
token_sha256 = "{hashlib.sha256(STATIC.encode()).hexdigest()}"
"""


def registered(folder: Path, text: str = CLIENTS) -> Path:
    """Write the file of clients, and that of the keys that it names."""
    (folder / "epr.jwks.json").write_text(json.dumps(JWKS))
    file = folder / "clients.toml"
    file.write_text(text)
    return file


@dataclass
class Clock:
    now: datetime = datetime(2026, 11, 23, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Backend:
    """What a client has in hand: HTTP, the clock of the server, and the server's context to look into."""

    http: httpx.AsyncClient
    made: Context
    clock: Clock
    file: Path
    scope: str = "system/Patient.rs system/Observation.cruds"
    name: str = "epr"
    headers: dict[str, str] = field(default_factory=dict)

    def assertion(
        self,
        header: Mapping[str, Any] | None = None,
        key: Any = ELLIPTIC,
        **claims: Any,
    ) -> str:
        """Sign an assertion as it must be, but for what is given; a claim that is None is not there."""
        now = int(self.clock.now.timestamp())
        made = {
            "iss": self.name, "sub": self.name, "aud": TOKEN_URL, "exp": now + 240,
            "jti": secrets.token_hex(8), **claims,
        }  # fmt: skip
        kept = {name: value for name, value in made.items() if value is not None}
        said = {"alg": "ES384", "kid": "elliptic", "typ": "JWT", **(header or {})}
        head = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(head, kept, key, [head["alg"]])

    async def ask(self, assertion: str | None = None, **form: Any) -> httpx.Response:
        """Ask for a token; a parameter that is None is left out."""
        asked = {
            "grant_type": "client_credentials",
            "scope": self.scope,
            "client_assertion_type": KIND,
            "client_assertion": self.assertion() if assertion is None else assertion,
            **form,
        }
        kept = {name: value for name, value in asked.items() if value is not None}
        return await self.http.post("/token", data=kept)

    async def token(self, **form: Any) -> str:
        answer = await self.ask(**form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def audited(self) -> list[tuple[str, str, int | None]]:
        """List what has been recorded: who, what, and the status."""
        await self.made.audit.flush()
        found = accesses(self.made.database)
        return [(each.principal, each.interaction, each.status) for each in found]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def backend(folder: Path, text: str = CLIENTS, **settings: Any) -> AsyncIterator[Backend]:
    """Serve, to a peer on another machine, until left."""
    file, clock = registered(folder, text), Clock()
    chosen = Settings(
        database=new_database("sqlite", folder), clients=file, base_url=BASE, **settings
    )
    made = context(chosen, now=clock)
    transport = httpx.ASGITransport(application(made), client=(PEER, 1))
    try:
        async with httpx.AsyncClient(
            transport=transport, base_url="http://registry.example"
        ) as http:
            yield Backend(http, made, clock, file)
        await made.audit.flush()
    finally:
        made.database.close()
