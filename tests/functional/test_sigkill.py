"""Acknowledged means durable: a server killed in the middle of a simulation loses nothing it answered.

The simulator writes every answer it gets to its ledger, as it gets it. The server is killed with SIGKILL
again and again while hospitals send, and started again; the simulator sends anew what was not answered.
At the end the ledger and what is stored say the same.
"""

import asyncio
import json
import threading
from pathlib import Path

import httpx
import pytest

from fhir_server.simulate import Options, simulate
from fhir_server.store.database import open_database
from tests.support.databases import KINDS
from tests.support.server import Process

pytestmark = pytest.mark.postgresql_slow

KILLS = 3


@pytest.fixture(scope="module", params=KINDS)
def ledger_and_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("sigkill")
    ledger = folder / "ledger.ndjson"
    server = Process(folder, request.param)
    server.start()
    options = Options(
        fhir=server.base_url,
        mllp=f"127.0.0.1:{server.mllp_port}",
        years=1,
        size=0.15,
        ledger=ledger,
        patience=60,
    )
    failed: list[BaseException] = []

    def send() -> None:
        try:
            asyncio.run(simulate(options))
        except BaseException as failure:
            failed.append(failure)

    sending = threading.Thread(target=send)
    sending.start()
    for number in range(1, KILLS + 1):
        _wait_for(ledger, 150 * number, sending)
        server.kill()
        server.start()
    sending.join(240)
    assert not sending.is_alive(), "the simulation did not finish"
    assert not failed, failed
    try:
        lines = [json.loads(line) for line in ledger.read_text().splitlines()]
        yield lines, server
    finally:
        server.stop()


def _wait_for(ledger: Path, answers: int, sending: threading.Thread) -> None:
    while sending.is_alive():
        if ledger.exists() and ledger.read_text().count("\n") >= answers:
            return
        sending.join(0.02)
    raise AssertionError("the simulation was over before the server could be killed")


def test_every_acknowledged_message_is_stored(ledger_and_store) -> None:
    lines, server = ledger_and_store
    database = open_database(server.database)
    try:
        rows = database.read("SELECT sha256, status FROM inbox WHERE door = 'mllp'")
        kept = {row[0]: row[1] for row in rows}
    finally:
        database.close()
    accepted = [line for line in lines if line["door"] == "mllp" and line["answer"] == "AA"]
    refused = [line for line in lines if line["door"] == "mllp" and line["answer"] != "AA"]
    assert len(accepted) > 150 * KILLS
    assert [line["id"] for line in accepted if kept.get(line["sha256"]) != "processed"] == []
    assert [line["id"] for line in refused if kept.get(line["sha256"]) != "refused"] == []


def test_every_accepted_resource_can_be_read(ledger_and_store) -> None:
    lines, server = ledger_and_store
    places = [
        place
        for line in lines
        if line["door"] == "http" and str(line["answer"]).startswith("2")
        for place in (line["id"] if isinstance(line["id"], list) else [line["id"]])
    ]
    assert places
    with httpx.Client(base_url=server.base_url) as http:
        lost = [place for place in places if http.get(f"/{place}").status_code != 200]
    assert lost == []


def test_nothing_is_stored_twice(ledger_and_store) -> None:
    """What was sent again after a kill found what it had stored before."""
    _, server = ledger_and_store
    database = open_database(server.database)
    try:
        bodies = database.read(
            "SELECT type, body FROM resource JOIN content USING (rid)"
            " WHERE superseded IS NULL AND NOT deleted"
            " AND type IN ('Patient', 'Encounter', 'Condition', 'Procedure', 'EpisodeOfCare',"
            " 'Observation', 'QuestionnaireResponse')"
        )
    finally:
        database.close()
    seen: set[tuple[str, str]] = set()
    twice = []
    for kind, body in bodies:
        for identifier in _identifiers(json.loads(body)):
            place = (kind, identifier)
            if place in seen:
                twice.append(place)
            seen.add(place)
    assert twice == []
    assert seen


def _identifiers(resource: dict) -> list[str]:
    found = resource.get("identifier", [])
    listed = found if isinstance(found, list) else [found]
    return [f"{each.get('system')}|{each['value']}" for each in listed]
