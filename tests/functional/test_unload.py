"""`unload`: what was loaded by mistake is removed, and who needs it is told; everything is fictitious."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import snomed_shaped
from fhir_server.__main__ import main
from fhir_server.app import alone
from fhir_server.context import Context
from fhir_server.interactions.create import create
from fhir_server.settings import Settings
from fhir_server.store.concepts import loading, releases
from fhir_server.store.concepts.releases import Systems
from fhir_server.store.packages import Packages, generation
from fhir_server.store.read import current
from tests.support.databases import KINDS, new_database, opened
from tests.support.releases import TABLES, load, release, stored

SETS = "https://example.org/ValueSet/"
SNOMED = "http://snomed.info/sct"
Run = Callable[..., tuple[int, str]]


@pytest.fixture(params=KINDS)
def where(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(loading, "GRACE", 0.0)
    monkeypatch.setattr(releases, "SEEN_AFTER", 0.0)
    database = new_database(request.param, tmp_path)
    monkeypatch.setenv("CSOR_DATABASE", database)
    return database


@pytest.fixture
def run(where: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; returns its exit status and what it says."""

    def run(*command: str) -> tuple[int, str]:
        status = main(command)
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def folder(place: Path, name: str, **more: Any) -> Path:
    value_set = {
        "resourceType": "ValueSet", "id": name, "url": SETS + name, "version": "1.0.0",
        "status": "active", **more,
    }  # fmt: skip
    place.mkdir(exist_ok=True)
    (place / f"{name}.json").write_text(json.dumps(value_set))
    return place


def test_a_package_is_removed_with_its_copies_and_who_needs_it_is_told(
    where: str, run: Run, tmp_path: Path
) -> None:
    terms = folder(tmp_path / "terms", "a")
    guide = folder(tmp_path / "guide", "b", compose={"include": [{"valueSet": [f"{SETS}a|1.0.0"]}]})
    run("load", str(terms), str(guide))
    assert run("unload") == (0, "guide\nterms\n")
    with opened(where) as database:
        loaded = generation(database)
    assert run("unload", "terms") == (
        0, f"terms: 1 definitions are removed\n  needed by ValueSet {SETS}b (guide): {SETS}a\n",
    )  # fmt: skip
    with opened(where) as database:
        assert Packages(database).find("ValueSet", SETS + "a", None) is None
        assert Packages(database).find("ValueSet", SETS + "b", None) is not None
        copies = current(database, "ValueSet", "a"), current(database, "ValueSet", "b")
        assert [copy is not None and copy.deleted for copy in copies] == [True, False]
        removed = generation(database)
    assert run("unload") == (0, "guide\n")
    assert run("unload", "terms") == (1, "csor: terms is not loaded; loaded: guide\n")
    assert run("unload", "guide") == (0, "guide: 1 definitions are removed\n")
    assert run("unload") == (0, "nothing is loaded\n")
    assert "1 new" in run("load", str(terms))[1]
    with opened(where) as database:
        assert loaded < removed < generation(database)
        again = current(database, "ValueSet", "a")
        assert again is not None
        assert not again.deleted


def test_a_copy_that_something_refers_to_stays_and_that_of_another_definition_too(
    where: str, run: Run, tmp_path: Path
) -> None:
    run("load", str(folder(folder(tmp_path / "terms", "a"), "b")))
    run("load", str(folder(tmp_path / "newer", "b", version="2.0.0")))
    held = {
        "resourceType": "List", "status": "current", "mode": "working",
        "entry": [{"item": {"reference": "ValueSet/a"}}],
    }  # fmt: skip

    async def refer(made: Context) -> None:
        await create(made, held)

    asyncio.run(alone(Settings(database=where), refer))
    status, said = run("unload", "terms")
    assert (status, said.splitlines()[0]) == (0, "terms: 2 definitions are removed")
    assert "the copy ValueSet/a stays: " in said
    with opened(where) as database:
        assert Packages(database).find("ValueSet", SETS + "b", None) is not None
        for name in ("a", "b"):
            copy = current(database, "ValueSet", name)
            assert copy is not None
            assert not copy.deleted


def test_a_release_is_removed_and_the_one_before_is_in_use_again(
    where: str, run: Run, tmp_path: Path
) -> None:
    versions = [f"{SNOMED}/{snomed_shaped.MODULE}/version/2026010{day}" for day in (1, 2)]
    for many, version in zip((40, 60), versions, strict=True):
        snomed_shaped.write(tmp_path / str(many), many)
        load(where, release(tmp_path / str(many), version))
    first, second = (f"{SNOMED}|{version}" for version in versions)
    assert run("unload") == (
        0, f"{first}: 40 concepts, not in use\n{second}: 60 concepts, in use\n"
    )  # fmt: skip
    assert run("unload", second) == (0, f"{second} is removed\n  in use: {first}\n")
    with opened(where) as database:
        found = Systems(database).system(SNOMED)
        assert found is not None
        assert (found.version, len(found.image.codes)) == (versions[0], 40)
        assert found.search("fictitious", None, None, 0, 100)[1] == 40
    assert run("unload", second) == (1, f"csor: {SNOMED} has no release {versions[1]}\n")
    status, said = run("unload", first)
    lines = said.splitlines()
    assert (status, lines[1]) == (0, "  no release of this code system is in use now")
    own = "https://csor.example/fhir/ValueSet/registry-diagnosis"
    assert f"  needed by ValueSet {own} (this release): {SNOMED}" in lines
    rows = stored(where)
    assert {table: rows[table] for table in TABLES} == {table: [] for table in TABLES}
    words = {"sqlite": "concept_text MATCH 'fictitious'", "postgresql": "words @@ 'fictitious'"}
    with opened(where) as database:
        asked = f"SELECT count(*) FROM concept_text WHERE {words[database.dialect.name]}"  # noqa: S608 - ours
        assert database.read(asked)[0][0] == 0


def test_a_release_that_was_removed_and_loaded_again_is_asked_where_it_is_now(
    where: str, run: Run, tmp_path: Path
) -> None:
    shape = snomed_shaped.write(tmp_path / "snomed", 40)
    (tmp_path / "titles.txt").write_bytes(b"Z98\tFictitious\r\n")
    given = release(tmp_path / "snomed")
    load(where, given)
    with opened(where) as database:
        systems = Systems(database)
        systems.hold()
        load(where, release(tmp_path / "titles.txt", "4.99", "opcs4"))
        assert run("unload", f"{SNOMED}|{given.version}")[0] == 0
        load(where, given)
        systems.hold()
        assert {row[0] for row in systems.releases()} == {2, 3}
        found = systems.system(SNOMED)
        assert found is not None
        concept = found.concept(shape.codes[7])
        assert concept is not None
        assert concept.display == snomed_shaped.term(7)
