"""A closure table: the codes that a client has met, numbered as they came, and who is above whom.

https://hl7.org/fhir/R4/conceptmap-operation-closure.html
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple


class Entry(NamedTuple):
    """One code of a table; the number is the version of the table that first has it."""

    number: int
    system: str
    code: str


class Relation(NamedTuple):
    """A code of a system, and one that is above it."""

    system: str
    code: str
    above: str


Table = tuple[Entry, ...]


def extend(table: Table, codes: Iterable[tuple[str, str]]) -> tuple[Table, Table]:
    """Add codes, each (system, code), to a table; return it, and what was added to it.

    A code that is in the table already is not added again. What is added at once has one number.
    """
    held = {(entry.system, entry.code) for entry in table}
    number = version(table) + 1
    new = (pair for pair in dict.fromkeys(codes) if pair not in held)
    additions = tuple(Entry(number, system, code) for system, code in new)
    return (*table, *additions), additions


def version(table: Table) -> int:
    """Return the version of a table: the number of what was added last, 0 where nothing was."""
    return max((entry.number for entry in table), default=0)


def relations(
    table: Table, since: int, above: Callable[[str, str], Iterable[str]]
) -> list[Relation]:
    """List who is above whom, of the pairs of which one at least is newer than a version.

    above: the codes above a (system, code). Codes of different systems are not related.
    """
    numbers = {(entry.system, entry.code): entry.number for entry in table}
    return [
        Relation(system, code, each)
        for (system, code), number in numbers.items()
        for each in above(system, code)
        if max(number, numbers.get((system, each), -1)) > since and (system, each) in numbers
    ]
