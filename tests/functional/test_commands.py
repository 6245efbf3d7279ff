"""The command line, as an operator uses it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.__main__ import main
from fhir_server.app import context
from fhir_server.commands.inbox import listing, replay
from fhir_server.interactions.transaction import transaction
from fhir_server.rest.keeping import BEGINNING
from fhir_server.settings import Settings
from fhir_server.store import inbox
from fhir_server.store.database import open_database
from fhir_server.store.inbox import Arrival, Message, SettledError, Settlement
from tests.support.server import Process, Served, free_port, served

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
MRN = "https://csor.example/fhir/sid/RTH/mrn"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A finished demo of a small cohort; returns its folder and the ports it used."""
    folder = tmp_path_factory.mktemp("demo")
    ports = {"CSOR_FHIR_PORT": str(free_port()), "CSOR_MLLP_PORT": str(free_port())}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in ports.items():
            environment.setenv(name, value)
        assert main(["demo", "--folder", str(folder), "--size", "0.1", "--exit"]) == 0
    return folder, ports


def test_the_demo_leaves_a_report_for_the_nation_each_hospital_and_each_child(finished) -> None:
    folder, _ = finished
    server = Process(folder)
    server.start()
    try:
        with httpx.Client(base_url=server.base_url) as http:
            reports = http.get("/MeasureReport?_count=1000").json()["entry"]
            hospitals = http.get(f"/Organization?identifier={ODS}|&_summary=count").json()["total"]
    finally:
        server.stop()
    kinds = [entry["resource"]["type"] for entry in reports]
    assert hospitals == 10
    assert kinds.count("individual") > 10
    told = {
        extension["valueReference"]["reference"]
        for entry in reports
        for extension in entry["resource"]["extension"]
        if extension["url"].endswith("/outcome-hospital")
    }
    assert 1 < len(told) <= hospitals
    individual = next(e["resource"] for e in reports if e["resource"]["type"] == "individual")
    result = next(e for e in individual["extension"] if e["url"].endswith("/outcome-result"))
    assert {"class", "rule", "statement"} <= {part["url"] for part in result["extension"]}
    assert individual["evaluatedResource"]


@pytest.mark.slow
def test_a_second_demo_keeps_the_registry_of_the_first(
    finished, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, ports = finished
    for name, value in ports.items():
        monkeypatch.setenv(name, value)
    before = (folder / "ledger.ndjson").read_bytes()
    assert main(["demo", "--folder", str(folder), "--size", "0.1", "--exit"]) == 0
    assert "Keeping the registry" in capsys.readouterr().out
    assert (folder / "ledger.ndjson").read_bytes() == before


def test_every_faulty_sending_of_the_demo_was_refused(finished) -> None:
    folder, _ = finished
    lines = [json.loads(line) for line in (folder / "ledger.ndjson").read_text().splitlines()]
    accepted = {"AA", "200", "201"}
    assert {str(line["answer"]) in accepted for line in lines if not line["faulty"]} == {True}
    assert {str(line["answer"]) in accepted for line in lines if line["faulty"]} <= {False}


def test_a_taken_port_is_said_plainly(
    server: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CSOR_FHIR_PORT", str(server.context.settings.fhir_port))
    monkeypatch.setenv("CSOR_MLLP_PORT", str(server.mllp_port))
    assert main(["demo", "--folder", str(tmp_path), "--exit"]) == 1
    assert "taken" in capsys.readouterr().err


def test_the_inbox_lists_what_was_refused_without_its_content(
    server: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = {
        "resourceType": "Patient",
        "birthDate": "never",
        "name": [{"family": "Testchild-Secret"}],
    }
    assert server.http.post("/Patient", json=body).status_code == 422
    monkeypatch.setenv("CSOR_DATABASE", str(server.context.settings.database))
    assert main(["inbox"]) == 0
    said = capsys.readouterr().out
    assert "POST /fhir/Patient" in said
    assert "Testchild-Secret" not in said


def test_load_stores_nothing_twice(
    server: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CSOR_DATABASE", str(server.context.settings.database))
    assert main(["load"]) == 0
    assert capsys.readouterr().out == "0 artefacts new or changed\n"


def test_the_reference_pages_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docs", "--check"]) == 0, capsys.readouterr().out


def test_an_unknown_command_is_refused() -> None:
    with pytest.raises(SystemExit):
        main(["unknown"])


def weight(child: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "weight"},
        "subject": {"reference": f"Patient/{child}"},
        **more,
    }


def born(server: Served, child: str) -> None:
    """Make the child known whom a refused resource refers to."""
    body = {"resourceType": "Patient", "id": child}
    assert server.http.put(f"/Patient/{child}", json=body).is_success


def total(server: Served, query: str) -> int:
    found: int = server.http.get(f"/{query}&_summary=count").json()["total"]
    return found


@pytest.fixture
def refused(server: Served) -> Iterator[Callable[[], list[Message]]]:
    """Returns the messages that were refused since the test began."""
    database = open_database(server.context.settings.database)
    before = {message.id for message in inbox.every(database, "refused")}
    yield lambda: [m for m in inbox.every(database, "refused") if m.id not in before]
    database.close()


Refused = Callable[[], list[Message]]


class TestReplay:
    def test_a_conditional_create_stays_conditional(self, server: Served, refused: Refused) -> None:
        number = [{"system": MRN, "value": "W-1"}]
        condition = {"If-None-Exist": f"identifier={MRN}|W-1"}
        body = weight("c-1", identifier=number)
        assert server.http.post("/Observation", json=body, headers=condition).status_code == 422
        born(server, "c-1")
        other = {**body, "status": "amended"}
        assert server.http.post("/Observation", json=other, headers=condition).status_code == 201
        replay(server.context.settings, [message.id for message in refused()])
        assert total(server, f"Observation?identifier={MRN}|W-1") == 1
        assert refused() == []

    def test_an_update_never_replaces_what_is_newer(
        self, server: Served, refused: Refused, capsys: pytest.CaptureFixture[str]
    ) -> None:
        old = weight("c-2", id="w-2", status="preliminary")
        number = [{"system": MRN, "value": "W-2"}]
        conditional = weight("c-2", status="preliminary", identifier=number)
        entry = {"resource": old, "request": {"method": "PUT", "url": "Observation/w-2"}}
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        search = f"/Observation?identifier={MRN}|W-2"
        assert server.http.put("/Observation/w-2", json=old).status_code == 422
        assert server.http.put(search, json=conditional).status_code == 422
        assert server.http.post("/", json=bundle).status_code == 422
        born(server, "c-2")
        new = weight("c-2", id="w-2", status="final", identifier=number)
        assert server.http.put("/Observation/w-2", json=new).status_code == 201
        replay(server.context.settings, [message.id for message in refused()])
        assert server.http.get("/Observation/w-2").json()["status"] == "final"
        assert capsys.readouterr().out.count("Observation/w-2 has been changed since") == 3
        assert len(refused()) == 3

    def test_an_if_match_is_sent_again(self, server: Served, refused: Refused) -> None:
        born(server, "c-3")
        body = weight("c-3", id="w-3")
        assert server.http.put("/Observation/w-3", json=body).status_code == 201
        wrong = weight("c-3x", id="w-3", status="amended")
        headers = {"If-Match": 'W/"1"'}
        assert server.http.put("/Observation/w-3", json=wrong, headers=headers).status_code == 422
        corrected = {**body, "status": "corrected"}
        assert server.http.put("/Observation/w-3", json=corrected).status_code == 200
        born(server, "c-3x")
        replay(server.context.settings, [])
        assert server.http.get("/Observation/w-3").json()["status"] == "corrected"
        assert "w-3" in next(m for m in refused() if "If-Match" in m.target).reason

    def test_what_is_refused_for_a_precondition_is_not_kept(
        self, server: Served, refused: Refused
    ) -> None:
        body = {"resourceType": "Patient", "id": "nobody-yet"}
        answer = server.http.put("/Patient/nobody-yet", json=body, headers={"If-Match": 'W/"1"'})
        assert answer.status_code == 412
        assert refused() == []

    def test_the_same_request_later_settles_what_was_refused(
        self, server: Served, refused: Refused, capsys: pytest.CaptureFixture[str]
    ) -> None:
        body = weight("c-4", identifier=[{"system": MRN, "value": "W-4"}])
        for _ in range(2):
            assert server.http.post("/Observation", json=body).status_code == 422
        (kept,) = refused()
        born(server, "c-4")
        condition = {"If-None-Exist": f"identifier={MRN}|W-5"}
        assert server.http.post("/Observation", json=body, headers=condition).is_success
        assert len(refused()) == 1, "another request, for its headers are others"
        assert server.http.post("/Observation", json=body).status_code == 201
        assert refused() == []
        assert replay(server.context.settings, [kept.id]) == 1
        assert f"{kept.id}\tprocessed\tnot replayed" in capsys.readouterr().out
        assert total(server, f"Observation?identifier={MRN}|W-4") == 2

    def test_a_replay_that_is_refused_again_keeps_its_row(
        self, server: Served, refused: Refused
    ) -> None:
        assert server.http.post("/Observation", json=weight("c-none")).status_code == 422
        replay(server.context.settings, [refused()[0].id])
        (kept,) = refused()
        assert (kept.settled or 0) > kept.received

    def test_what_is_refused_is_looked_up_once_however_many_are_sent_again(
        self, server: Served, refused: Refused, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for child in ("c-7", "c-8", "c-9"):
            assert server.http.post("/Observation", json=weight(child)).status_code == 422
        kept = refused()
        for child in ("c-7", "c-8", "c-9"):
            born(server, child)
        asked, refusals = [], inbox.refusals
        monkeypatch.setattr(inbox, "refusals", lambda *of: asked.append(of) or refusals(*of))
        assert replay(server.context.settings, [each.id for each in kept]) == 0
        assert (len(kept), len(asked), refused()) == (3, 1, [])

    def test_each_refused_entry_of_a_batch_is_kept_and_replayed_alone(
        self, server: Served, refused: Refused
    ) -> None:
        entries = [
            {"resource": weight(child, id=f"w-{child}", identifier=[{"system": MRN, "value": child}]),
             "request": request}
            for child, request in (
                ("c-5", {"method": "POST", "url": "Observation", "ifNoneExist": f"identifier={MRN}|c 5"}),
                ("c-6", {"method": "PUT", "url": "Observation/w-c-6"}),
            )
        ]  # fmt: skip
        batch = {"resourceType": "Bundle", "type": "batch", "entry": entries}
        statuses = [
            e["response"]["status"] for e in server.http.post("/", json=batch).json()["entry"]
        ]
        assert {status[:3] for status in statuses} == {"422"}
        create, update = refused()
        assert create.target.startswith('POST /fhir/Observation {"If-None-Exist":')
        assert update.target == "PUT /fhir/Observation/w-c-6"
        for child in ("c-5", "c-6"):
            born(server, child)
        server.http.post("/", json={**batch, "entry": entries[1:]})
        assert refused() == [create], "the entry that was sent again is settled"
        replay(server.context.settings, [create.id])
        assert refused() == []
        assert total(server, f"Observation?identifier={MRN}|c-5") == 1

    def test_what_cannot_be_answered_or_read_is_kept_whole(
        self, server: Served, refused: Refused
    ) -> None:
        body = b'{"resourceType":"Patient"}'
        json = {"Content-Type": "application/fhir+json", "Accept": "application/x-none"}
        other = {"Content-Type": "application/x-none"}
        assert server.http.post("/Patient", content=body, headers=json).status_code == 406
        assert server.http.post("/Patient", content=body, headers=other).status_code == 415
        assert [message.raw for message in refused()] == [body, body]

    def test_of_what_is_too_large_the_beginning_is_kept_and_never_replayed(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with served(tmp_path, max_body=2 * BEGINNING, mllp=False) as server:
            body = b'{"resourceType":"Patient"' + b" " * 3 * BEGINNING + b"}"
            assert server.http.post("/Patient", content=body).status_code == 413
            database = open_database(server.context.settings.database)
            (kept,) = inbox.every(database, "refused")
            database.close()
            assert kept.raw == body[:BEGINNING]
            assert kept.target.startswith("oversize POST /fhir/Patient")
            replay(server.context.settings, [])
            assert "not replayed: it was too large" in capsys.readouterr().out


class TestInbox:
    async def test_it_is_listed_and_replayed_to_its_end(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        settings = Settings(database=tmp_path / "csor.db")
        database = open_database(settings.database)

        def fill(connection: Any) -> None:
            for number in range(1101):
                connection.execute(
                    "INSERT INTO inbox"
                    " (received, door, sender, control_id, sha256, target, raw, status)"
                    " VALUES (1, 'http', 'local', ?, '', 'oversize POST /fhir', x'', 'refused')",
                    (str(number),),
                )

        await database.write(fill)
        assert len(list(inbox.every(database, "refused"))) == 1101
        database.close()
        listing(settings, "refused")
        assert len(capsys.readouterr().out.splitlines()) == 1101 + 1

    async def test_what_is_processed_is_settled_once_and_nothing_is_stored_twice(
        self, tmp_path: Path
    ) -> None:
        made = context(Settings(database=tmp_path / "csor.db"))
        try:
            arrival = Arrival("mllp", "PAS|RTH", "M-1", "hash", "", b"message")
            message = await inbox.receive(made.database, arrival, 1)
            first = Settlement(message.id, "processed", 2, b"first")
            entry = {
                "resource": {"resourceType": "Patient"},
                "request": {"method": "POST", "url": "Patient"},
            }
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
            await transaction(made, bundle, settlement=first)
            with pytest.raises(SettledError):
                await transaction(
                    made, bundle, settlement=Settlement(message.id, "processed", 3, b"second")
                )
            with pytest.raises(SettledError):
                await inbox.refuse(
                    made.database, Settlement(message.id, "refused", 3, b"third", "late")
                )
            settled = inbox.read(made.database, message.id)
            assert settled is not None
            assert (settled.status, settled.answer) == ("processed", b"first")
            ((stored,),) = made.database.read("SELECT count(*) FROM resource")
            assert stored == 1
        finally:
            made.database.close()
