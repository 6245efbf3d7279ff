"""The columns of an outcome row, alike for one child and for many."""

from typing import Any

from outcome_engine import civil
from outcome_engine.assessment.assess import ChildOutcome
from outcome_engine.definitions.values import Definition


def names(rules: Definition) -> tuple[str, ...]:
    """List the columns of a definition's outcomes.

    Days count from 1970-01-01; score, and values of type decimal, are millionths; `value` stands where
    the measure observes one; a factor or attribute is NULL where it is not known.
    """
    return (
        "child", "patient", "case_id", "hospital", "condition", "case_date", "case_day", "index_day", "due",
        "due_day", "class", "reason", "decided_by", "score",
        *(() if rules.observation is None else ("value",)),
        *(f"status_{rule.id}" for rule in rules.rules),
        *(f"{fact.role}_{fact.id}" for fact in rules.facts if fact.role != "fact"),
        *(f"in_{code}" for code in rules.populations),
    )  # fmt: skip


def row(rules: Definition, outcome: ChildOutcome) -> dict[str, Any]:
    """Return one child's outcome as such a row; its child is the surviving Patient."""
    patient = outcome.patient.partition("/")[2]
    found: dict[str, Any] = {
        "child": patient,
        "patient": patient,
        "case_id": outcome.case.partition("/")[2],
        "hospital": outcome.hospital,
        "condition": outcome.condition,
        "case_date": outcome.case_date,
        "case_day": civil.day_of(outcome.case_date),
        "index_day": outcome.facts.get("indexDate"),
        "due": outcome.due,
        "due_day": outcome.facts.get("dueDate"),
        "class": outcome.outcome_class,
        "reason": outcome.reason,
        "decided_by": outcome.decided_by.id,
        "score": outcome.facts.get("score"),
        "value": outcome.observation,
    }
    found |= {f"status_{each.rule.id}": each.status for each in outcome.findings}
    found |= {f"attribute_{each.id}": each.value for each in outcome.attributes}
    found |= {f"factor_{each.id}": each.value for each in outcome.factors}
    found |= {f"in_{code}": code in outcome.populations for code in rules.populations}
    return {name: found[name] for name in names(rules)}
