"""The rules of HES against the same rules in SQL, row by row, on files that nobody's data are in."""

import tempfile
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.operations.hes_reading import stage, stays
from fhir_server.store.staging import Staging
from mappings.hes.outcomes import Codes, died, readmissions, reoperations
from mappings.hes.spells import ContinuousSpell
from mappings.hes.tables import columns
from tests.support import hes
from tests.support.hes import resident
from tests.support.hes_rules import met, told

CODES = Codes({"H411", "H414"}, {"T301", "T283", "Y713"}, {"Y703", "H154"})


@dataclass
class Ours:
    """What our functions say of a file."""

    spells: list[Any] = field(default_factory=list)
    stays: list[Any] = field(default_factory=list)
    deaths: list[Any] = field(default_factory=list)
    readmissions: list[Any] = field(default_factory=list)
    reoperations: list[Any] = field(default_factory=list)

    def add(self, stays: list[ContinuousSpell]) -> None:
        person = stays[0].spells[0].first.person
        for number, stay in enumerate(stays, start=1):
            first = stay.spells[0].first.epikey
            self.stays.append((person, number, len(stay.spells), first, stay.last.last.epikey))
            self.deaths += [(first,)] if died(stay) else []
            for spell in stay.spells:
                told = (person, spell.first.provider, len(spell.episodes))
                self.spells.append((*told, spell.first.epikey, spell.last.epikey))
        for each in readmissions(stays):
            keys = (each.before.spells[0].first.epikey, each.stay.spells[0].first.epikey)
            self.readmissions.append((*keys, each.days))
        for again in reoperations(stays, CODES):
            self.reoperations.append((person, again.index, again.day, list(again.codes)))


def ours(file: Path) -> Ours:
    staging = Staging(file.with_suffix(".sqlite"))
    try:
        for reading in stage(file, staging, None):
            assert reading.end > 0
        assert reading.refused == 0
        assert reading.rows == reading.episodes + reading.duplicates + sum(reading.lacking.values())
        found = Ours()
        for _, bodies in staging.every():
            found.add(stays(bodies))
        return found
    finally:
        staging.delete()


def compare(file: Path) -> Ours:
    found = ours(file)
    with told(file) as database:
        for listed, sql in (
            (found.spells, "SELECT person, procode3, episodes, first_key, last_key FROM spell"),
            (found.stays, "SELECT person, stay, spells, first_key, last_key FROM stay"),
            (found.deaths, "SELECT first_key FROM discharge WHERE dismeth = '4'"),
            (found.readmissions, "SELECT * FROM readmission"),
            (found.reoperations, "SELECT * FROM reoperation"),
        ):
            assert sorted(listed) == sorted(database.execute(sql).fetchall())
    return found


@pytest.mark.parametrize("many", [5_000, pytest.param(50_000, marks=pytest.mark.slow)])
def test_a_file_is_joined_and_counted_as_the_rules_say(tmp_path: Path, many: int) -> None:
    file = hes.write(tmp_path / "apc.txt", many, seed=20261123)
    found = compare(file)
    assert len(found.spells) > 0.4 * many
    assert len(found.stays) < len(found.spells)
    assert max(count for _, _, count, *_ in found.spells) > 2
    for listed in (found.deaths, found.readmissions, found.reoperations):
        assert len(listed) > 0.002 * many
    with told(file) as database:
        assert [case for case, count in met(database).items() if count == 0] == []


@pytest.mark.slow
def test_1_000_000_rows_take_little_memory_and_say_how_far_they_are(tmp_path: Path) -> None:
    file = hes.write(tmp_path / "apc.txt", 1_000_000, seed=6)
    staging = Staging(tmp_path / "episodes.sqlite")
    before, most, said = resident(), 0, []
    spells, persons = 0, set()
    for reading in stage(file, staging, None):
        said.append(reading.rows)
        most = max(most, resident()) if len(said) % 50 == 0 else most
    for number, (person, bodies) in enumerate(staging.every()):
        spells += sum(len(stay.spells) for stay in stays(bodies))
        persons.add(person)
        most = max(most, resident()) if number % 1000 == 0 else most
    staging.delete()
    assert most - before < 300_000_000
    assert len(said) > 1000
    assert said == sorted(said)
    assert said[-1] == 1_000_000
    assert [each.name for each in tmp_path.iterdir()] == ["apc.txt"]
    with told(file) as database:
        counted = database.execute("SELECT count(*), count(DISTINCT person) FROM spell").fetchone()
    assert counted == (spells, len(persons))


@settings(max_examples=12, deadline=None)
@given(count=st.integers(1, 40), persons=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_any_small_file_is_as_the_rules_say(count: int, persons: int, seed: int) -> None:
    """Few persons: all of their stays are near one another."""
    with tempfile.TemporaryDirectory() as folder:
        compare(hes.write(Path(folder) / "apc.txt", count, seed, persons))


@pytest.mark.parametrize("days", [0, 29, 30])
def test_the_last_day_of_a_readmission_is_the_29th(tmp_path: Path, days: int) -> None:
    again = (date(2021, 1, 1) + timedelta(days=days)).isoformat()
    names = [*columns(), "ROWNO"]
    listed = [
        _stay("1", "2020-12-30", "2021-01-01", "11"),
        _stay("2", again, again, "21"),
    ]
    file = tmp_path / "apc.txt"
    text = ["|".join(names), *("|".join(row.get(name, "") for name in names) for row in listed)]
    file.write_text("\n".join(text))
    found = compare(file)
    assert [days for *_, days in found.readmissions] == ([days] if days < 30 else [])


def _stay(key: str, start: str, end: str, method: str) -> dict[str, str]:
    return {
        "ROWNO": key, "EPIKEY": key, "EPISTART": start, "ADMIDATE": start, "EPIEND": end,
        "DISDATE": end, "ADMIMETH": method, "EPIORDER": "1", "EPISTAT": "3", "DISMETH": "1",
        "DISDEST": "19", "ADMISORC": "19", "PROCODE": "RTH", "ENCRYPTED_HESID": "P1",
    }  # fmt: skip
