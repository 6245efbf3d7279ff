"""Whoever objects is read no more: by the registry, in its exports, and by hospitals that did not send it."""

import asyncio
import io
from contextlib import redirect_stdout
from typing import Any

import pytest

from fhir_server.__main__ import main
from fhir_server.interactions.update import update
from fhir_server.operations import asynchronous
from fhir_server.operations.export import Scope, export
from fhir_server.operations.export_files import write_export
from fhir_server.store import jobs
from fhir_server.store.jobs import GoneError
from fhir_server.store.verify import verify
from r4.json import decode
from tests.support.hospitals import (
    NORTH,
    REGISTRY,
    SOUTH,
    Asking,
    Ward,
    by_number,
    patient,
    place,
    post,
    visit,
    weight,
)
from tests.support.objections import consent

pytestmark = pytest.mark.postgresql_slow
GONE = 404


@pytest.fixture
def objected(ask: Asking, ward: Ward) -> Any:
    """Mia's parent objects, until the test ends."""
    told = consent("mia-objects", ward.mia.partition("/")[2])
    assert ask(REGISTRY, "PUT", "/Consent/mia-objects", json=told).status_code in (200, 201)
    yield told
    ended = {**told, "status": "inactive"}
    assert ask(REGISTRY, "PUT", "/Consent/mia-objects", json=ended).status_code == 200


def id_of(reference: str) -> str:
    return reference.partition("/")[2]


def test_the_registry_reads_who_the_child_is_and_that_somebody_objects_and_nothing_else(
    ask: Asking, ward: Ward, objected: Any
) -> None:
    assert ask.get(REGISTRY, f"/{ward.mia}").status_code == 200
    assert ask.ids(REGISTRY, f"/Consent?patient={ward.mia}") == {"mia-objects"}
    for closed in (ward.mia_visit, ward.mia_weight):
        assert ask.get(REGISTRY, f"/{closed}").status_code == GONE
        assert ask.get(REGISTRY, f"/{closed}/_history/1").status_code == GONE
        assert ask.get(REGISTRY, f"/{closed}/_history").status_code == GONE
    assert ask.get(REGISTRY, f"/{ward.tom_weight}").status_code == 200
    assert id_of(ward.mia_weight) not in ask.ids(REGISTRY, "/Observation?status=final")
    counted = ask.get(REGISTRY, f"/Observation?subject={ward.mia}&_summary=count").json()
    assert counted["total"] == 0
    assert (
        ask.ids(REGISTRY, f"/Patient?_has:Observation:subject:status=final&_id={id_of(ward.mia)}")
        == set()
    )
    everything = ask.get(REGISTRY, f"/{ward.mia}/$everything").json()
    kinds = {each["resource"]["resourceType"] for each in everything["entry"]}
    assert kinds <= {"Patient", "Consent", "Organization"}


def test_a_transaction_reads_no_more_than_a_request(ask: Asking, ward: Ward, objected: Any) -> None:
    entries = [
        {"request": {"method": "GET", "url": each}}
        for each in (ward.mia_weight, f"Observation?subject={ward.mia}")
    ]
    one, several = ask.send(REGISTRY, *entries).json()["entry"]
    assert one["response"]["status"].startswith("404")
    assert several["resource"]["total"] == 0


def test_what_is_sent_meanwhile_is_stored_in_its_place(
    ask: Asking, ward: Ward, objected: Any
) -> None:
    stored = ask.get(NORTH, f"/{ward.mia_weight}").json()
    answer = ask(REGISTRY, "PUT", f"/{ward.mia_weight}", json={**stored, "valueString": "newer"})
    assert answer.status_code == 200
    assert ask.get(NORTH, f"/{ward.mia_weight}").json()["valueString"] == "newer"


def test_the_hospital_that_sent_it_sees_it_as_before(
    ask: Asking, ward: Ward, objected: Any
) -> None:
    for own in (ward.mia, ward.mia_visit, ward.mia_weight):
        assert ask.get(NORTH, f"/{own}").status_code == 200
        assert ask.get(SOUTH, f"/{own}").status_code == GONE


def test_of_a_child_who_was_elsewhere_too_each_hospital_sees_what_names_its_own_visits(
    ask: Asking,
) -> None:
    url = "urn:uuid:zoe"
    sent = ask.send(NORTH, patient("zoe"), visit(url, NORTH), post(weight(url)))
    child, first, plain = (place(sent, number) for number in range(3))
    named = {"encounter": {"reference": first}}
    its = place(ask.send(NORTH, post(weight(child, **named))), 0)
    second = place(ask.send(SOUTH, patient("zoe"), visit(by_number("zoe"), SOUTH)), 1)
    for who in (NORTH, SOUTH):
        for each in (child, first, second, plain, its):
            assert ask.get(who, f"/{each}").status_code == 200
    told = consent("zoe-objects", id_of(child))
    assert ask(REGISTRY, "PUT", "/Consent/zoe-objects", json=told).status_code == 201
    for who, seen in ((NORTH, {child, first, its}), (SOUTH, {child, second})):
        for each in (child, first, second, plain, its):
            expected = 200 if each in seen else GONE
            assert ask.get(who, f"/{each}").status_code == expected, (who, each)


def exported(ask: Asking, who: str = REGISTRY) -> tuple[str, dict[str, set[str]]]:
    """Export everything; returns the job's id and the ids of each type that its files hold."""
    made = ask.made

    async def work() -> tuple[str, dict[str, set[str]]]:
        job_id = await export(made, Scope("Patient"), (), f"{made.base_url}/$export")
        job = jobs.read(made.database, job_id)
        assert job is not None
        await write_export(made.asked_by(asynchronous.who_asked(job)), job)
        folder = asynchronous.folder(made, job_id)
        held = {file.stem: file.read_bytes().splitlines() for file in folder.glob("*.ndjson")}
        return job_id, {kind: {decode(e)["id"] for e in listed} for kind, listed in held.items()}

    return ask.runner.run(made.database.driven(work()))


def test_an_export_holds_nothing_of_the_child_and_those_before_are_withdrawn(
    ask: Asking, ward: Ward
) -> None:
    before, held = exported(ask)
    assert id_of(ward.mia) in held["Patient"]
    assert id_of(ward.mia_weight) in held["Observation"]
    assert ask.get(REGISTRY, f"/$bulk/{before}/Patient.ndjson").status_code == 200
    told = consent("mia-objects-too", id_of(ward.mia), "research-extract")
    assert ask(REGISTRY, "PUT", "/Consent/mia-objects-too", json=told).status_code == 201
    assert ask.get(REGISTRY, f"/$bulk/{before}").status_code == GONE
    assert ask.get(REGISTRY, f"/$bulk/{before}/Patient.ndjson").status_code == GONE
    _, held = exported(ask)
    for gone in (ward.mia, ward.mia_visit, ward.mia_weight, "Consent/mia-objects-too"):
        assert id_of(gone) not in {each for listed in held.values() for each in listed}
    assert id_of(ward.tom) in held["Patient"]
    assert ask.get(REGISTRY, f"/{ward.mia_weight}").status_code == 200  # extracts alone
    ended = {**told, "status": "inactive"}
    assert ask(REGISTRY, "PUT", "/Consent/mia-objects-too", json=ended).status_code == 200


def test_an_export_under_way_ends_where_somebody_comes_to_object(ask: Asking, ward: Ward) -> None:
    made = ask.made

    async def work() -> None:
        job_id = await export(made, Scope("Patient"), (), f"{made.base_url}/$export")
        job = jobs.read(made.database, job_id)
        assert job is not None
        writing = made.asked_by(asynchronous.who_asked(job))
        running = asyncio.ensure_future(write_export(writing, job))
        await asyncio.sleep(0)
        told = consent("tom-objects", id_of(ward.tom), "research-extract")
        await made.database.driven(stored(told))
        with pytest.raises(GoneError):
            await running

    async def stored(told: dict[str, Any]) -> None:
        await update(made, told, told["id"])
        await update(made, {**told, "status": "inactive"}, told["id"])

    ask.runner.run(made.database.driven(work()))


def test_hospitals_record_no_objection(ask: Asking, ward: Ward) -> None:
    told = consent("by-a-hospital", id_of(ward.mia))
    assert ask(NORTH, "PUT", "/Consent/by-a-hospital", json=told).status_code == 403


def test_verify_finds_an_objection_that_is_not_gone_by(
    ask: Asking, ward: Ward, objected: Any
) -> None:
    database = ask.made.database

    def problems() -> list[str]:
        with database.snapshot() as read:
            steps = verify(read, database.dialect, 1)
            return [each.place for step in steps for each in step.problems]

    def lose(connection: Any) -> list[Any]:
        rows = connection.read("SELECT * FROM objection WHERE stream = 'health-record'")
        connection.execute("DELETE FROM objection WHERE stream = 'health-record'")
        return [tuple(each) for each in rows]

    assert not [each for each in problems() if each.startswith("objection")]
    lost = ask.runner.run(database.write(lose))
    assert [each for each in problems() if each.startswith("objection, health-record")]
    ask.runner.run(database.write(lambda c: c.insert({"objection": lost})))


def test_the_command_records_lists_and_withdraws(
    ask: Asking, ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSOR_DATABASE", ask.made.settings.database)
    patient = id_of(ward.tom)

    def said(*arguments: str) -> str:
        with redirect_stdout(io.StringIO()) as out:
            assert main(["objection", *arguments]) == 0
        return out.getvalue()

    told = said("record", patient, "health-record", "--told-by", "The mother, by letter")
    by = told.split()[0]
    assert said("record", patient, "health-record").split()[0] == by  # told twice, recorded once
    assert ask.get(REGISTRY, f"/{ward.tom_weight}").status_code == GONE
    listed = said("list", patient)
    assert f"{by}\tPatient/{patient}\thealth-record\t" in listed
    assert "mother" not in listed
    said("withdraw", id_of(by))
    assert ask.get(REGISTRY, f"/{ward.tom_weight}").status_code == 200
    assert "0 objections" in said("list", patient)
    assert main(["objection", "withdraw", id_of(by)]) == 1
    assert main(["objection", "record", "nobody", "health-record"]) == 1
    rows = ask.made.database.read(
        "SELECT interaction, status FROM audit WHERE type = 'Consent' AND key = ?", (id_of(by),)
    )
    assert [row[0] for row in rows].count("update") == 2
    assert "objection-list" in {row[0] for row in rows}
