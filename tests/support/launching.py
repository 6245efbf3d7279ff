"""A registry that a stub EPR launches, and the browser that is sent between the two."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from joserfc.jwk import ECKey

from fhir_server.app import application, context
from fhir_server.context import Context
from fhir_server.settings import Settings
from terminology.systems import ODS_ORGANIZATION
from tests.support.databases import new_database
from tests.support.epr import Epr, registered
from tests.support.epr_chart import HOSPITAL

HERE = "http://localhost"
_KEY = ECKey.generate_key("P-384")


@dataclass
class Clock:
    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@contextmanager
def registry(epr: Epr, folder: Path, kind: str = "sqlite") -> Iterator[Context]:
    """Open a registry in which an EPR is registered, the registry there with a key of its own."""
    (folder / "key.pem").write_bytes(_KEY.as_pem(private=True))
    (folder / "key.pem").chmod(0o600)
    file = registered(epr, folder / "eprs.toml")
    file.write_text(file.read_text() + 'key = "key.pem"\n')
    epr.client_key = _KEY
    epr.redirects.add(f"{HERE}/callback")
    database = new_database(kind, folder)
    settings = Settings(
        database=database,
        base_url=f"{HERE}/fhir",
        epr_servers=file,
        signing_key=folder / "signing.pem",
    )
    found = context(settings, now=Clock())
    try:
        yield found
    finally:
        found.database.close()


def _outside(url: str) -> httpx.Response:
    """Ask the EPR, without reading the certificates for TLS, which it has none of."""
    return httpx.get(url, verify=False, trust_env=False)  # noqa: S501


@dataclass
class Browser:
    """A browser on the registry's machine, and the EPR that it has open."""

    http: httpx.AsyncClient
    epr: Epr

    async def goes(self, url: str) -> httpx.Response:
        """Follow the EPR's redirects; those of the registry are returned."""
        while True:
            is_here = url.startswith((HERE, "/"))
            answer = await self.http.get(url) if is_here else _outside(url)
            place = answer.headers.get("location", "")
            if answer.status_code != 302 or (is_here and place.startswith("/")):
                return answer
            url = place

    async def launched(self, **context: Any) -> dict[str, Any]:
        """Launch, and return what GET /session says."""
        answer = await self.goes(self.epr.launch(HERE, **context))
        assert (answer.status_code, answer.headers.get("location")) == (302, "/note"), answer.text
        told: dict[str, Any] = (await self.http.get("/session")).json()
        return told

    async def callback(self, **context: Any) -> str:
        """Launch up to where the EPR sends the browser back."""
        begun = await self.http.get(self.epr.launch(HERE, **context))
        return str(_outside(begun.headers["location"]).headers["location"])

    async def read(self, place: str) -> dict[str, Any]:
        """Read from the registry, as the registry."""
        transport = self.http._transport
        async with httpx.AsyncClient(transport=transport, base_url=HERE) as registry:
            found: dict[str, Any] = (await registry.get(f"/fhir/{place}")).json()
        return found


@asynccontextmanager
async def browsing(made: Context, epr: Epr) -> AsyncIterator[Browser]:
    """Open a browser without any cookie, the EPR without faults, the hospital registered."""
    made.now.ahead = timedelta(0)  # type: ignore[attr-defined]
    epr.faults.clear()
    transport = httpx.ASGITransport(application(made), client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as http:
        hospital = {
            "resourceType": "Organization",
            "identifier": [{"system": ODS_ORGANIZATION, "value": HOSPITAL}],
            "name": "Demo Children's Hospital",
        }
        once = {"If-None-Exist": f"identifier={ODS_ORGANIZATION}|{HOSPITAL}"}
        assert (await http.post("/fhir/Organization", json=hospital, headers=once)).is_success
        yield Browser(http, epr)
