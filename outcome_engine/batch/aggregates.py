"""What is read of a view's rows for many children at once: facts, the index event, rules' evidence."""

import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import ibis

from outcome_engine.assessment.rows import FAR, counted_column, taken_column
from outcome_engine.definitions.values import Index, Rule, Selection, Taken
from outcome_engine.expressions.ibis import Scope, Value, compiled, index_key
from outcome_engine.expressions.syntax import Node, conjuncts, facts_of, hoisted

Aggregate = Callable[[Any, Value], Value]
"""Of a table's rows and the condition that they meet, a value for each child."""


@dataclass(frozen=True, slots=True)
class Part:
    """One value of a child that is read from the rows of a selection.

    aggregate: None where it takes a query of its own, by `fact`.
    """

    name: str
    selection: Selection
    aggregate: Aggregate | None
    fact: Taken | None = None

    @property
    def needs(self) -> frozenset[str]:
        """Name the facts that the selection reads."""
        where = self.selection.where
        return frozenset() if where is None else facts_of(where)


def with_facts_apart(part: Part, name: Callable[[Node], str]) -> Part:
    """Return a part whose selection reads, by a name, what it computes of facts alone."""
    where = part.selection.where
    if where is None:
        return part
    return replace(part, selection=replace(part.selection, where=hoisted(where, name)))


def of_fact(fact: Taken) -> Part:
    """Return how a fact is read."""
    if fact.selection is None or fact.value is None:
        raise ValueError(fact.id)
    if fact.value in ("sum", "first", "last"):
        return Part(fact.id, fact.selection, None, fact)
    return Part(fact.id, fact.selection, _aggregate(fact), fact)


def of_index(index: Index) -> Part:
    """Return how the index event is read: as one number, by `expressions.ibis.index_key`."""
    return Part("index", index.selection, _first_day)


def of_rules(rule: Rule) -> list[Part]:
    """Return how the evidence of a rule is read: whether there is any, and when it is met, since when."""
    met = [
        part
        for place, selection in enumerate(rule.met.selections)
        for part in (
            Part(f"{rule.id} met {place}", selection, _any),
            Part(f"{rule.id} date {place}", selection, _first_date),
        )
    ]
    not_met = [
        Part(f"{rule.id} not-met {place}", selection, _any)
        for place, selection in enumerate(rule.not_met.selections)
    ]
    return met + not_met


def default(part: Part) -> bool | int | None:
    """Return what a part is for a child without such rows, where that is a value."""
    if part.aggregate is _any:
        return False
    if part.fact is None:
        return None
    return {"exists": False, "count": 0}.get(part.fact.value or "")


def grouped(parts: Sequence[Part], scope: Scope) -> Any:
    """Return a table of the parts of one view: child, and a column for each by its name.

    What several parts ask of a row is computed once.
    """
    asked = Counter(each for part in parts for each in _conjuncts(part))
    shared = [each for each, times in asked.items() if times > 1]
    columns = {each: f"asked_{place}" for place, each in enumerate(shared)}
    rows = scope.rows
    if columns:
        rows = rows.mutate(**{name: compiled(each, scope) for each, name in columns.items()})
    facts = {
        name: rows[value.get_name()] if name != "asOf" else value
        for name, value in scope.facts.items()
    }
    within = Scope(rows, facts, scope.memberships)
    values = {
        part.name: part.aggregate(rows, _holds(part, within, columns))
        for part in parts
        if part.aggregate is not None
    }
    return rows.group_by("child").aggregate(**values)


def _conjuncts(part: Part) -> tuple[Node, ...]:
    where = part.selection.where
    return () if where is None else tuple(dict.fromkeys(conjuncts(where)))


def _holds(part: Part, scope: Scope, columns: Mapping[Node, str]) -> Value:
    found = [
        scope.rows[columns[each]] if each in columns else compiled(each, scope)
        for each in _conjuncts(part)
    ]
    if not found:
        return ibis.literal(True)
    return reduce(operator.and_, found).fill_null(False)


def single(part: Part, scope: Scope) -> Any:
    """Return a table of one part that takes a query of its own."""
    if part.fact is None:
        raise ValueError(part.name)
    rows, fact = scope.rows, part.fact
    of = rows[taken_column(fact)]
    rows = rows.filter(_holds(part, scope, {}) & of.notnull()).mutate(taken=of)
    if fact.value == "sum":
        once = rows.group_by(["child", "id"]).aggregate(taken=rows.taken.max())
        return once.group_by("child").aggregate(**{part.name: once.taken.sum().cast("int64")})
    return _at_the_end(part.name, fact, rows)


def _aggregate(fact: Taken) -> Aggregate:
    if fact.value == "exists":
        return _any
    if fact.value == "count":
        return lambda rows, holds: rows[counted_column(fact, rows.columns)].nunique(where=holds)
    column = taken_column(fact)
    if fact.value == "set":
        return lambda rows, holds: rows[column].collect(
            where=holds & rows[column].notnull(), distinct=True
        )
    if fact.value in ("min", "earliest", "earliest-moment"):
        return lambda rows, holds: rows[column].min(where=holds)
    return lambda rows, holds: rows[column].max(where=holds)


def _any(_: Any, holds: Value) -> Value:
    return holds.any()


def _first_date(rows: Any, holds: Value) -> Value:
    return rows.date.min(where=holds)


def _first_day(rows: Any, holds: Value) -> Value:
    return index_key(rows.date__day, rows.date__at).min(where=holds)


def _at_the_end(name: str, fact: Taken, rows: Any) -> Any:
    last = fact.value == "last"
    by = fact.by or ""
    if f"{by}__day" in rows.columns:
        rows = rows.filter(rows[f"{by}__day"].notnull())
        rows = rows.mutate(moment=rows[f"{by}__at"].fill_null(-FAR if last else FAR))
        keys = [f"{by}__day", "moment", "id", "taken"]
    else:
        rows = rows.filter(rows[by].notnull())
        keys = [by, "id", "taken"]
    order = [ibis.desc(key) if last else ibis.asc(key) for key in keys]
    window = ibis.window(group_by="child", order_by=order)
    rows = rows.mutate(place=ibis.row_number().over(window))
    return rows.filter(rows.place == 0).select("child", **{name: rows.taken})
