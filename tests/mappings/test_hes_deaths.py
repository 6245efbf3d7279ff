"""A file of deaths: the layout that says how it is read, its rows, and the bridge to persons of HES.

The layout is a fiction of this test: what an extract really has is in its own specification.
"""

import io
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from fhir_server.operations.deaths_reading import every, stage
from fhir_server.store.staging import Staging
from mappings.hes import deaths
from mappings.hes.death import day_of_death, entries, is_other, registered
from mappings.hes.deaths import Bridge, Death, Row
from mappings.hes.layout import Layout, layout
from r4.issue import FhirError
from tests.support.hes import resident

FICTION = """
# A fictitious layout: no extract is like this.
delimiter = ";"
date = "DD/MM/YYYY"
unknown = ["?"]
[death]
record = "fiction_record"
died = "fiction_died"
nhs_number = "fiction_number"
birth = "fiction_born"
[bridge]
record = "fiction_record"
person = "fiction_person"
"""
HEADING = "other;FICTION_RECORD;fiction_died;fiction_number;fiction_born"


def rows(text: str, given: Layout | None = None, *, bridge: bool = False) -> list[Row]:
    read_by, file = given or layout(FICTION), io.BytesIO(text.encode())
    return list(deaths.read(file, read_by, deaths.heading(file, read_by, bridge=bridge)))


def test_the_layout_says_where_each_datum_stands_and_how_a_date_is_written() -> None:
    first, second = rows(
        f'{HEADING}\nx;r1;07/02/2021;999 000 0026;"?"\n\nx;r2;08/02/2021;;01/02/2019'
    )
    assert first.told == Death("r1", 2, date(2021, 2, 7), "9990000026")
    assert second.told == Death("r2", 3, date(2021, 2, 8), birth=date(2019, 2, 1))


def test_a_bridge_leads_from_a_record_to_a_person() -> None:
    (row,) = rows("fiction_person;fiction_record\nP1;r1", bridge=True)
    assert row.told == Bridge("r1", "P1")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x;r1;2021-02-07;;", "something in FICTION_DIED that is no date (DD/MM/YYYY)"),
        ("x;r1;30/02/2021;;", "something in FICTION_DIED that is no date (DD/MM/YYYY)"),
        ("x;r1;07/02/2021;9990000027;", "something in FICTION_NUMBER that is no NHS number"),
        ("x;r1;07/02/2021;;soon", "something in FICTION_BORN that is no date (DD/MM/YYYY)"),
        ("x;r1;?;;", "has nothing in FICTION_DIED"),
        ("x;;07/02/2021;;", "has nothing in FICTION_RECORD"),
        ("x;r1;07/02/2021", "has 3 fields, the heading has 5"),
    ],
)
def test_a_row_is_refused_with_its_reason_and_hinders_no_other(row: str, reason: str) -> None:
    wrong, right = rows(f"{HEADING}\n{row}\nx;r9;07/02/2021;;")
    assert wrong.told is None
    assert reason in wrong.refusal
    assert right.told == Death("r9", 3, date(2021, 2, 7))


def test_reading_goes_on_after_any_row() -> None:
    given, text = layout(FICTION), f"{HEADING}\nx;r1;07/02/2021;;\nx;r2;08/02/2021;;\nbad"
    every = rows(text)
    for at, row in enumerate(every):
        file = io.BytesIO(text.encode())
        head = deaths.heading(file, given)
        assert list(deaths.read(file, given, head, row.number, row.end)) == every[at + 1 :]


def test_a_file_that_lacks_what_the_layout_names_is_refused() -> None:
    with pytest.raises(FhirError, match=r"lacks FICTION_DIED.*which the layout names"):
        rows("fiction_record;fiction_number;fiction_born\n")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('delimiter = ";"', "", "delimiter is missing"),
        ('delimiter = ";"', 'delimiter = "ab"', "one character"),
        ('date = "DD/MM/YYYY"', "", "date is missing"),
        ('"DD/MM/YYYY"', '"DD/MM/YY"', "YYYY, MM and DD, each once"),
        ('died = "fiction_died"', "", "died is missing"),
        ('person = "fiction_person"', "", "person is missing"),
        ('nhs_number = "fiction_number"', 'cause = "fiction_number"', "`cause`"),
        ('record = "fiction_record"', 'record = " "', "a heading that is blank"),
        ('record = "fiction_record"', "record = 1", "are texts"),
        ("unknown", "nulls", "`nulls`"),
        ("[death]", "[death", "does not say how the file is to be read"),
    ],
)
def test_a_layout_that_does_not_say_enough_is_refused(before: str, after: str, said: str) -> None:
    assert before in FICTION
    with pytest.raises(ValueError, match="does not say how the file is to be read") as refused:
        layout(FICTION.replace(before, after, 1))
    assert said in str(refused.value)


def test_a_layout_tells_whose_a_death_is() -> None:
    nobodys = FICTION.partition("[bridge]")[0].replace("nhs_number", "#")
    with pytest.raises(ValueError, match="nothing tells whose death it is"):
        layout(nobodys)


@pytest.mark.slow
def test_many_rows_take_little_memory_and_each_death_comes_with_its_persons(tmp_path: Path) -> None:
    """The bridge comes in another order than the deaths, and has more records than died."""
    many, numbers = 200_000, range(300_000)
    written = tmp_path / "deaths.txt", tmp_path / "bridge.txt"
    with written[0].open("w") as file:
        file.write(f"{HEADING}\n")
        file.writelines(f"x;r{number:06};07/02/2021;;\n" for number in numbers[:many])
    with written[1].open("w") as file:
        file.write("fiction_person;fiction_record\n")
        file.writelines(f"P{number};r{number:06}\n" for number in reversed(numbers))
    staging = Staging(tmp_path / "staged.sqlite")
    before, most = resident(), 0
    try:
        said = []
        for reading in stage(written, layout(FICTION), staging, date(2026, 1, 1)):
            said.append(reading.deaths.read + reading.bridge.read)
            most = max(most, resident()) if len(said) % 50 == 0 else most
        for number, (death, persons) in enumerate(every(staging)):
            assert (death.record, persons) == (f"r{number:06}", [f"P{number}"])
            most = max(most, resident()) if number % 1000 == 0 else most
    finally:
        staging.delete()
    assert number == many - 1
    assert said == sorted(said)
    assert said[-1] == many + len(numbers)
    assert most - before < 150_000_000


@pytest.mark.parametrize(
    ("said", "day", "other"),
    [
        ({}, None, False),
        ({"deceasedBoolean": True}, None, False),
        ({"deceasedDateTime": "2021"}, None, False),
        ({"deceasedDateTime": "2020-02"}, None, True),
        ({"deceasedDateTime": "2021-02-07"}, date(2021, 2, 7), False),
        ({"deceasedDateTime": "2021-02-07T10:00:00+00:00"}, date(2021, 2, 7), False),
        ({"deceasedDateTime": "2021-02-08"}, date(2021, 2, 8), True),
    ],
)
def test_what_is_known_of_a_death(said: dict[str, Any], day: date | None, other: bool) -> None:
    assert day_of_death(said) == day
    assert is_other(said, date(2021, 2, 7)) is other


def test_a_moment_of_the_day_is_kept() -> None:
    known = {"id": "a", "deceasedDateTime": "2021-02-07T10:00:00+00:00"}
    told, observed, provenance = entries(known, 3, date(2021, 2, 7), "file", "2026-01-01T00:00:00Z")
    assert told["resource"]["deceasedDateTime"] == known["deceasedDateTime"]
    assert told["request"]["ifMatch"] == 'W/"3"'
    assert provenance["resource"]["entity"][0]["what"]["display"] == "file"
    targets = [each["reference"] for each in provenance["resource"]["target"]]
    assert targets == ["Patient/a", observed["fullUrl"]]


def test_the_day_as_it_is_registered_is_one_observation_of_a_patient() -> None:
    known = {"id": "a", "deceasedDateTime": "2021-02-09"}
    first, _ = registered(known, date(2021, 2, 7), "file", "2026-01-01T00:00:00Z")
    corrected, _ = registered(known, date(2021, 2, 8), "file", "2026-02-01T00:00:00Z")
    assert first["request"] == corrected["request"], "a corrected day takes its place"
    assert first["resource"]["effectiveDateTime"] == "2021-02-07"
    assert first["resource"]["code"]["coding"][0]["code"] == "death-registered"
