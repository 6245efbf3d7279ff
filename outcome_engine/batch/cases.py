"""Whom a batch is about: each child's first case of a measure, and its one active Patient."""

from collections.abc import Mapping
from typing import Any

import ibis

from outcome_engine.definitions.definition import focus_of
from outcome_engine.definitions.values import Definition
from outcome_engine.expressions.ibis import Scope, compiled, literal


def first_cases(rules: Definition, tables: Mapping[str, Any], scope: Scope) -> Any:
    """Return each child's first case of the measure, those without a full date last."""
    rows = tables["case"]
    if rules.case.where is not None:
        rows = rows.filter(compiled(rules.case.where, scope))
    undated = rows.date__day.isnull().cast("int64")
    rows = rows.mutate(undated=undated, start=rows.date.fill_null(""))
    first = ibis.window(group_by="child", order_by=["undated", "start", "id", "hospital"])
    rows = rows.mutate(place=ibis.row_number().over(first))
    rows = rows.filter(rows.place == 0).left_join(_conditions(rules, tables["case"]), "id")
    return rows.select(
        "child",
        "condition",
        case_id=rows.id,
        case_date=rows.start.left(len("2018-01-31")),
        case_day=rows.date__day,
        hospital=literal("Organization/", "text") + rows.hospital,
    )


def _conditions(rules: Definition, rows: Any) -> Any:
    """Return of each case the condition that the measure is about; the first code, of several."""
    named = [
        (rows.type_system == each["system"]) & (rows.type_code == each["code"])
        for each in focus_of(rules.measure)
    ]
    about = ibis.or_(*named) if named else ibis.literal(False)
    return rows.filter(about).group_by("id").aggregate(condition=rows.type_code.min())


def only_patients(tables: Mapping[str, Any]) -> Any:
    """Return of each child how many of its Patients are active, and one of those."""
    rows = tables["patient"]
    active = rows.active.fill_null(True)
    return rows.group_by("child").aggregate(
        patients=rows.id.nunique(where=active),
        patient=rows.id.min(where=active),
        born=rows.birth_date__to.min(where=active),
    )
