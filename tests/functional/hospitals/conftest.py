"""A registry of two hospitals, on each database, for the tests of one module."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fhir_server.app import application, context
from fhir_server.settings import Settings
from tests.support.databases import KINDS, new_database
from tests.support.hospitals import (
    NORTH,
    ODS,
    REGISTRY,
    SOUTH,
    Asking,
    Callers,
    Ward,
    patient,
    place,
    post,
    visit,
    weight,
)  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def ask(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Asking]:
    folder: Path = tmp_path_factory.mktemp("hospitals")
    where = new_database(request.param, folder)
    made = context(Settings(database=where, bulk_folder=folder / "bulk"))
    door = application(made)
    door.callers = Callers()  # type: ignore[assignment]
    transport = httpx.ASGITransport(door, client=("127.0.0.1", 1))
    with asyncio.Runner() as runner:
        http = httpx.AsyncClient(transport=transport, base_url="http://localhost")
        try:
            asking = Asking(made, runner, http)
            for hospital in (NORTH, SOUTH):
                told = {
                    "resourceType": "Organization",
                    "identifier": [{"system": ODS, "value": hospital}],
                }
                assert asking(REGISTRY, "POST", "/Organization", json=told).status_code == 201
            yield asking
        finally:
            runner.run(http.aclose())
            made.database.close()


@pytest.fixture(scope="module")
def ward(ask: Asking) -> Ward:
    places: list[str] = []
    for child, hospital in (("mia", NORTH), ("tom", SOUTH)):
        url = f"urn:uuid:{child}"
        sent = ask.send(hospital, patient(child), visit(url, hospital), post(weight(url)))
        places += [place(sent, number) for number in range(3)]
    return Ward(*places)


@pytest.fixture(scope="module")
def zoe(ask: Asking, ward: Ward) -> dict[str, str]:
    url = "urn:uuid:zoe"
    sent = ask.send(NORTH, patient("zoe"), visit(url, NORTH), post(weight(url)))
    return {"child": place(sent, 0), "visit": place(sent, 1), "weight": place(sent, 2)}
