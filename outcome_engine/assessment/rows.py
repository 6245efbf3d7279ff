"""A child's rows for the single evaluator: staged, selected, and reduced to the values of facts."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from outcome_engine import staging
from outcome_engine.definitions.values import Selection, Taken
from outcome_engine.expressions.python import Evaluate, Facts, Row, compiled, staged
from outcome_engine.expressions.syntax import Column, Node, Type
from outcome_engine.views.view import view
from r4.json import Resource

FAR = 1 << 62
"""A moment after, and with a minus before, every other: where a row has none."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A resource that shows something, and its clinical date as recorded, or None."""

    reference: str
    date: str | None


@cache
def layout(view_id: str) -> Mapping[str, int]:
    """Map the staged columns of a view to their places in a row."""
    return {column.name: place for place, column in enumerate(staging.columns(view(view_id)))}


@cache
def compile_where(view_id: str, where: Node) -> Evaluate:
    """Compile the condition of a selection, once."""
    return compiled(where, layout(view_id))


@cache
def compile_fact(node: Node) -> Evaluate:
    """Compile an expression over facts, once; it is given an empty row."""
    return compiled(node, {})


class Rows:
    """The staged rows of a child's resources, by view; flattened when first asked for."""

    def __init__(self, child: str, resources: Sequence[Resource]) -> None:
        self._child = child
        self._resources = resources
        self._rows: dict[str, list[Row]] = {}

    def of(self, view_id: str) -> list[Row]:
        """List the rows of a view."""
        if view_id not in self._rows:
            found = view(view_id)
            concerned = [each for each in self._resources if each["resourceType"] == found.resource]
            self._rows[view_id] = staging.stage(found, self._child, concerned)
        return self._rows[view_id]

    def select(self, selection: Selection, facts: Facts) -> list[Row]:
        """List the rows of a selection."""
        rows = self.of(selection.view)
        if selection.where is None:
            return rows
        holds = compile_where(selection.view, selection.where)
        return [row for row in rows if holds(row, facts) is True]


def evidence(view_id: str, rows: Iterable[Row]) -> tuple[Evidence, ...]:
    """Name the resources of rows, the earliest clinical date first and undated ones last."""
    resource, places = view(view_id).resource, layout(view_id)
    id, date = places["id"], places["date"]
    found = {Evidence(f"{resource}/{row[id]}", row[date]) for row in rows}
    return ordered(found)


def ordered(found: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Sort evidence, each once: the earliest clinical date as written first, undated ones last."""
    distinct = set(found)
    return tuple(
        sorted(distinct, key=lambda each: (each.date is None, each.date or "", each.reference))
    )


def taken(fact: Taken, rows: Sequence[Row]) -> tuple[Any, list[Row]]:
    """Return the value of a fact, and the rows that gave it."""
    if fact.selection is None or fact.value is None:
        raise ValueError(fact.id)
    places = layout(fact.selection.view)
    if fact.value == "exists":
        return bool(rows), list(rows)
    if fact.value == "count":
        counted = places[counted_column(fact, places)]
        known = [row for row in rows if row[counted] is not None]
        return len({row[counted] for row in known}), known
    of = places[taken_column(fact)]
    known = [row for row in rows if row[of] is not None]
    if fact.value == "sum":
        return _sum(known, of, places["id"]), known
    if fact.value == "set":
        return frozenset(row[of] for row in known), known
    if fact.value in ("first", "last"):
        return _at_the_end(fact, known, of, places)
    chosen = _EXTREME[fact.value]((row[of] for row in known), default=None)
    return chosen, [row for row in known if row[of] == chosen]


_EXTREME: Mapping[str, Callable[..., Any]] = {
    "min": min, "earliest": min, "earliest-moment": min,
    "max": max, "latest": max, "latest-moment": max,
}  # fmt: skip


def counted_column(fact: Taken, columns: Container[str]) -> str:
    """Return the staged column whose values are counted, each once: of a date, the day."""
    name = fact.of or "id"
    return f"{name}__day" if f"{name}__day" in columns else name


def taken_column(fact: Taken) -> str:
    """Return the staged column that a fact is taken of: in its unit, and of a set that of its values."""
    if fact.unit is not None:
        return staging.in_unit(fact.of or "", fact.unit)
    types: Mapping[Type, Type] = {"days": "date", "texts": "text"}
    return staged(Column(fact.of or "", types.get(fact.type, fact.type)))


def not_converted(fact: Taken, rows: Iterable[Row]) -> list[Row]:
    """List the rows with a quantity that is not converted to the unit of a fact."""
    if fact.selection is None or fact.unit is None:
        return []
    places = layout(fact.selection.view)
    number, of = places[fact.of or ""], places[taken_column(fact)]
    return [row for row in rows if row[number] is not None and row[of] is None]


def _sum(rows: Iterable[Row], of: int, id: int) -> int | None:
    """Sum what the resources have, each once and with the greatest of its values."""
    greatest: dict[str, int] = {}
    for row in rows:
        greatest[row[id]] = max(row[of], greatest.get(row[id], row[of]))
    return sum(greatest.values()) if greatest else None


def _at_the_end(
    fact: Taken, rows: Sequence[Row], of: int, places: Mapping[str, int]
) -> tuple[Any, list[Row]]:
    last = fact.value == "last"
    by, id = fact.by or "", places["id"]
    day, moment = places.get(f"{by}__day"), places.get(f"{by}__at")

    def key(row: Row) -> tuple[Any, ...] | None:
        if day is None or moment is None:
            value = row[places[by]]
            return None if value is None else (value, row[id], row[of])
        if row[day] is None:
            return None
        at = row[moment] if row[moment] is not None else (-FAR if last else FAR)
        return row[day], at, row[id], row[of]

    keyed = [(found, row) for row in rows if (found := key(row)) is not None]
    if not keyed:
        return None, []
    _, row = (max if last else min)(keyed, key=lambda pair: pair[0])
    return row[of], [row]
