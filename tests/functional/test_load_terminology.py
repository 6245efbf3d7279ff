"""A release is loaded from its files, in slices, beside the one in use; every concept is fictitious."""

import asyncio
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from benchmarks import snomed_shaped
from fhir_server.__main__ import main
from fhir_server.commands import load_terminology
from fhir_server.store.concepts import loading, releases, slices
from fhir_server.store.concepts.loading import Progress
from fhir_server.store.concepts.releases import Systems
from fhir_server.store.connection import Database
from terminology.systems import ICD_10, OPCS_4, SNOMED_CT
from tests.support.databases import KINDS as DATABASES
from tests.support.databases import new_database, opened
from tests.support.releases import TABLES, load, release, stored, within
from tests.support.server import ROOT

MANY = 300
EDITION = f"{SNOMED_CT}/{snomed_shaped.MODULE}"


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "SLICE", 100)
    monkeypatch.setattr(loading, "GRACE", 0.0)
    monkeypatch.setattr(slices, "_REMOVED", 100)
    monkeypatch.setattr(releases, "SEEN_AFTER", 0.0)


@pytest.fixture(params=DATABASES)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_database(request.param, tmp_path)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, snomed_shaped.Shape]:
    folder = tmp_path_factory.mktemp("release")
    return folder, snomed_shaped.write(folder, MANY)


def test_the_command_loads_and_reports(
    where: str, written: tuple[Path, snomed_shaped.Shape], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder, shape = written
    monkeypatch.setenv("CSOR_DATABASE", where)
    monkeypatch.setattr(load_terminology, "_EVERY", 0.0)
    command = ["load-terminology", "snomed", "--version", snomed_shaped.MODULE]
    assert main([*command, str(folder)]) == 0
    printed = capsys.readouterr().out
    edges = sum(map(len, shape.parents))
    for count, what in (
        (MANY, "concepts"), (MANY - 5, "of them active"), (3 * MANY, "designations"),
        (edges, "edges"), (MANY // 20, "members of reference sets"), (5, "replacements"),
    ):  # fmt: skip
        assert f"{count} {what}\n" in printed
    assert "rows; Terminology/sct2_Description" in printed
    assert "in use, after" in printed
    before = stored(where)

    packed = shutil.make_archive(str(folder.parent / "packed"), "zip", folder)
    assert main([*command, packed]) == 0
    assert "was loaded already; in use" in capsys.readouterr().out
    assert stored(where) == before


KILLED = """
import os, signal, sys
from pathlib import Path
from fhir_server.commands import load_terminology
from fhir_server.settings import Settings
from fhir_server.store.concepts import loading

loading.SLICE = 100
left = int(sys.argv[1])

def said(self, progress):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

load_terminology._Said.__call__ = said
load_terminology.load_terminology(
    Settings(), "snomed", Path(sys.argv[2]), sys.argv[3], remove_others=False)
"""


@pytest.mark.slow
def test_a_killed_load_goes_on_where_it_was(
    where: str, written: tuple[Path, snomed_shaped.Shape], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("CSOR_DATABASE", where)
    said: list[Progress] = []
    whole = new_database("sqlite" if where.startswith("/") else "postgresql", tmp_path / "whole")
    load(whole, release(written[0]), said.append)
    reached = []
    for kill_at in (12, len(said) - 8):
        arguments = [str(kill_at), str(written[0]), snomed_shaped.MODULE]
        done = subprocess.run(
            [sys.executable, "-c", KILLED, *arguments], cwd=ROOT, check=False, capture_output=True
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        time.sleep(0.5)  # the writer's process ends with what it had been sent
        reached.append(sum(row[2] for row in stored(where)["concept_load"]))
        with opened(where) as database:
            assert Systems(database).system(SNOMED_CT) is None
    assert 0 < reached[0] < reached[1]
    after_kills: list[Progress] = []
    load(where, release(written[0]), after_kills.append)
    assert after_kills[-1].rows < said[-1].rows / 2
    assert stored(where) == stored(whole)


def test_a_load_that_another_one_has_overtaken_stores_nothing(
    where: str, written: tuple[Path, snomed_shaped.Shape]
) -> None:
    load(where, release(written[0]))
    before = stored(where)
    late = slices.Slice(1, 0, 100, 200, False, dict.fromkeys(slices.COUNTS, 1))
    with pytest.raises(slices.OvertakenError):
        within(where, lambda database: database.write(partial(slices.store, stored=late)))
    assert stored(where) == before


def test_a_load_that_was_given_up_for_another_one_ends(
    where: str, written: tuple[Path, snomed_shaped.Shape], tmp_path: Path
) -> None:
    snomed_shaped.write(tmp_path / "other", 40, seed=3)

    async def both(database: Database) -> None:
        reached = asyncio.Event()
        first = asyncio.create_task(database.driven(one(database, reached)))
        await reached.wait()
        await loading.load(database, release(tmp_path / "other"), lambda _: None)
        with pytest.raises(slices.OvertakenError):
            await first

    async def one(database: Database, reached: asyncio.Event) -> loading.Report:
        return await loading.load(database, release(written[0]), lambda _: reached.set())

    within(where, both)
    with opened(where) as database:
        found = Systems(database).system(SNOMED_CT)
        assert found is not None
        assert len(found.image.codes) == 40
    rows = stored(where)
    assert [row[0] >> 32 for row in rows["concept"]] == [rows["code_system"][0][0]] * 40


def test_a_new_release_is_switched_to_when_it_is_whole(
    where: str, written: tuple[Path, snomed_shaped.Shape], tmp_path: Path
) -> None:
    snomed_shaped.write(tmp_path / "next", MANY + 50, seed=2)
    first, following = f"{EDITION}/version/20260101", f"{EDITION}/version/20260201"
    load(where, release(written[0], first))
    seen = set()

    def watched(database: Database) -> Awaitable[loading.Report]:
        def said(_: Progress) -> None:
            found = Systems(database).system(SNOMED_CT)
            assert found is not None
            seen.add((found.version, len(found.image.codes)))

        return loading.load(database, release(tmp_path / "next", following), said)

    within(where, watched)
    assert seen == {(first, MANY)}
    with opened(where) as database:
        systems = Systems(database)

        def found(version: str | None) -> int | None:
            asked = systems.system(SNOMED_CT, version)
            return None if asked is None else len(asked.image.codes)

        assert (found(None), found(first), found(following)) == (MANY + 50, MANY, MANY + 50)
        assert found(EDITION) == MANY + 50
        assert found(f"{EDITION}/version/19990101") is None
        assert systems.system(OPCS_4) is None

        back = load(where, release(written[0], first))
        assert not back.is_new
        assert (found(None), found(following)) == (MANY, MANY + 50)

        load(where, release(written[0], first), remove_others=True)
        assert (found(None), found(following)) == (MANY, None)
        whole = [row for table in TABLES for row in stored(where)[table] if row[0] >> 32 == 2]
        assert whole == []
        current = systems.system(SNOMED_CT)
        assert current is not None
        assert len(current.search("fictitious", None, None, 0, 1000)[0]) == MANY - 5


def test_the_same_version_with_other_files_takes_the_place_of_the_former(
    where: str, tmp_path: Path
) -> None:
    file = tmp_path / "titles.txt"
    for title in ("Fictitious operation", "Fictitious operation, renamed"):
        file.write_bytes(f"Z98\tFictitious\r\nZ98.1\t{title}\r\n".encode())
        load(where, release(file, "4.99", "opcs4"))
    with opened(where) as database:
        found = Systems(database).system(OPCS_4, "4.99")
        assert found is not None
        concept = found.concept("Z981")
        assert concept is not None
        assert (concept.code, concept.display) == ("Z98.1", "Fictitious operation, renamed")
        assert found.subsumes("Z98", "Z98.1")
        assert found.search("renamed", None, None, 0, 9)[1] == 1
    assert len(stored(where)["code_system"]) == 1


def test_what_cannot_be_read_is_refused_and_nothing_of_it_is_in_use(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CSOR_DATABASE", where)
    file = tmp_path / "titles.txt"
    rows = [f"Z{n:02}\tFictitious operation {n}\r\n" for n in range(10, 90)] * 2
    file.write_text("".join([*rows[:80], "wrong\r\n"]), encoding="utf-8", newline="")
    command = ["load-terminology", "opcs4", str(file), "--version", "4.99"]
    assert main(command) == 1
    assert "csor: titles.txt, line 81: is not a code of OPCS-4" in capsys.readouterr().err
    with opened(where) as database:
        assert Systems(database).system(OPCS_4) is None
    file.write_text("".join(rows[:80]), encoding="utf-8", newline="")
    assert main(command) == 0
    assert [row[4] for row in stored(where)["code_system"]] == ["current"]
    assert main([*command[:2], str(tmp_path / "none"), *command[3:]]) == 1
    assert "is neither a folder nor a file" in capsys.readouterr().err
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    assert main([*command[:2], str(tmp_path / "bad.zip"), *command[3:]]) == 1
    assert "is no zip that can be read" in capsys.readouterr().err


def test_a_hierarchy_that_goes_in_a_circle_is_refused_by_name(where: str, tmp_path: Path) -> None:
    claml = (
        '<ClaML><Class code="U97" kind="category"><SuperClass code="U98"/></Class>'
        '<Class code="U98" kind="category"><SuperClass code="U97"/><SuperClass code="U96"/></Class>'
        "</ClaML>"
    )
    (tmp_path / "circle.xml").write_text(claml)
    with pytest.raises(ValueError, match=r"U97, or a concept above it, is above itself"):
        load(where, release(tmp_path / "circle.xml", "1", "icd10"))
    (tmp_path / "circle.xml").write_text(claml.replace('code="U98"/>', 'code="U95"/>'))
    report = load(where, release(tmp_path / "circle.xml", "1", "icd10"))
    assert (report.url, report.counts["edges"], report.counts["left_out"]) == (ICD_10, 1, 2)


def test_an_empty_release_holds_nothing(where: str, tmp_path: Path) -> None:
    (tmp_path / "titles.txt").write_text("")
    given = replace(release(tmp_path / "titles.txt", "0", "opcs4"), is_complete=False)
    assert load(where, given).counts["concepts"] == 0
    with opened(where) as database:
        found = Systems(database).system(OPCS_4)
        assert found is not None
        assert (found.is_complete, found.concept("Z98"), found.search("", None, None, 0, 9)) == (
            False, None, ([], 0),
        )  # fmt: skip
