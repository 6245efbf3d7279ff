"""Counts of outcomes for reports: how many children are in each population, by hospital, year or class."""

from collections.abc import Sequence
from typing import Any

import ibis

from outcome_engine import civil
from outcome_engine.expressions.ibis import literal

_BY = {
    "hospital": lambda outcomes: outcomes.hospital,
    "year": lambda outcomes: outcomes.case_date.left(len("2018")),
    "class": lambda outcomes: outcomes["class"],
}


def counts(outcomes: Any, period: tuple[str, str], by: Sequence[str] = ()) -> Any:
    """Count the outcomes (a table of `batch.outcomes`) whose case began in a period, both days included.

    by: of "hospital", "year" (of the case) and "class", one row for each combination that occurs.
    Columns: those of by, `children`, a column for each population by its code, and, where the
    measure observes a value, `observed` (how many have one) and `value` (their sum).
    """
    start, end = (literal(civil.day_of(day), "date") for day in period)
    inside = outcomes.filter(outcomes.case_day.between(start, end))
    keys = {name: _BY[name](inside) for name in by}
    populations = [name for name in outcomes.columns if name.startswith("in_")]
    values = {"children": inside.count()}
    values |= {name.removeprefix("in_"): _how_many(inside[name]) for name in populations}
    if "value" in outcomes.columns:
        values |= {"observed": inside.value.count(), "value": inside.value.sum().cast("int64")}
    return inside.group_by(**keys).aggregate(**values) if keys else inside.aggregate(**values)


def _how_many(population: Any) -> Any:
    return ibis.coalesce(population.cast("int64").sum(), 0).cast("int64")
