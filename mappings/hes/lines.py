"""The lines of a delimited text file, read one by one: the values of a row, or why it is refused.

A row is a line; a value may stand in quotes. No value is quoted in a reason: the rows are patients'.
"""

import csv
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from r4.issue import FhirError, error

LONGEST = 1 << 16
"""Most bytes of a row: one of 128 columns has about 1,000."""
_MARK = b"\xef\xbb\xbf"


class RefusalError(Exception):
    """Why a row is refused: the rest of a sentence about it, without a value of the row."""


class Fields(NamedTuple):
    """A row: its number (the heading is 1), the offset after it, and its values or why it is refused."""

    number: int
    end: int
    values: Sequence[str]
    refusal: str = ""


def heading(file: BinaryIO, delimiter: str = "|") -> tuple[list[str], int]:
    """Return the names of the first line, in capitals, and the offset after it.

    Raises FhirError 422 where the line is no heading, or names a column twice.
    """
    file.seek(0)
    raw = file.readline(LONGEST + 1)
    try:
        names = [name.strip().upper() for name in _split(raw.removeprefix(_MARK), delimiter)]
    except RefusalError as refusal:
        raise bad(f"The first line is no heading: it {refusal}.") from None
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise bad(f"The heading names a column twice: {', '.join(twice)}.")
    return names, file.tell()


def read(
    file: BinaryIO, width: int, number: int, start: int, delimiter: str = "|"
) -> Iterator[Fields]:
    """Yield the rows from an offset on, the first one's number after `number`; empty ones do not count.

    width: how many fields a row has to have.
    """
    file.seek(start)
    while raw := file.readline(LONGEST + 1):
        whole = raw.endswith(b"\n") or len(raw) <= LONGEST
        start = start + len(raw) if whole else _next(file)
        if not raw.strip():
            continue
        number += 1
        if not whole:
            yield Fields(number, start, (), f"is longer than {LONGEST} bytes")
            continue
        try:
            values = _split(raw, delimiter)
        except RefusalError as refusal:
            yield Fields(number, start, (), str(refusal))
            continue
        wrong = f"has {len(values)} fields, the heading has {width}"
        yield Fields(number, start, values, "" if len(values) == width else wrong)


def bad(text: str) -> FhirError:
    """Return the refusal of a file that cannot be gone by."""
    return FhirError(422, [error("structure", text)])


def _split(raw: bytes, delimiter: str) -> Sequence[str]:
    try:
        text = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise RefusalError("is not UTF-8") from None
    if "\0" in text:
        raise RefusalError("has a character that is none")
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        raise RefusalError("has a quote that is not closed, or text after one") from None


def _next(file: BinaryIO) -> int:
    """Go to the next line, and return where that begins."""
    while (raw := file.readline(LONGEST)) and not raw.endswith(b"\n"):
        pass
    return file.tell()
