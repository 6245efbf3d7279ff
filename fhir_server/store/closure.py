"""Closure tables, each by its owner and its name: the codes in them, numbered as they came.

A table that is empty has one row, of number 0 and without a code.
"""

from collections.abc import Sequence
from functools import partial

from fhir_server.store.connection import Connection, Database
from r4.issue import FhirError, error
from terminology import closure
from terminology.closure import Entry, Table

_SELECT = (
    "SELECT number, system, code FROM closure_concept WHERE owner = ? AND name = ?"
    " ORDER BY number, system, code"
)
_INSERT = "INSERT INTO closure_concept (owner, name, system, code, number) VALUES "
_MANY = 100


async def begin(database: Database, owner: str, name: str) -> None:
    """Make a table anew, empty."""
    await database.write(partial(_begin, owner=owner, name=name))


def _begin(connection: Connection, owner: str, name: str) -> None:
    connection.execute("DELETE FROM closure_concept WHERE owner = ? AND name = ?", (owner, name))
    connection.execute(f"{_INSERT}(?, ?, ?, ?, ?)", (owner, name, "", "", 0))


def table(database: Database, owner: str, name: str) -> Table | None:
    """Return a table; None where there is none."""
    return _table(database.read(_SELECT, (owner, name)))


def _table(rows: Sequence[Sequence[object]]) -> Table | None:
    if not rows:
        return None
    return tuple(Entry(int(str(n)), str(s), str(c)) for n, s, c in rows if n)


async def extend(
    database: Database, owner: str, name: str, codes: Sequence[tuple[str, str]], most: int
) -> tuple[Table, int] | None:
    """Add codes, each (system, code); return the table as it is then, and the version that it had.

    None where there is no such table. Raises FhirError 422 for a table of more codes than `most`.
    """
    job = partial(_extend, owner=owner, name=name, codes=tuple(codes), most=most)
    return await database.write(job)


def _extend(
    connection: Connection, owner: str, name: str, codes: Sequence[tuple[str, str]], most: int
) -> tuple[Table, int] | None:
    held = _table(connection.read(_SELECT, (owner, name)))
    if held is None:
        return None
    whole, additions = closure.extend(held, codes)
    if len(whole) > most:
        text = f"A closure table has at most {most} codes: begin another one."
        raise FhirError(422, [error("too-costly", text, "Parameters.parameter('concept')")])
    for start in range(0, len(additions), _MANY):
        some = additions[start : start + _MANY]
        values = [(owner, name, each.system, each.code, each.number) for each in some]
        places = ", ".join(["(?, ?, ?, ?, ?)"] * len(values))
        connection.execute(_INSERT + places, [value for row in values for value in row])
    return whole, closure.version(held)
