"""What is recorded is in a file before it is told, and from there in the audit, once."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from fhir_server.app import alone
from fhir_server.context import Context
from fhir_server.settings import Settings
from fhir_server.store import audit, journal
from fhir_server.store.audit import Trail
from fhir_server.store.audit_row import Agent
from fhir_server.store.connection import Database
from fhir_server.store.database import open_database
from r4.issue import FhirError
from tests.support.databases import KINDS, new_database, opened
from tests.support.server import Served

NURSE = Agent("nurse")


@dataclass(frozen=True)
class Kept:
    """A database with a folder for journals; `trail` is a process that is about to record."""

    where: str
    database: Database
    folder: Path

    def trail(self) -> Trail:
        return Trail(self.database, lambda: datetime(2026, 11, 23, tzinfo=UTC), self.folder)

    def keys(self) -> list[str | None]:
        return [each.key for each in audit.accesses(self.database)]

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.ndjson"))


@pytest.fixture(params=KINDS)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    where = new_database(request.param, tmp_path)
    database = open_database(where, upgraded=False)
    yield Kept(where, database, tmp_path / "journal")
    database.close()


@contextmanager
def killed(kept: Kept, *keys: str) -> Iterator[Trail]:
    """Record reads as a process does that is killed before it stores them: its files are nobody's."""
    trail = kept.trail()

    async def record() -> None:
        for each in keys:
            trail.record(NURSE, "read", "Patient", each, 200)
        assert trail._flushing is not None
        trail._flushing.cancel()

    asyncio.run(record())
    file = trail._journal.cut()
    assert file is not None
    file.close()
    yield trail


def test_a_read_is_in_a_file_as_soon_as_it_is_recorded(kept: Kept) -> None:
    async def work() -> None:
        trail = kept.trail()
        trail.record(NURSE, "read", "Patient", "a", 200)
        assert b'"a"' in kept.files()[0].read_bytes()
        assert kept.files()[0].stat().st_mode & 0o077 == 0
        assert kept.keys() == []
        assert await trail.flush()

    asyncio.run(work())
    assert kept.keys() == ["a"]
    assert kept.files() == []


def test_what_a_killed_process_left_is_stored_by_the_next(kept: Kept) -> None:
    with killed(kept, "a", "b"), killed(kept, "c"):
        assert kept.keys() == []
        asyncio.run(kept.trail().recover())
    assert sorted(map(str, kept.keys())) == ["a", "b", "c"]
    assert kept.files() == []


def test_what_was_stored_when_a_process_was_killed_is_not_stored_again(kept: Kept) -> None:
    """Killed between the commit and the removal of the file; and once more after that."""
    with killed(kept, "a", "b"):
        (file,) = kept.files()
        for _ in range(2):
            fold = partial(journal.fold, file=str(file))
            assert asyncio.run(kept.database.write(fold)) == (False, 0)
        asyncio.run(kept.trail().recover())
    assert kept.keys() == ["a", "b"]


def test_a_large_file_is_stored_by_several_commits(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_MANY", 3)
    named = [str(number) for number in range(10)]
    with killed(kept, *named):
        (file,) = kept.files()
        assert asyncio.run(kept.database.write(partial(journal.fold, file=str(file)))).more
        asyncio.run(kept.trail().recover())
    assert kept.keys() == named


def test_files_of_a_process_that_lives_and_of_another_database_are_left_alone(kept: Kept) -> None:
    async def work() -> None:
        living = kept.trail()
        living.record(NURSE, "read", "Patient", "a", 200)
        other = kept.folder / f"{'0' * 12}-{'1' * 32}-{1:015d}.ndjson"
        other.write_bytes(b'[1,"nurse","read","Patient","other",null,200]\n')
        await kept.trail().recover()
        assert kept.keys() == []
        assert other.exists()
        await living.flush()

    asyncio.run(work())
    assert kept.keys() == ["a"]


def test_a_line_that_was_not_written_to_its_end_was_never_answered(kept: Kept) -> None:
    with killed(kept, "a"):
        (file,) = kept.files()
        file.write_bytes(file.read_bytes() + b'[1,"nurse","read","Pati')
        asyncio.run(kept.trail().recover())
    assert kept.keys() == ["a"]
    assert list(kept.folder.iterdir()) == []


def test_a_line_that_cannot_be_read_hinders_no_other_and_is_kept(kept: Kept) -> None:
    with killed(kept, "a", "b"):
        (file,) = kept.files()
        first, second, _ = file.read_bytes().split(b"\n")
        file.write_bytes(first + b"\n\0\0\0\n" + second + b"\n")
        asyncio.run(kept.trail().recover())
    assert kept.keys() == ["a", "b"]
    assert [each.suffix for each in kept.folder.iterdir()] == [".damaged"]


def test_a_line_of_an_earlier_release_has_fewer_columns(kept: Kept) -> None:
    with killed(kept, "a"):
        (file,) = kept.files()
        file.write_bytes(b'[7,"nurse","read"]\n')
        asyncio.run(kept.trail().recover())
    assert [(each.moment, each.key) for each in audit.accesses(kept.database)] == [(7, None)]


def test_what_no_database_holds_in_a_text_hinders_nothing(kept: Kept) -> None:
    async def work() -> None:
        trail = kept.trail()
        trail.record(NURSE, "read", "Patient", "a\0b", 404)
        trail.record(NURSE, "read", "Patient", "c" * 100_000, 404)
        assert await trail.flush()

    asyncio.run(work())
    assert kept.keys() == ["a\N{REPLACEMENT CHARACTER}b", "c" * 128]


def test_what_cannot_be_recorded_is_not_told(
    server: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    child = {"resourceType": "Patient", "id": "a", "name": [{"family": "Wren"}]}
    server.http.put("/Patient/a", json=child).raise_for_status()
    with monkeypatch.context() as full:
        full.setattr(server.context.audit._journal, "append", _full)
        entry = {"request": {"method": "GET", "url": "Patient/a"}}
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
        refused = [server.http.get("/Patient/a"), server.http.get("/Patient?family=Wren")]
        assert [each.status_code for each in refused] == [503, 503]
        batch = server.http.post("", json=bundle)
        assert batch.json()["entry"][0]["response"]["status"].startswith("503")
        assert not any("Wren" in each.text for each in (*refused, batch))
        assert server.http.get("/Patient/nobody").status_code == 404  # which tells of nothing
    assert server.http.get("/Patient/a").status_code == 200


def _full(_: object) -> None:
    raise OSError("the disk is full")


def test_a_line_of_which_a_part_is_written_is_taken_back(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        trail = kept.trail()
        trail.record(NURSE, "read", "Patient", "a", 200)
        write = os.write
        with monkeypatch.context() as full:
            full.setattr(journal.os, "write", lambda to, line: write(to, line[:5]))
            with pytest.raises(FhirError, match="cannot record"):
                trail.record(NURSE, "read", "Patient", "b", 200)
        trail.record(NURSE, "read", "Patient", "c", 200)
        await trail.flush()

    asyncio.run(work())
    assert kept.keys() == ["a", "c"]


def test_a_command_stores_what_a_killed_server_left(tmp_path: Path) -> None:
    settings = Settings(database=new_database("sqlite", tmp_path))

    async def die(made: Context) -> None:
        made.audit.record(NURSE, "read", "Patient", "a", 200)
        file = made.audit._journal.cut()
        assert file is not None
        file.close()

    async def nothing(_: Context) -> None:
        return

    asyncio.run(alone(settings, die))
    assert len(list((tmp_path / "csor.db.journal").iterdir())) == 1
    asyncio.run(alone(settings, nothing))
    with opened(settings.database) as database:
        assert [each.key for each in audit.accesses(database)] == ["a"]
