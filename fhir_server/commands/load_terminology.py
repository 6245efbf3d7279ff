"""`load-terminology`: load a release of a large code system, beside a running server or without one.

What is licensed is the operator's: it goes from the operator's files into the operator's database.
"""

import argparse
import asyncio
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fhir_server.settings import Settings
from fhir_server.store.concepts.loading import Progress, Report, load
from fhir_server.store.database import open_database
from terminology.loaders import KINDS, Release
from terminology.loaders.rows import File

_EVERY = 2.0
"""Seconds between two lines of progress."""
_COUNTED = (
    ("concepts", "concepts"), ("active", "of them active"), ("names", "designations"),
    ("edges", "edges"), ("members", "members of reference sets"), ("replacements", "replacements"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _OnDisk:
    name: str
    path: Path

    def lines(self) -> Iterator[bytes]:
        with self.path.open("rb") as opened:
            yield from opened


@dataclass(frozen=True, slots=True)
class _InZip:
    name: str
    archive: zipfile.ZipFile

    def lines(self) -> Iterator[bytes]:
        try:
            with self.archive.open(self.name) as opened:
                yield from opened
        except (zipfile.BadZipFile, zlib.error) as damaged:
            raise ValueError(f"{self.name} in the zip is damaged: {damaged}") from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command, and what it runs."""
    parser.add_argument("kind", choices=tuple(KINDS))
    parser.add_argument("place", type=Path, help="a folder, a zip or a file")
    parser.add_argument("--version", help="needed where the files do not say it")
    parser.add_argument(
        "--remove-others", action="store_true", help="remove releases that are no longer in use"
    )
    parser.set_defaults(
        run=lambda given: load_terminology(
            Settings(), given.kind, given.place, given.version, remove_others=given.remove_others
        )
    )


def load_terminology(
    settings: Settings, kind: str, place: Path, version: str | None, *, remove_others: bool
) -> None:
    """Load a release from a folder, a zip or a file, put it in use, and print what it holds.

    One that was interrupted goes on where it was. Raises ValueError for what cannot be read, naming
    file and line; nothing of it is in use then.
    """
    with _files(place) as files:
        release = KINDS[kind](files, version, time.strftime("%Y%m%d"))
        began = time.monotonic()
        report = asyncio.run(_loaded(settings, release, remove_others=remove_others))
    for line in _said(report, time.monotonic() - began):
        print(line)


async def _loaded(settings: Settings, release: Release, *, remove_others: bool) -> Report:
    database = open_database(settings.database, apart=True)
    try:
        work = load(database, release, _Said(), remove_others=remove_others)
        return await database.driven(work)
    finally:
        database.close()


class _Said:
    """Prints how far a load is, every two seconds."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self._said_at >= _EVERY:
            self._said_at = time.monotonic()
            print(f"{progress.rows} rows; {progress.doing}", flush=True)


def _said(report: Report, seconds: float) -> Iterator[str]:
    yield f"{report.url} {report.version}"
    for name, text in _COUNTED:
        yield f"{report.counts[name]:>12} {text}"
    if report.counts["left_out"]:
        yield f"{report.counts['left_out']:>12} rows left out: their code is not in the release, or twice"
    done = "in use" if report.is_new else "was loaded already; in use"
    yield f"{done}, after {seconds:.1f} s"


@contextmanager
def _files(place: Path) -> Iterator[Sequence[File]]:
    """Yield the files of a folder, a zip, or the one file; raises ValueError where there is nothing."""
    if place.is_dir():
        paths = sorted(path for path in place.rglob("*") if path.is_file())
        yield [_OnDisk(path.relative_to(place).as_posix(), path) for path in paths]
    elif not place.is_file():
        raise ValueError(f"{place} is neither a folder nor a file")
    elif place.suffix.lower() == ".zip":
        try:
            archive = zipfile.ZipFile(place)
        except zipfile.BadZipFile:
            raise ValueError(f"{place} is no zip that can be read") from None
        with archive:
            names = [each.filename for each in archive.infolist() if not each.is_dir()]
            yield [_InZip(name, archive) for name in names]
    else:
        yield [_OnDisk(place.name, place)]
