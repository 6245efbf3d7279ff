"""A load of HES: whom it links, what it stores, that it can be repeated, and that a killed one goes on.

All rows and children are fictitious.
"""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from fhir_server.app import context
from fhir_server.commands.hes import hes as command
from fhir_server.context import Context
from fhir_server.interactions.update import update
from fhir_server.operations import asynchronous, hes_load
from fhir_server.settings import Settings
from fhir_server.store import jobs
from fhir_server.store.jobs import GoneError
from mappings.hes.bundle import PERSON, SPELL
from mappings.hes.tables import columns
from r4.issue import FhirError
from r4.json import decode
from tests.support import hes
from tests.support.bulk import patient
from tests.support.objections import consent
from tests.support.server import ROOT

Work = Callable[[Context], Coroutine[Any, Any, None]]
Run = Callable[[Work], None]
NHS = "https://fhir.nhs.uk/Id/nhs-number"


def written(file: Path, *rows: dict[str, str]) -> Path:
    names = list(columns())
    lines = ("|".join(row.get(name, "") for name in names) for row in rows)
    file.write_text("\n".join(["|".join(names), *lines]))
    return file


def stay(person: str, key: str, day: int, **given: str) -> dict[str, str]:
    """Return a row of a stay of two days in March 2021, with a pull-through on the first."""
    first, last = f"2021-03-{day:02}", f"2021-03-{day + 1:02}"
    return {
        "ENCRYPTED_HESID": person, "EPIKEY": key, "EPISTAT": "3", "EPISTART": first,
        "EPIEND": last, "EPIORDER": "1", "ADMIDATE": first, "DISDATE": last, "ADMIMETH": "11",
        "ADMISORC": "19", "DISMETH": "1", "DISDEST": "19", "CLASSPAT": "1", "PROCODE": "RTH00",
        "DIAG_01": "Q431", "DIAG_02": "R69X6", "OPERTN_01": "H411", "OPDATE_01": first, **given,
    }  # fmt: skip


def child(key: str, *persons: str) -> dict[str, Any]:
    return patient(key, identifier=[{"system": PERSON, "value": each} for each in persons])


async def loaded(made: Context, file: Path, system: str = PERSON) -> dict[str, Any]:
    job = await hes_load.accept(made, file, None, system)
    said = [each async for each in hes_load.load(made, job)]
    assert said
    folder = asynchronous.folder(made, job.id)
    assert sorted(each.name for each in folder.iterdir()) == sorted([hes_load.ERRORS, "lock"])
    manifest = asynchronous.standing(made, job.id).manifest
    assert manifest is not None
    return manifest["extension"]


def stored(made: Context, *kinds: str) -> list[dict[str, Any]]:
    rows = made.database.read(
        "SELECT type, body FROM resource JOIN content USING (rid) WHERE superseded IS NULL"
    )
    found = [decode(body) for kind, body in rows if kind in kinds]
    return sorted(found, key=lambda each: str(each.get("identifier")))


MADE = ("Encounter", "Condition", "Procedure", "Provenance")


def test_spells_of_children_of_the_registry_are_stored_and_of_nobody_else(
    run: Run, tmp_path: Path
) -> None:
    file = written(
        tmp_path / "apc.txt", stay("A", "1", 1), stay("B", "2", 1), stay("C", "3", 1),
        stay("A", "4", 9, ADMIMETH="21", DISMETH="4", DISDEST="79", OPERTN_01="T301"),
        stay("A", "5", 9, EPISTAT="1"), stay("A", "x", 2, EPIEND="tomorrow"),
    )  # fmt: skip

    async def work(made: Context) -> None:
        await update(made, child("a", "A"), "a")
        await update(made, child("c1", "C"), "c1")
        await update(made, child("c2", "C"), "c2")
        report = await loaded(made, file)
        assert report["persons"] == {
            "linked": 1, "unlinked": 1, "ambiguous": 1, "objected": 0, "failed": 0,
        }  # fmt: skip
        assert report["rows"] == {
            "read": 6, "refused": 1, "duplicates": 0, "lacking": {"unfinished": 1}, "episodes": 4,
        }  # fmt: skip
        assert report["spells"] == {
            "spells": 4, "linkedSpells": 2, "continuousSpells": 4, "deathsInHospital": 1,
            "emergencyReadmissions": 1, "reoperations": 1,
        }  # fmt: skip
        assert report["resources"] == {"created": 7, "updated": 0, "unchanged": 0}
        assert len(stored(made, "Patient")) == 3
        first, second = stored(made, "Encounter")
        assert first["identifier"] == [{"system": SPELL, "value": "1"}]
        assert first["period"] == {"start": "2021-03-01", "end": "2021-03-02"}
        assert first["class"]["code"] == "IMP"
        assert second["hospitalization"]["dischargeDisposition"]["coding"][0]["code"] == "79"
        assert second["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] == "4"
        operation, _ = stored(made, "Procedure")
        assert operation["code"]["coding"][0]["code"] == "H41.1"
        assert operation["performedDateTime"] == "2021-03-01"
        conditions = stored(made, "Condition")
        assert {each["code"]["coding"][0]["code"] for each in conditions} == {"Q43.1"}
        for each in (*conditions, operation, first, second):
            assert each["subject"] == {"reference": "Patient/a"}
        assert operation["encounter"] == {"reference": f"Encounter/{first['id']}"}
        (provenance,) = stored(made, "Provenance")
        assert len(provenance["target"]) == 6

    run(work)


def test_who_objects_to_linking_is_not_linked(run: Run, tmp_path: Path) -> None:
    file = written(tmp_path / "apc.txt", stay("A", "1", 1), stay("B", "2", 1))

    async def work(made: Context) -> None:
        await update(made, child("a", "A"), "a")
        await update(made, child("b", "B"), "b")
        await update(made, consent("c", "a", "national-data"), "c")
        report = await loaded(made, file)
        assert (report["persons"]["linked"], report["persons"]["objected"]) == (1, 1)
        subjects = {each["subject"]["reference"] for each in stored(made, "Encounter")}
        assert subjects == {"Patient/b"}

    run(work)


def test_a_second_load_changes_nothing(run: Run, tmp_path: Path) -> None:
    file = hes.write(tmp_path / "apc.txt", 120, seed=3, persons=6)

    async def work(made: Context) -> None:
        for number in range(4):
            await update(made, child(f"p{number}", f"P{number:07}"), f"p{number}")
        first = await loaded(made, file)
        before = stored(made, *MADE)
        second = await loaded(made, file)
        assert first["persons"]["failed"] == 0
        assert first["resources"]["created"] > 100
        total = sum(first["resources"].values())
        assert second["resources"] == {"created": 0, "updated": 0, "unchanged": total}
        assert stored(made, *MADE) == before
        for name in ("rows", "persons", "spells", "operations"):
            assert first[name] == second[name]

    run(work)


def test_a_corrected_row_updates_what_it_was_about(run: Run, tmp_path: Path) -> None:
    async def work(made: Context) -> None:
        await update(made, child("a", "A"), "a")
        await loaded(made, written(tmp_path / "one.txt", stay("A", "1", 1)))
        corrected = stay("A", "1", 1, DISDATE="2021-03-05")
        report = await loaded(made, written(tmp_path / "two.txt", corrected))
        assert report["resources"] == {"created": 1, "updated": 1, "unchanged": 2}
        (encounter,) = stored(made, "Encounter")
        assert encounter["period"]["end"] == "2021-03-05"
        assert len(stored(made, "Provenance")) == 2

    run(work)


def test_days_of_operations_are_held_against_the_registrys(run: Run, tmp_path: Path) -> None:
    file = written(tmp_path / "apc.txt", stay("A", "1", 1), stay("A", "2", 20))

    async def work(made: Context) -> None:
        await update(made, child("a", "A"), "a")
        for key, moment, status in (
            ("p1", "2021-03-01T10:00:00+00:00", "completed"),
            ("p2", "2021-04-01", "completed"),
            ("p3", "2021-03-20", "not-done"),
        ):
            made_of = {"id": key, "status": status, "subject": {"reference": "Patient/a"}}
            operation = {"resourceType": "Procedure", "performedDateTime": moment, **made_of}
            await update(made, operation, key)
        for _ in range(2):
            report = await loaded(made, file)
            assert report["operations"] == {
                "operationDaysInBoth": 1, "operationDaysOfRegistryOnly": 1,
                "operationDaysOfHesOnly": 1,
            }  # fmt: skip

    run(work)


def test_a_merged_record_leads_to_the_one_that_stands_and_nhs_numbers_link_too(
    run: Run, tmp_path: Path
) -> None:
    file = written(tmp_path / "apc.txt", stay("9990000026", "1", 1), stay("9990000034", "2", 1))

    async def work(made: Context) -> None:
        kept = {"identifier": [{"system": NHS, "value": "9990000026"}]}
        await update(made, patient("a", **kept), "a")
        link = [{"other": {"reference": "Patient/a"}, "type": "replaced-by"}]
        gone = {"identifier": [{"system": NHS, "value": "9990000034"}]}
        await update(made, patient("b", active=False, link=link, **gone), "b")
        report = await loaded(made, file, NHS)
        assert report["persons"]["linked"] == 2
        assert [each["subject"]["reference"] for each in stored(made, "Encounter")] == [
            "Patient/a", "Patient/a"
        ]  # fmt: skip

    run(work)


def test_a_key_may_hold_what_a_search_reads_as_something_else(run: Run, tmp_path: Path) -> None:
    rows = [stay("A,B", key, 3 * n + 1) for n, key in enumerate(["1,2", "1", "2", "a$b&c \\"])]
    file = written(tmp_path / "apc.txt", *rows)

    async def work(made: Context) -> None:
        await update(made, child("a", "A,B"), "a")
        await update(made, child("b", "B"), "b")
        for _ in range(2):
            report = await loaded(made, file)
            assert report["persons"]["failed"] == 0
            assert len(stored(made, "Encounter")) == 4

    run(work)


def test_a_file_that_is_none_fails_the_load_and_leaves_nothing_staged(
    run: Run, tmp_path: Path
) -> None:
    async def work(made: Context) -> None:
        file = tmp_path / "apc.txt"
        file.write_text("a,b,c\n1,2,3")
        job = await hes_load.accept(made, file, None, PERSON)
        with pytest.raises(FhirError, match="lacks EPIKEY"):
            async for _ in hes_load.load(made, job):
                pass
        with pytest.raises(FhirError, match="lacks EPIKEY"):
            asynchronous.standing(made, job.id)
        assert [each.name for each in asynchronous.folder(made, job.id).iterdir()] == ["lock"]

    run(work)


def test_a_cancelled_load_stops_and_leaves_nothing_staged(run: Run, tmp_path: Path) -> None:
    """As when a child is purged: a purge cancels all jobs."""
    file = hes.write(tmp_path / "apc.txt", 200, seed=3, persons=6)

    async def work(made: Context) -> None:
        await update(made, child("a", "P0000001"), "a")
        job = await hes_load.accept(made, file, None, PERSON)
        staged = asynchronous.folder(made, job.id) / "episodes.sqlite"
        loading = hes_load.load(made, job)
        await anext(loading)
        assert staged.exists()
        await jobs.cancel(made.database, job.id)
        with pytest.raises(GoneError):
            await anext(loading)
        assert not staged.exists()
        assert stored(made, *MADE) == []

    run(work)


def test_one_process_carries_out_a_load_and_no_server_does(run: Run, tmp_path: Path) -> None:
    file = hes.write(tmp_path / "apc.txt", 50, seed=3)

    async def work(made: Context) -> None:
        job = await hes_load.accept(made, file, None, PERSON)
        assert jobs.following(made.database) is None
        assert (await hes_load.accept(made, file, None, PERSON)).id == job.id
        loading = hes_load.load(made, job)
        await anext(loading)
        with pytest.raises(FhirError, match="Another process"):
            await anext(hes_load.load(made, job))
        await loading.aclose()
        assert await loaded(made, file)

    run(work)


@pytest.mark.slow
def test_a_load_that_was_killed_ends_as_if_it_had_not_been(
    settings: Settings, run: Run, tmp_path: Path
) -> None:
    """SIGKILL while it reads, and while it stores; then it is given the same file again."""
    file = hes.write(tmp_path / "apc.txt", 1_200, seed=8, persons=60)
    with file.open("a") as appended:
        appended.write("\nbad")
    disturbed: dict[str, Any] = {}
    resources: list[Any] = []

    async def prepare(made: Context) -> None:
        for number in range(25):
            await update(made, child(f"p{number}", f"P{number:07}"), f"p{number}")

    async def finish(made: Context) -> None:
        (job,) = jobs.unfinished(made.database, "hes")
        assert 0 < decode(job.state)["counts"]["linked"] < 25
        disturbed.update(await loaded(made, file))
        resources.extend(_without_ids(each) for each in stored(made, *MADE))

    run(prepare)
    drawn = random.Random(5).sample(range(2, 9), 2)  # noqa: S311 - the same each time
    for said in (1, *drawn):
        assert _killed(settings, file, said) == -9
    run(finish)
    assert disturbed["rows"]["read"] == 1_201
    assert disturbed["persons"]["linked"] == 25
    fresh = settings.model_copy(
        update={"database": str(tmp_path / "fresh.db"), "bulk_folder": tmp_path / "fresh"}
    )

    async def compare() -> None:
        made = context(fresh)
        try:
            await made.database.driven(prepare(made))
            report = await made.database.driven(loaded(made, file))
            assert report == disturbed
            assert [_without_ids(each) for each in stored(made, *MADE)] == resources
        finally:
            made.database.close()

    asyncio.run(compare())


def _killed(settings: Settings, file: Path, said: int) -> int:
    environment = {
        **os.environ,
        "CSOR_DATABASE": settings.database,
        "CSOR_BULK_FOLDER": str(settings.bulk_folder),
    }
    command = [sys.executable, "-m", "tests.support.hes_killed", str(file), str(said)]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _without_ids(resource: dict[str, Any]) -> Any:
    """Return what does not differ between two registries: all but ids, times and who is referred to."""
    left_out = {"id", "meta", "encounter", "target", "recorded", "entity"}
    return {key: value for key, value in resource.items() if key not in left_out}


def test_the_command_prints_the_report(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path / "apc.txt", stay("A", "1", 1), {"EPIORDER": "x"})
    assert command(settings, file, None, system=PERSON) == 0
    printed = capsys.readouterr().out
    assert '"unlinked": 1' in printed
    (refused,) = Path(printed.rpartition("refused rows: ")[2].strip()).read_text().splitlines()
    assert "apc.txt, line 3: it has something in EPIORDER that is no number." in refused
