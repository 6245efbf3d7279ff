"""The rows of a pipe-delimited file, read one by one: an episode, or why a row is refused.

The heading names the columns, in any order and in either case; a row is a line; a value may stand in
quotes. No value is quoted in a reason: the rows are patients'.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from mappings.hes.clean import RefusalError, Values, episode
from mappings.hes.episodes import Episode
from mappings.hes.tables import columns, nulls
from r4.issue import FhirError, error

LONGEST = 1 << 16
"""Most bytes of a row: one of 128 columns has about 1,000."""
PERSONS = ("ENCRYPTED_HESID", "TOKEN_PERSON_ID", "STUDY_ID")
"""Headings that may name the column of persons, the first that is there."""
_NEEDED = ("EPIKEY", "EPISTAT", "EPISTART", "EPIEND", "ADMIDATE")
_PROVIDERS = ("PROCODE", "PROCODE5", "PROCODET")
_MARK = b"\xef\xbb\xbf"


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
    file.seek(0)
    raw = file.readline(LONGEST + 1)
    try:
        names = [name.strip().upper() for name in _split(raw.removeprefix(_MARK))]
    except RefusalError as refusal:
        raise _bad(f"The first line is no heading: it {refusal}.") from None
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _bad(f"The heading names a column twice: {', '.join(twice)}.")
    persons = (person.upper(),) if person else PERSONS
    who = next((name for name in persons if name in names), None)
    lacking = [name for name in _NEEDED if name not in names]
    if who is None:
        lacking.append(" or ".join(persons))
    if not any(name in names for name in _PROVIDERS):
        lacking.append(" or ".join(_PROVIDERS))
    if lacking:
        raise _bad(f"The heading lacks {', '.join(lacking)}; columns are separated by |.")
    known = columns()
    places = tuple(
        ("PERSON" if name == who else name, at, nulls(name))
        for at, name in enumerate(names)
        if name == who or (name in known and known[name].kind not in ("", "key"))
    )
    unknown = tuple(name for name in names if name not in known and name != who)
    return Heading(len(names), places, unknown, file.tell())


def read(file: BinaryIO, head: Heading, number: int = 1, end: int = 0) -> Iterator[Line]:
    """Yield the rows that follow a row, by its number and the offset after it; empty ones are not counted."""
    start = end or head.end
    file.seek(start)
    while raw := file.readline(LONGEST + 1):
        whole = raw.endswith(b"\n") or len(raw) <= LONGEST
        start = start + len(raw) if whole else _next(file)
        if not raw.strip():
            continue
        number += 1
        if not whole:
            yield Line(number, start, None, f"is longer than {LONGEST} bytes")
            continue
        try:
            yield Line(number, start, episode(_values(raw, head)))
        except RefusalError as refusal:
            yield Line(number, start, None, str(refusal))


def _values(raw: bytes, head: Heading) -> Values:
    """Return the values of a row that are read, without those that mean that nothing is known."""
    fields = _split(raw)
    if len(fields) != head.width:
        raise RefusalError(f"has {len(fields)} fields, the heading has {head.width}")
    return {
        name: value
        for name, at, unknown in head.places
        if (value := fields[at].strip()) not in unknown or name == "DISMETH"
    }


def _split(raw: bytes) -> Sequence[str]:
    try:
        text = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise RefusalError("is not UTF-8") from None
    if "\0" in text:
        raise RefusalError("has a character that is none")
    if '"' not in text:
        return text.split("|")
    try:
        return next(csv.reader([text], delimiter="|", strict=True))
    except csv.Error:
        raise RefusalError("has a quote that is not closed, or text after one") from None


def _next(file: BinaryIO) -> int:
    """Go to the next line, and return where that begins."""
    while (raw := file.readline(LONGEST)) and not raw.endswith(b"\n"):
        pass
    return file.tell()


def _bad(text: str) -> FhirError:
    return FhirError(422, [error("structure", text)])
