"""What a release of a code system is read into: rows, one after the other, of five kinds.

A loader is given the lines of a file, as bytes, and yields rows; what it cannot read is an error that
names file and line. Nothing here knows where the rows go.
"""

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple, Protocol

Lines = Iterable[bytes]


class UnreadableError(ValueError):
    """A file is not what its format says; the message names the file and the line."""


class File(Protocol):
    """A file of a release: its path within the release, and its lines as often as they are asked for."""

    @property
    def name(self) -> str:
        """Return the path within the release."""
        ...

    def lines(self) -> Iterable[bytes]:
        """Yield the lines, with what ends them."""
        ...


class Concept(NamedTuple):
    """A code; alias: another way to write it; properties as (code, value)."""

    code: str
    is_active: bool = True
    alias: str | None = None
    properties: tuple[tuple[str, str | bool], ...] = ()


class Name(NamedTuple):
    """A term of a code; of its names the one with the lowest rank is its display.

    use: the code of what the term is for, in the same system; "" where the release does not say.
    """

    code: str
    term: str
    language: str
    rank: int = 0
    use: str = ""


class Parent(NamedTuple):
    """A code, and one that stands directly above it."""

    code: str
    parent: str


class Member(NamedTuple):
    """A code that a reference set holds."""

    refset: str
    code: str


class Replacement(NamedTuple):
    """A code, and one that an association (a reference set's id, or "") puts in its place."""

    code: str
    association: str
    target: str


Row = Concept | Name | Parent | Member | Replacement


def unreadable(name: str, line: int, what: str) -> UnreadableError:
    """Return the error of a line of a file."""
    return UnreadableError(f"{name}, line {line}: {what}")


def decoded(name: str, lines: Lines) -> Iterator[tuple[int, str]]:
    """Yield each line as (number, text), without its end; raises UnreadableError where it is not UTF-8."""
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise unreadable(name, number, "is not UTF-8") from None
        yield number, text.rstrip("\r\n")


def tabbed(
    name: str, lines: Lines, columns: Sequence[str]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield (line number, cells of the columns) of a table with tabs and a header; no quoting.

    Two columns or more. Raises UnreadableError for a header that lacks one, and for a line of another
    width than the header's.
    """
    numbered = decoded(name, lines)
    header = next(numbered, (1, ""))[1].removeprefix("\ufeff").split("\t")
    pick, width = itemgetter(*_places(name, header, columns)), len(header)
    for number, text in numbered:
        cells = text.split("\t")
        if len(cells) != width:
            if not text:
                continue
            raise unreadable(name, number, f"has {len(cells)} columns, the header {width}")
        yield number, pick(cells)


def _places(name: str, header: Sequence[str], columns: Sequence[str]) -> list[int]:
    if missing := [column for column in columns if column not in header]:
        raise unreadable(name, 1, f"the header has no column {', '.join(missing)}")
    return [header.index(column) for column in columns]
