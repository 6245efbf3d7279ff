"""One child's outcome: each rule's finding, the class, and the rule that decided.

The rules and their combination are data: `libraries/Library-*.json`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from outcome_engine.definition import Definition, Rule, definition, focus, measure
from outcome_engine.parameter_file import NONE, Parameters, refuse_without_parameters
from outcome_engine.record import (
    Evidence,
    Record,
    as_date,
    birthday,
    case_start,
    evidence,
    read,
    reference,
)
from outcome_engine.record import cases as cases_of
from r4.issue import FhirError
from r4.json import Resource
from terminology import Terminology

Status = Literal["met", "not-met", "unknown", "not-due"]
OutcomeClass = Literal["good", "bad", "not-yet-known"]
Reason = Literal["adverse-outcome", "every-outcome-known", "not-yet-due", "information-missing"]


@dataclass(frozen=True, slots=True)
class Decision:
    """The rule that decided an outcome: its id, what it says, and where it comes from."""

    id: str
    title: str
    citation: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found; evidence is for met or not-met, earliest first, date the earliest."""

    rule: Rule
    status: Status
    evidence: tuple[Evidence, ...] = ()

    @property
    def date(self) -> str | None:
        """Return the earliest clinical date of the evidence, as it was recorded."""
        return self.evidence[0].date if self.evidence else None


@dataclass(frozen=True, slots=True)
class ChildOutcome:
    """A child's outcome under one version of a measure, as known on a date.

    due: every outcome should be known by now (the child reached the measure's age); populations:
    codes of the measure's populations that the child is in, the reporting period aside; references
    are literal (`Type/id`); dates are FHIR dates, None where the record does not hold them; condition is
    the code of the case's condition, among those that the measure is about.
    """

    measure: str
    outcome_class: OutcomeClass
    due: bool
    due_on: str | None
    decided_by: Decision
    reason: Reason
    statement: str
    evidence: tuple[str, ...]
    findings: tuple[Finding, ...]
    populations: frozenset[str]
    patient: str
    case: str
    case_date: str
    hospital: str | None
    birth_date: str | None
    index_date: str | None
    used: tuple[str, ...]
    as_of: str
    condition: str | None = None


@dataclass(frozen=True, slots=True)
class NotAssessable:
    """A child with a case whose outcome cannot be told: the case, its hospital, and what is amiss."""

    case: str
    hospital: str | None
    reason: str


def cases(measure_url: str, record: Sequence[Resource], terminology: Terminology) -> list[Resource]:
    """List a child's cases of a measure, the earliest first and those without a full date last.

    Raises FhirError 404 for an unknown measure, and 422 for one without rules.
    """
    return cases_of(definition(measure_url), record, terminology)


def not_assessable(case: Resource, refusal: FhirError) -> NotAssessable:
    """Say of a child, by its first case, why `assess` refused its record."""
    return NotAssessable(reference(case), _hospital(case), str(refusal))


def assess(
    measure_url: str,
    record: Sequence[Resource],
    as_of: str,
    terminology: Terminology,
    parameters: Parameters = NONE,
) -> ChildOutcome:
    """Assess one child from all of the child's resources, as known on a date (YYYY-MM-DD).

    Resources dated after as_of do not count. Raises FhirError: 404 unknown measure; 422 where the
    measure's parameters are refused, or the record lacks its one Patient or its case; 400 for as_of.
    """
    refuse_without_parameters(measure(measure_url), parameters, as_of)
    rules = definition(measure_url)
    child = read(rules, record, as_of, terminology)
    due = _is_due(rules, child)
    findings = tuple(_find(rule, child, due) for rule in rules.rules)
    return _outcome(rules, child, findings, due)


def _is_due(rules: Definition, child: Record) -> bool:
    """Compare the age; where the birth date is missing, the case is at most as old as the child."""
    due_on = child.horizon_date or birthday(case_start(child.case), rules.horizon)
    return due_on <= child.as_of


def _find(rule: Rule, child: Record, due: bool) -> Finding:
    minimum: Any = []
    if rule.minimum_age is not None and child.birth_date is not None:
        minimum = as_date(birthday(child.birth_date, rule.minimum_age))
    variables = {"minimumDate": minimum}
    if met := child.evaluate(rule.met, variables):
        return Finding(rule, "met", evidence(met))
    if not_met := child.evaluate(rule.not_met, variables):
        return Finding(rule, "not-met", evidence(not_met))
    return Finding(rule, "unknown" if due else "not-due")


def _outcome(
    rules: Definition, child: Record, findings: tuple[Finding, ...], due: bool
) -> ChildOutcome:
    variables = _of_findings(findings, due)
    step = next(
        step for step in rules.class_rules if child.evaluate(step.criteria, variables) == [True]
    )
    decided = Decision(step.id, step.title, step.citation)
    outcome_class: Any = step.outcome_class
    deciding = findings
    met = [finding for finding in findings if finding.status == "met"]
    if met and outcome_class == "bad":
        first = min(met, key=lambda finding: (finding.date is None, finding.date))
        decided = Decision(first.rule.id, first.rule.title, first.rule.citation)
        deciding = (first,)
    reason = _reason(outcome_class, due)
    return ChildOutcome(
        measure=rules.canonical,
        outcome_class=outcome_class,
        due=due,
        due_on=child.horizon_date,
        decided_by=decided,
        reason=reason,
        statement=_statement(reason, deciding, findings, child),
        evidence=_references(deciding),
        findings=findings,
        populations=_populations(rules, child, {**variables, "class": outcome_class}),
        patient=reference(child.patient),
        case=reference(child.case),
        case_date=case_start(child.case),
        hospital=_hospital(child.case),
        birth_date=child.birth_date,
        index_date=child.index_date,
        used=_used(child, findings),
        as_of=child.as_of,
        condition=_condition(rules, child.case),
    )


def _condition(rules: Definition, case: Resource) -> str | None:
    wanted = {(each["system"], each["code"]) for each in focus(rules.canonical)}
    codings = (coding for concept in case.get("type", ()) for coding in concept.get("coding", ()))
    codes = (each["code"] for each in codings if (each.get("system"), each.get("code")) in wanted)
    return next(codes, None)


def _hospital(case: Resource) -> str | None:
    found: str | None = case.get("managingOrganization", {}).get("reference")
    return found


def _of_findings(findings: Sequence[Finding], due: bool) -> dict[str, Any]:
    def those(status: Status) -> list[str]:
        return [finding.rule.id for finding in findings if finding.status == status]

    return {
        "rules": [finding.rule.id for finding in findings],
        "met": those("met"),
        "notMet": those("not-met"),
        "unknown": those("unknown"),
        "notDue": those("not-due"),
        "due": due,
    }


def _reason(outcome_class: str, due: bool) -> Reason:
    if outcome_class == "bad":
        return "adverse-outcome"
    if outcome_class == "good":
        return "every-outcome-known"
    return "information-missing" if due else "not-yet-due"


def _statement(
    reason: Reason, deciding: Sequence[Finding], findings: Sequence[Finding], child: Record
) -> str:
    if reason == "adverse-outcome":
        finding = deciding[0]
        when = f" ({finding.date[:10]})" if finding.date else ""
        return f"{finding.rule.title}: {finding.rule.met.description}{when}."
    if reason == "every-outcome-known":
        return f"All {len(findings)} core outcomes are known, and none is met."
    index = [] if child.index_date else ["the index operation"]
    open_rules = [finding.rule.missing for finding in findings if not finding.evidence]
    missing = "; ".join(index + open_rules)
    if reason == "not-yet-due":
        when = child.horizon_date or "a date that cannot be told: the birth date is missing"
        return f"Not due before {when}. Open: {missing}."
    since = f" since {child.horizon_date}" if child.horizon_date else "; the birth date is missing"
    return f"Due{since}. Missing: {missing}."


def _populations(rules: Definition, child: Record, variables: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(
        code
        for code, criteria in rules.populations.items()
        if code == "initial-population" or child.evaluate(criteria, variables) == [True]
    )


def _references(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.reference for finding in findings for each in finding.evidence))


def _used(child: Record, findings: Sequence[Finding]) -> tuple[str, ...]:
    index = [each.reference for each in child.index]
    return tuple(
        dict.fromkeys(
            [reference(child.patient), reference(child.case), *index, *_references(findings)]
        )
    )
