"""The rows of a pipe-delimited file, read one by one: an episode, or why a row is refused.

The heading names the columns, in any order and in either case.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from mappings.hes import lines
from mappings.hes.clean import Values, episode
from mappings.hes.episodes import Episode
from mappings.hes.lines import RefusalError
from mappings.hes.tables import columns, nulls

PERSONS = ("ENCRYPTED_HESID", "TOKEN_PERSON_ID", "STUDY_ID")
"""Headings that may name the column of persons, the first that is there."""
_NEEDED = ("EPIKEY", "EPISTAT", "EPISTART", "EPIEND", "ADMIDATE")
_PROVIDERS = ("PROCODE", "PROCODE5", "PROCODET")


class Line(NamedTuple):
    """A row: its number (the heading is 1), the offset after it, and its episode or why it is refused."""

    number: int
    end: int
    episode: Episode | None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Heading:
    """Where columns stand: how many there are, which are read, which one has persons; the offset after it."""

    width: int
    places: tuple[tuple[str, int, frozenset[str]], ...]
    unknown: tuple[str, ...]
    end: int


def heading(file: BinaryIO, person: str | None = None) -> Heading:
    """Read the first line of a file; `person` names the column of persons where it has another name.

    Raises FhirError 422 where the line is no heading, names a column twice or lacks one that is needed.
    """
    names, end = lines.heading(file)
    persons = (person.upper(),) if person else PERSONS
    who = next((name for name in persons if name in names), None)
    lacking = [name for name in _NEEDED if name not in names]
    if who is None:
        lacking.append(" or ".join(persons))
    if not any(name in names for name in _PROVIDERS):
        lacking.append(" or ".join(_PROVIDERS))
    if lacking:
        raise lines.bad(f"The heading lacks {', '.join(lacking)}; columns are separated by |.")
    known = columns()
    places = tuple(
        ("PERSON" if name == who else name, at, nulls(name))
        for at, name in enumerate(names)
        if name == who or (name in known and known[name].kind not in ("", "key"))
    )
    unknown = tuple(name for name in names if name not in known and name != who)
    return Heading(len(names), places, unknown, end)


def read(file: BinaryIO, head: Heading, number: int = 1, end: int = 0) -> Iterator[Line]:
    """Yield the rows that follow a row, by its number and the offset after it; empty ones are not counted."""
    for row in lines.read(file, head.width, number, end or head.end):
        if row.refusal:
            yield Line(row.number, row.end, None, row.refusal)
            continue
        try:
            yield Line(row.number, row.end, episode(_values(row.values, head)))
        except RefusalError as refusal:
            yield Line(row.number, row.end, None, str(refusal))


def _values(fields: Sequence[str], head: Heading) -> Values:
    """Return the values of a row that are read, without those that mean that nothing is known."""
    return {
        name: value
        for name, at, unknown in head.places
        if (value := fields[at].strip()) not in unknown or name == "DISMETH"
    }
