"""A file of admitted patient care, read into its staging file; interrupted, it goes on where it was."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import msgspec

from fhir_server.store.staging import Row, Staging
from mappings.hes.encoding import decode, encode
from mappings.hes.rows import Line, heading, read
from mappings.hes.spells import ContinuousSpell, continuous, spells

SLICE = 500
"""Rows in one commit of the staging file."""


class Reading(msgspec.Struct):
    """How far reading is: the number of the last row, the offset after it, and what rows came to.

    `lacking` counts by reason the episodes that belong to no spell; `unknown` are headings that are no
    columns of admitted patient care. rows = refused + lacking + duplicates + episodes.
    """

    number: int = 1
    end: int = 0
    rows: int = 0
    refused: int = 0
    duplicates: int = 0
    episodes: int = 0
    lacking: dict[str, int] = {}
    unknown: tuple[str, ...] = ()
    is_over: bool = False


def stand(staging: Staging) -> Reading:
    """Return how far reading is."""
    raw = staging.state()
    return Reading() if raw is None else msgspec.json.decode(raw, type=Reading)


def stage(name: Path, staging: Staging, person: str | None) -> Iterator[Reading]:
    """Read what is not read yet, and yield how far that is after each commit.

    Raises FhirError 422 for a heading that cannot be gone by, OSError where the file cannot be read.
    """
    reading = stand(staging)
    with name.open("rb") as file:
        for some in _slices(file, person, reading):
            _add(staging, some, reading)
            yield reading
    reading.is_over = True
    staging.add((), (), msgspec.json.encode(reading))
    yield reading


def stays(bodies: Sequence[bytes]) -> list[ContinuousSpell]:
    """Return the continuous spells of one person's staged episodes."""
    (found,) = continuous(spells(map(decode, bodies)))
    return found


def _slices(file: BinaryIO, person: str | None, reading: Reading) -> Iterator[list[Line]]:
    head = heading(file, person)
    reading.unknown = head.unknown
    lines = read(file, head, reading.number, reading.end)
    while some := list(islice(lines, SLICE)):
        yield some


def _add(staging: Staging, lines: Sequence[Line], reading: Reading) -> None:
    rows, refused = [], []
    for line in lines:
        episode = line.episode
        if episode is None:
            refused.append((line.number, line.refusal))
        elif why := episode.lacks:
            reading.lacking[why] = reading.lacking.get(why, 0) + 1
        else:
            rows.append(Row(episode.epikey, episode.person, episode.place, encode(episode)))
    new = staging.new(rows)
    reading.rows += len(lines)
    reading.refused += len(refused)
    reading.duplicates += len(rows) - len(new)
    reading.episodes += len(new)
    reading.number, reading.end = lines[-1].number, lines[-1].end
    staging.add(new, refused, msgspec.json.encode(reading))
