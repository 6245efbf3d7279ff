"""A file of deaths and its bridge, read into a staging file; interrupted, it goes on where it was."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import islice
from pathlib import Path

import msgspec

from fhir_server.store.staging import Refused, Row, Staging
from mappings.hes import deaths
from mappings.hes.deaths import Bridge, Death, Told
from mappings.hes.layout import Layout

SLICE = 500
"""Rows in one commit of the staging file."""


class Part(msgspec.Struct):
    """How far reading one file is: the last row, the offset after it, what rows came to.

    read = refused + duplicates + kept.
    """

    number: int = 1
    end: int = 0
    read: int = 0
    refused: int = 0
    duplicates: int = 0
    kept: int = 0
    is_over: bool = False


class Reading(msgspec.Struct):
    """How far reading both files is."""

    deaths: Part = msgspec.field(default_factory=Part)
    bridge: Part = msgspec.field(default_factory=Part)


def stage(
    files: tuple[Path, Path | None], layout: Layout, staging: Staging, today: date
) -> Iterator[Reading]:
    """Read what is not read yet, and yield how far that is after each commit.

    files: the deaths, and the bridge if there is one. No death is after `today`.
    Raises FhirError 422 for a heading that lacks what the layout names, OSError for an unreadable file.
    """
    raw = staging.state()
    reading = Reading() if raw is None else msgspec.json.decode(raw, type=Reading)
    yield reading
    for name, part in zip(files, (reading.deaths, reading.bridge), strict=True):
        if name is None or part.is_over:
            continue
        with name.open("rb") as opened:
            head = deaths.heading(opened, layout, bridge=part is reading.bridge)
            read = deaths.read(opened, layout, head, part.number, part.end)
            rows = (_past(row, today) for row in read)
            while some := list(islice(rows, SLICE)):
                _add(staging, some, (reading, part))
                yield reading
        part.is_over = True
        staging.add((), (), msgspec.json.encode(reading))
        yield reading


def every(staging: Staging, after: str = "") -> Iterator[tuple[Death, list[str]]]:
    """Yield each death after a record, by its record, with the persons of HES whose it is."""
    for _, bodies in staging.every(after):
        told = [deaths.decode(body) for body in bodies]
        persons = [each.person for each in told if each.person]
        for each in told:
            if isinstance(each, Death):
                yield each, sorted(set(persons))


def refused(staging: Staging) -> Iterator[tuple[bool, int, str]]:
    """Yield the refused rows: whether the bridge's, their number, and why."""
    for number, reason in staging.refused():
        yield bool(number % 2), number // 2, reason


def _past(row: deaths.Row, today: date) -> deaths.Row:
    if isinstance(row.told, Death) and row.told.died > today:
        return row._replace(told=None, refusal="has a day of death that is still to come")
    return row


def _add(staging: Staging, rows: Sequence[deaths.Row], at: tuple[Reading, Part]) -> None:
    reading, part = at
    kept = [_row(row.told) for row in rows if row.told is not None]
    wrong = list(_refused(rows, is_bridge=part is reading.bridge))
    new = staging.new(kept)
    part.read += len(rows)
    part.refused += len(wrong)
    part.duplicates += len(kept) - len(new)
    part.kept += len(new)
    part.number, part.end = rows[-1].number, rows[-1].end
    staging.add(new, wrong, msgspec.json.encode(reading))


def _row(told: Told) -> Row:
    """Return a row of its record: of one record the first death, and each person once."""
    place = f"b{told.person}" if isinstance(told, Bridge) else "a"
    return Row(f"{place}\t{told.record}", told.record, place, deaths.encode(told))


def _refused(rows: Iterable[deaths.Row], *, is_bridge: bool) -> Iterator[Refused]:
    """Yield what is refused, numbered so that the rows of both files differ."""
    for row in rows:
        if row.told is None:
            yield 2 * row.number + is_bridge, row.refusal
