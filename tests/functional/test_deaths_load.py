"""A load of linked deaths: whom it links, what it gives a child, what it leaves, and what it reports.

The layout, the rows and the children are fictitious.
"""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from fhir_server.commands.deaths import deaths as command
from fhir_server.context import Context
from fhir_server.interactions.merge import TOLD_BY_DISCHARGE
from fhir_server.interactions.update import update
from fhir_server.operations import asynchronous, deaths_load, hes_load, staged
from fhir_server.settings import Settings
from fhir_server.store import jobs
from fhir_server.store import read as store
from fhir_server.store.jobs import GoneError
from mappings.hes.bundle import PERSON
from mappings.hes.tables import columns
from r4.issue import FhirError
from r4.json import decode
from tests.support.deaths import (
    BRIDGE,
    HEADING,
    LAYOUT,
    child,
    loaded,
    provenances,
    stored,
)
from tests.support.objections import consent

Work = Callable[[Context], Coroutine[Any, Any, None]]
Run = Callable[[Work], None]


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    def write(*rows: str, name: str = "deaths.txt", heading: str = HEADING) -> Path:
        (tmp_path / name).write_text("\n".join([heading, *rows]))
        return tmp_path / name

    return write


@pytest.fixture
def bridge(file: Callable[..., Path]) -> Callable[..., Path]:
    return lambda *rows: file(*rows, name="bridge.txt", heading=BRIDGE)


def test_a_linked_child_is_given_the_day_and_nobody_is_created(
    run: Run, file: Callable[..., Path], bridge: Callable[..., Path]
) -> None:
    listed = file(
        "r1|20210207|9990000026|", "r2|20210301||20190201", "r3|20210302|9990000042|",
        "r1|20210208|9990000026|", "r4|tomorrow||",
    )  # fmt: skip
    keys = bridge("r2|P2", "r2|P2", "r3|P3", "r5|P5", "r6|")

    async def work(made: Context) -> None:
        await child(made, "a", "9990000026", deceasedBoolean=False)
        await child(made, "b", hes="P2", birthDate="2019-02-01", deceasedDateTime="2021")
        await child(made, "c", "9990000034")
        report, said = await loaded(made, listed, keys)
        assert report["persons"] == {
            "linked": 2, "unlinked": 1, "ambiguous": 0, "contradicting": 0, "objected": 0,
        }  # fmt: skip
        assert report["deaths"] == {
            "inBoth": 0, "onsOnly": 2, "registryOnly": 0, "different": 0, "failed": 0,
        }  # fmt: skip
        assert report["rows"] == {
            "deaths": {"read": 5, "refused": 1, "duplicates": 1, "kept": 3},
            "bridge": {"read": 5, "refused": 1, "duplicates": 1, "kept": 3},
        }
        assert said == [
            "deaths.txt, line 6: it has something in FICTION_DIED that is no date (YYYYMMDD).",
            "bridge.txt, line 6: it has nothing in FICTION_PERSON.",
        ]
        assert stored(made, "a")["deceasedDateTime"] == "2021-02-07"
        assert "deceasedBoolean" not in stored(made, "a")
        assert stored(made, "b")["deceasedDateTime"] == "2021-03-01"
        assert stored(made, "b")["birthDate"] == "2019-02-01"
        assert "deceasedDateTime" not in stored(made, "c")
        assert len(store.every(made.database, "Patient")) == 3
        targets = sorted(each["target"][0]["reference"] for each in provenances(made))
        assert targets == ["Patient/a", "Patient/b"]
        for each in provenances(made):
            assert each["entity"][0]["what"]["display"] == "deaths.txt"

    run(work)


def test_a_second_load_changes_nothing(run: Run, file: Callable[..., Path]) -> None:
    listed = file("r1|20210207|9990000026|")

    async def work(made: Context) -> None:
        await child(made, "a", "9990000026")
        first, _ = await loaded(made, listed)
        before = stored(made, "a"), provenances(made)
        second, _ = await loaded(made, listed)
        assert (stored(made, "a"), provenances(made)) == before
        assert first["deaths"]["onsOnly"] == second["deaths"]["inBoth"] == 1
        assert second["deaths"]["onsOnly"] == 0
        assert second["persons"] == first["persons"]

    run(work)


def test_another_day_is_never_overwritten_and_is_told(run: Run, file: Callable[..., Path]) -> None:
    listed = file("r1|20210207|9990000026|", "r2|20210207|9990000034|")

    async def work(made: Context) -> None:
        await child(made, "a", "9990000026", deceasedDateTime="2021-02-09")
        await child(made, "b", "9990000034", deceasedDateTime="2021-02-07T23:30:00+00:00")
        before = stored(made, "a"), stored(made, "b")
        report, said = await loaded(made, listed)
        assert (stored(made, "a"), stored(made, "b")) == before
        kept = store.every(made.database, "Observation")
        assert {decode(each.body)["effectiveDateTime"] for each in kept} == {"2021-02-07"}
        assert report["deaths"]["different"] == report["deaths"]["inBoth"] == 1
        (told,) = said
        assert "line 2: the day of death is 2021-02-07, that of Patient/a is 2021-02-09." in told

    run(work)


def test_who_objects_to_linking_is_not_linked(
    run: Run, file: Callable[..., Path], bridge: Callable[..., Path]
) -> None:
    async def work(made: Context) -> None:
        await child(made, "a", "9990000026")
        told = consent("c", "a", "national-data")
        await update(made, told, "c")
        report, said = await loaded(made, file("r1|20210207|9990000026|"), bridge())
        assert (report["persons"]["linked"], report["persons"]["objected"]) == (0, 1)
        assert said == []
        assert "deceasedDateTime" not in stored(made, "a")

    run(work)


def test_who_is_another_child_by_birth_or_number_is_not_linked(
    run: Run, file: Callable[..., Path], bridge: Callable[..., Path]
) -> None:
    listed = file(
        "r1|20210207|9990000026|20190202", "r2|20210207|9990000042|", "r3|20210207|9990000034|"
    )

    async def work(made: Context) -> None:
        await child(made, "a", "9990000026", birthDate="2019-02-01")
        await child(made, "b", "9990000034", hes="P2")
        await child(made, "c", hes="P3")
        report, said = await loaded(made, listed, bridge("r2|P2", "r3|P3"))
        assert report["persons"] == {
            "linked": 0, "unlinked": 0, "ambiguous": 1, "contradicting": 2, "objected": 0,
        }  # fmt: skip
        assert "line 2: Patient/a is found by its key, but Patient.birthDate is another" in said[0]
        assert "line 3: Patient/b is found by its key, but Patient.identifier is another" in said[1]
        assert "line 4: several records have its number or key" in said[2]
        assert not any("deceasedDateTime" in stored(made, key) for key in "abc")

    run(work)


def test_a_merged_record_leads_to_the_one_that_stands(run: Run, file: Callable[..., Path]) -> None:
    async def work(made: Context) -> None:
        await child(made, "a", "9990000026")
        link = [{"other": {"reference": "Patient/a"}, "type": "replaced-by"}]
        await child(made, "b", "9990000034", active=False, link=link, deceasedBoolean=True)
        report, said = await loaded(made, file("r1|20210207|9990000034|"))
        assert report["persons"]["linked"] == 1
        assert stored(made, "a")["deceasedDateTime"] == "2021-02-07"
        assert report["deaths"]["registryOnly"] == 0
        assert said == []

    run(work)


def test_deaths_that_the_registry_alone_knows_are_told(
    run: Run, file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deaths_load, "_STRIDE", 2)

    async def work(made: Context) -> None:
        for number in range(3):
            await child(made, f"d{number}", hes=f"D{number}", deceasedBoolean=True)
        await child(made, "alive", hes="X", deceasedBoolean=False)
        await child(made, "a", "9990000026", deceasedBoolean=True)
        report, said = await loaded(made, file("r1|20210207|9990000026|"))
        assert report["deaths"]["registryOnly"] == 3
        assert said[0] == "Patient/d0 has died; no record of deaths.txt links to it."
        assert len(said) == 3

    run(work)


def test_a_day_before_the_birth_is_another_childs_and_none_is_still_to_come(
    run: Run, file: Callable[..., Path]
) -> None:
    listed = file("r1|20210207|9990000026|", "r2|29990101|9990000034|")

    async def work(made: Context) -> None:
        await child(made, "a", "9990000026", birthDate="2021-02-08")
        report, said = await loaded(made, listed)
        assert report["persons"]["contradicting"] == 1
        assert said[0] == "deaths.txt, line 3: it has a day of death that is still to come."
        assert "deceasedDateTime" not in stored(made, "a")

    run(work)


@pytest.mark.postgresql_slow
@pytest.mark.parametrize("changes", [1, 100])
def test_what_others_change_at_the_same_time_is_not_lost(
    run: Run, file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, changes: int
) -> None:
    """A child that changes once is read anew; one that changes every time is told of."""
    unchanged, write = iter(range(changes)), deaths_load._Load._write

    async def disturbed(load: Any, found: Any, body: Any, death: Any) -> None:
        if (number := next(unchanged, None)) is not None:
            await child(load.context, "a", "9990000026", gender=("male", "female")[number % 2])
        await write(load, found, body, death)

    async def work(made: Context) -> None:
        await child(made, "a", "9990000026")
        monkeypatch.setattr(deaths_load._Load, "_write", disturbed)
        report, _ = await loaded(made, file("r1|20210207|9990000026|"))
        lost = int(changes > 1)
        assert (report["deaths"]["onsOnly"], report["deaths"]["failed"]) == (1 - lost, lost)
        assert [each.split(":")[0] for each in report["failures"]] == ["Patient/a"] * lost
        assert ("deceasedDateTime" in stored(made, "a")) is not bool(lost)
        assert "gender" in stored(made, "a")

    run(work)


def test_a_death_that_a_discharge_alone_told_of_is_confirmed(
    run: Run, file: Callable[..., Path]
) -> None:
    mark = {"url": TOLD_BY_DISCHARGE, "valueIdentifier": {"system": "urn:oid:1.2.3", "value": "V1"}}

    async def work(made: Context) -> None:
        moment = "2021-02-07T10:00:00+00:00"
        await child(made, "a", "9990000026", deceasedDateTime=moment, extension=[mark])
        report, _ = await loaded(made, file("r1|20210207|9990000026|"))
        assert report["deaths"]["inBoth"] == 1
        assert stored(made, "a")["deceasedDateTime"] == moment
        assert "extension" not in stored(made, "a")

    run(work)


class StoppedError(Exception):
    """As if the process had been killed here."""


def stopped_at(number: int) -> Callable[..., Any]:
    """Return what records how far a load is, up to a number of times."""
    count = iter(range(number))

    async def record(database: Any, progress: Any) -> None:
        if next(count, None) is None:
            raise StoppedError
        await jobs.record(database, progress)

    return record


@pytest.mark.postgresql_slow
@pytest.mark.parametrize("number", range(6))
def test_an_interrupted_load_ends_as_if_it_had_not_been(
    run: Run, file: Callable[..., Path], bridge: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch, number: int,
) -> None:  # fmt: skip
    listed = file(*(f"r{n}|202102{n + 10}||" for n in range(9)), "bad")
    keys = bridge(*(f"r{n}|P{n}" for n in range(9)))
    monkeypatch.setattr("fhir_server.operations.deaths_reading.SLICE", 3)
    monkeypatch.setattr(deaths_load, "_OFTEN", 2)

    async def work(made: Context) -> None:
        for n in range(0, 9, 2):
            await child(made, f"p{n}", hes=f"P{n}")
        job = await deaths_load.accept(made, listed, keys, LAYOUT)
        with monkeypatch.context() as patched:
            stop = type("Stop", (), {"record": staticmethod(stopped_at(number))})
            patched.setattr(deaths_load, "jobs", stop)
            patched.setattr(staged, "jobs", stop)
            with pytest.raises(StoppedError):
                async for _ in deaths_load.load(made, job):
                    pass
        again = await deaths_load.accept(made, listed, keys, LAYOUT)
        assert again.id == job.id
        report, said = await loaded(made, listed, keys)
        assert report["deaths"]["onsOnly"] == 5
        assert report["persons"]["unlinked"] == 4
        assert len(said) == report["rows"]["deaths"]["refused"] == 1
        assert report["rows"]["bridge"]["read"] == 9
        assert len(provenances(made)) == 5

    run(work)


def test_a_cancelled_load_stops_and_leaves_nothing_staged(
    run: Run, file: Callable[..., Path]
) -> None:
    async def work(made: Context) -> None:
        await child(made, "a", "9990000026")
        job = await deaths_load.accept(made, file("r1|20210207|9990000026|"), None, LAYOUT)
        loading = deaths_load.load(made, job)
        await anext(loading)
        assert (asynchronous.folder(made, job.id) / staged.STAGED).exists()
        await jobs.cancel(made.database, job.id)
        with pytest.raises(GoneError):
            await anext(loading)
        assert not (asynchronous.folder(made, job.id) / staged.STAGED).exists()
        assert "deceasedDateTime" not in stored(made, "a")

    run(work)


def test_without_a_layout_nothing_is_read(
    settings: Settings, file: Callable[..., Path], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    listed = file("r1|20210207|9990000026|")
    with pytest.raises(ValueError, match="nothing is guessed: write a layout"):
        command(settings, listed, None, bridge=None)
    (tmp_path / "layout.toml").write_text(LAYOUT)
    assert command(settings, listed, tmp_path / "layout.toml", bridge=None) == 0
    assert '"unlinked": 1' in capsys.readouterr().out


def test_a_bridge_is_given_where_and_only_where_the_layout_tells_of_it(
    run: Run, file: Callable[..., Path]
) -> None:
    listed = file("r1|20210207||")

    async def work(made: Context) -> None:
        without = LAYOUT.partition("[bridge]")[0]
        with pytest.raises(ValueError, match=r"has no \[bridge\]"):
            await deaths_load.accept(made, listed, listed, without)
        with pytest.raises(ValueError, match="give the bridge"):
            await deaths_load.accept(made, listed, None, LAYOUT.replace("nhs_number", "#"))
        job = await deaths_load.accept(made, listed, None, LAYOUT.replace("|", ","))
        with pytest.raises(FhirError, match="lacks FICTION_RECORD"):
            async for _ in deaths_load.load(made, job):
                pass

    run(work)


def stay(person: str) -> dict[str, str]:
    """Return a row of a stay of two days with a pull-through on the first, discharged alive by HES."""
    return {
        "ENCRYPTED_HESID": person, "EPIKEY": person, "EPISTAT": "3", "EPISTART": "2021-03-01",
        "EPIEND": "2021-03-02", "EPIORDER": "1", "ADMIDATE": "2021-03-01",
        "DISDATE": "2021-03-02", "ADMIMETH": "11", "ADMISORC": "19", "DISMETH": "1",
        "DISDEST": "19", "CLASSPAT": "1", "PROCODE": "RTH00", "OPERTN_01": "H411",
        "OPDATE_01": "2021-03-01",
    }  # fmt: skip


def test_hes_counts_deaths_by_the_day_that_a_load_of_deaths_gave(
    run: Run, file: Callable[..., Path], bridge: Callable[..., Path]
) -> None:
    """In hospital on the days of the stay; after the operation on its day, and 30 and 90 days later."""
    days = (
        "20210228", "20210301", "20210302", "20210303", "20210331", "20210401", "20210530",
        "20210531",
    )  # fmt: skip
    names = list(columns())
    rows = ["|".join(stay(f"P{n}").get(name, "") for name in names) for n in range(len(days) + 1)]
    episodes = file(*rows, name="apc.txt", heading="|".join(names))
    listed = file(*(f"r{n}|{day}||" for n, day in enumerate(days)))
    keys = bridge(*(f"r{n}|P{n}" for n in range(len(days))))

    async def work(made: Context) -> None:
        for n in range(len(rows)):
            await child(made, f"p{n}", hes=f"P{n}")
        await loaded(made, listed, keys)
        job = await hes_load.accept(made, episodes, None, PERSON)
        async for _ in hes_load.load(made, job):
            pass
        manifest = asynchronous.standing(made, job.id).manifest
        assert manifest is not None
        report = manifest["extension"]
        assert report["persons"]["linked"] == 9
        assert report["spells"]["deathsInHospital"] == 2
        assert report["deathsAfterOperations"] == {
            "indexOperations": 9, "deathsWithin30Days": 4, "deathsWithin90Days": 6,
        }  # fmt: skip

    run(work)
