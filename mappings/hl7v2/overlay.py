"""An overlay: what an operator adds to a table, replaces in it or drops from it, row by row, and why.

A row is known by its identifier, target and condition function. What hits no row, or several, is
refused: an overlay that a release has outrun must be seen.
"""

from collections.abc import Sequence
from typing import TypeVar

from mappings.hl7v2.rows import Change, MessageRow, SegmentRow

OPS = ("add", "replace", "drop")
_Row = TypeVar("_Row", SegmentRow, MessageRow)


def laid_over(rows: Sequence[_Row], changes: Sequence[Change[_Row]]) -> tuple[_Row, ...]:
    """Return a table with its changes made, in their order.

    A row that is added to a segment or datatype map runs after the rows that are there; in a message
    table it stands after the other rows of its segment, else at the end of its group. Raises
    ValueError, naming file and line, for a change that cannot be made.
    """
    found = list(rows)
    for change in changes:
        try:
            _check(change)
            _make(found, change)
        except ValueError as problem:
            raise ValueError(f"{change.row.origin}: {problem}") from None
    return tuple(found)


def _check(change: Change[_Row]) -> None:
    if change.op not in OPS:
        raise ValueError(f"Op is `{change.op}`, not one of {', '.join(OPS)}")
    if not change.reason:
        raise ValueError("the row gives no Reason")
    if change.row.antlr or change.row.narrative:
        raise ValueError("a condition is a function's name, in Condition Function")


def _make(rows: list[_Row], change: Change[_Row]) -> None:
    row = change.row
    hits = [number for number, other in enumerate(rows) if _key(other) == _key(row)]
    if change.op == "add":
        if hits:
            raise ValueError(f"{rows[hits[0]].origin} has this row already: replace it")
        rows.insert(_end(rows, row), row)
        return
    if len(hits) != 1:
        known = ", ".join(str(rows[number].origin) for number in hits) or "no row"
        raise ValueError(
            f"{change.op} must hit one row of {row.target or 'no target'}, not: {known}"
        )
    rows[hits[0] : hits[0] + 1] = [row] if change.op == "replace" else []


def _key(row: SegmentRow | MessageRow) -> tuple[str, str, str]:
    return row.identifier, row.target, row.condition


def _end(rows: Sequence[SegmentRow | MessageRow], row: SegmentRow | MessageRow) -> int:
    if isinstance(row, SegmentRow):
        return len(rows)
    same = [number for number, other in enumerate(rows) if other.identifier == row.identifier]
    if same:
        return same[-1] + 1
    group = row.identifier.rpartition(".")[0]
    if "." not in group:
        return len(rows)
    for number, other in enumerate(rows):
        if other.identifier == f"/{group}":
            return number
    raise ValueError(f"the table has no group {group}")
