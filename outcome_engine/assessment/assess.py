"""One child's outcome: each rule's finding, the class, and the rule that decided.

The rules and their combination are data: `libraries/Library-*.json`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from outcome_engine import civil
from outcome_engine.assessment import score_found
from outcome_engine.assessment.care import Care, elsewhere
from outcome_engine.assessment.record import Record, case_start, hospital, read, reference
from outcome_engine.assessment.record import cases as cases_of
from outcome_engine.assessment.rows import Evidence, evidence, ordered
from outcome_engine.assessment.score_found import ScoreFound
from outcome_engine.definitions.definition import definition, focus_of, measure, outline
from outcome_engine.definitions.values import ClassRule, Definition, Evident, Rule
from outcome_engine.expressions.syntax import facts_of
from outcome_engine.parameter_files.parameter_file import NONE, ParameterFile, Parameters
from r4.issue import FhirError
from r4.json import Resource
from terminology import Terminology

Status = Literal["met", "not-met", "unknown", "not-due"]
Reason = Literal[
    "adverse-outcome",
    "every-outcome-known",
    "not-yet-due",
    "information-missing",
    "score-reaches-cut",
    "score-below-cut",
]


@dataclass(frozen=True, slots=True)
class Decision:
    """The rule that decided an outcome: its id, what it says, and where it comes from."""

    id: str
    title: str
    citation: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found; evidence is for met or not-met, earliest first.

    description: what it says of it; dated: the date that the rule itself gives, if it does.
    """

    rule: Rule
    status: Status
    evidence: tuple[Evidence, ...] = ()
    description: str = ""
    dated: str | None = None

    @property
    def date(self) -> str | None:
        """Return the rule's date, or the earliest clinical date of the evidence, as recorded."""
        if self.rule.date is not None:
            return self.dated
        return self.evidence[0].date if self.evidence else None


@dataclass(frozen=True, slots=True)
class Known:
    """A fact that is reported: an attribute of a score or a factor of case-mix.

    value is what both back ends have: an integer (days, seconds or millionths), a text, a boolean,
    or None where it is not known; type says which. unread: where it is not known, the measurements
    whose unit is not converted.
    """

    id: str
    title: str
    citation: str
    type: str
    value: int | str | bool | None
    evidence: tuple[Evidence, ...]
    unread: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class ChildOutcome:
    """A child's outcome under one version of a measure, as known on a date.

    due: every outcome should be known by now; populations: codes of the measure's populations that
    the child is in, the reporting period aside; observation: what `measure-observation` observes,
    scaled like a fact; references are literal (`Type/id`); dates are FHIR dates, None where the
    record does not hold them; condition is the code of the case's condition, among those that the
    measure is about; care is that of other hospitals than the case's, until all should be known.
    """

    measure: str
    outcome_class: str
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
    observation: int | None = None
    attributes: tuple[Known, ...] = ()
    factors: tuple[Known, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    parameters: ParameterFile[Any] | None = None
    condition: str | None = None
    score: ScoreFound | None = None
    care: tuple[Care, ...] = ()


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
    return cases_of(outline(measure_url), record, terminology)


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
    file = parameters.of(measure(measure_url), as_of)
    found = assess_by(definition(measure_url, file), record, as_of, terminology)
    if file is None:
        return found
    return _scored(replace(found, parameters=file), file)


def assess_by(
    rules: Definition, record: Sequence[Resource], as_of: str, terminology: Terminology
) -> ChildOutcome:
    """Assess one child by a definition that was read; raises FhirError like `assess`, but for 404."""
    child = read(rules, record, as_of, terminology)
    due = rules.due is None or child.facts["due"]
    findings = tuple(_find(rule, child, due) for rule in rules.rules)
    found = _outcome(rules, child, findings, due)
    begin = min(found.case_date, found.index_date or found.case_date)
    end = min(found.due_on or found.as_of, found.as_of)
    return replace(found, care=elsewhere(record, found.hospital, begin, end))


def _scored(found: ChildOutcome, file: ParameterFile[Any]) -> ChildOutcome:
    """Say of a score what an outcome by rules says of its rules."""
    values = {each.id: each.value for each in found.attributes}
    titles = {each.id: each.title for each in found.attributes}
    score = score_found.found(file, values)
    evidence = [each.reference for known in found.attributes for each in known.evidence]
    used = tuple(dict.fromkeys(evidence))
    reason = found.reason
    if score is not None:
        reason = "score-reaches-cut" if score.good else "score-below-cut"
    return replace(
        found,
        reason=reason,
        score=score,
        statement=score_found.statement(file, values, titles, score, found.due_on, due=found.due),
        evidence=used if score is not None else (),
        used=tuple(dict.fromkeys([*found.used, *used])),
    )


def _find(rule: Rule, child: Record, due: bool) -> Finding:
    dated = None if rule.date is None else child.day(rule.date)
    sides: tuple[tuple[Status, Evident], ...] = (("met", rule.met), ("not-met", rule.not_met))
    for status, side in sides:
        if side.expression is not None:
            if child.value(side.expression) is True:
                found = child.read_by(side.expression)
                return Finding(rule, status, found, side.description, dated)
        elif selected := _selected(side, child):
            return Finding(rule, status, selected[0], selected[1], dated)
    return Finding(rule, "unknown" if due else "not-due")


def _selected(side: Evident, child: Record) -> tuple[tuple[Evidence, ...], str] | None:
    """Return what the selections find, and the description of the first that finds anything."""
    found: list[Evidence] = []
    description = ""
    for selection in side.selections:
        rows = child.rows.select(selection, child.facts)
        if rows:
            description = description or selection.description
            found += evidence(selection.view, rows)
    return (ordered(found), description) if found else None


def _outcome(
    rules: Definition, child: Record, findings: tuple[Finding, ...], due: bool
) -> ChildOutcome:
    child.facts.update(_of_findings(findings))
    step = next(each for each in rules.class_rules if child.value(each.criteria) is True)
    child.facts["class"] = step.outcome_class
    decided, deciding = _deciding(rules, step, findings)
    reason = _reason(step.outcome_class, due)
    return ChildOutcome(
        measure=rules.canonical,
        outcome_class=step.outcome_class,
        due=due,
        due_on=child.due_on,
        decided_by=decided,
        reason=reason,
        statement=_statement(reason, step, deciding, findings, child),
        evidence=_references(deciding),
        findings=findings,
        populations=_populations(rules, child),
        patient=reference(child.patient),
        case=reference(child.case),
        case_date=case_start(child.case),
        hospital=_hospital(child.case),
        birth_date=child.birth_date,
        index_date=child.index_date,
        used=_used(child, findings),
        as_of=child.as_of,
        observation=None if rules.observation is None else child.value(rules.observation),
        attributes=_known(child, "attribute"),
        factors=_known(child, "factor"),
        facts=dict(child.facts),
        condition=_condition(rules, child.case),
    )


def _condition(rules: Definition, case: Resource) -> str | None:
    wanted = {(each["system"], each["code"]) for each in focus_of(rules.measure)}
    codings = (coding for concept in case.get("type", ()) for coding in concept.get("coding", ()))
    codes = (each["code"] for each in codings if (each.get("system"), each.get("code")) in wanted)
    return min(codes, default=None)


def _hospital(case: Resource) -> str | None:
    return hospital(case.get("managingOrganization", {}))


def _of_findings(findings: Sequence[Finding]) -> dict[str, Any]:
    statuses = {finding.rule.id: finding.status for finding in findings}
    return {
        **statuses,
        "rules": len(findings),
        "rulesMet": list(statuses.values()).count("met"),
        "rulesNotMet": list(statuses.values()).count("not-met"),
    }


def _deciding(
    rules: Definition, step: ClassRule, findings: tuple[Finding, ...]
) -> tuple[Decision, tuple[Finding, ...]]:
    """Return what decided: of a bad outcome the earliest adverse rule that is met, else the step."""
    met = [each for each in findings if each.status == "met" and each.rule in rules.adverse]
    if met and step.outcome_class == "bad":
        first = min(met, key=lambda finding: (finding.date is None, finding.date))
        return Decision(first.rule.id, first.rule.title, first.rule.citation), (first,)
    return Decision(step.id, step.title, step.citation), findings


def _reason(outcome_class: str, due: bool) -> Reason:
    if outcome_class == "bad":
        return "adverse-outcome"
    if outcome_class == "good":
        return "every-outcome-known"
    return "information-missing" if due else "not-yet-due"


def _statement(
    reason: Reason,
    step: ClassRule,
    deciding: Sequence[Finding],
    findings: Sequence[Finding],
    child: Record,
) -> str:
    if reason == "adverse-outcome" and len(deciding) == 1 and deciding[0].status == "met":
        finding = deciding[0]
        when = f" ({civil.said(finding.date)})" if finding.date else ""
        return f"{finding.rule.title}: {finding.description}{when}."
    decides = step is not child.definition.class_rules[-1]
    if decides or reason in ("adverse-outcome", "every-outcome-known"):
        return step.statement
    event = child.definition.index
    index = [event.title] if event is not None and child.index_date is None else []
    open_rules = [each.rule.missing for each in findings if each.status in ("unknown", "not-due")]
    missing = "; ".join(index + open_rules)
    if reason == "not-yet-due":
        unknown = f"a date that cannot be told: {_undated(child)} is missing"
        when = civil.said(child.due_on) if child.due_on else unknown
        return f"Not due before {when}. Open: {missing}."
    since = (
        f" since {civil.said(child.due_on)}" if child.due_on else f"; {_undated(child)} is missing"
    )
    return f"Due{since}. Missing: {missing}."


def _undated(child: Record) -> str:
    """Say what is missing for the date on which a child's outcomes are due."""
    due, event = child.definition.due, child.definition.index
    read = frozenset() if due is None else facts_of(due.date)
    if "birthDate" in read and child.birth_date is None:
        return "the birth date"
    if event is not None and "indexDate" in read and child.index_date is None:
        return event.title
    titles = [fact.title for fact in child.definition.facts if fact.id in read and fact.title]
    return titles[0] if titles else "what it is counted from"


def _populations(rules: Definition, child: Record) -> frozenset[str]:
    return frozenset(
        code for code, criteria in rules.populations.items() if child.value(criteria) is True
    )


def _known(child: Record, role: str) -> tuple[Known, ...]:
    return tuple(
        Known(
            fact.id,
            fact.title,
            fact.citation,
            fact.type,
            child.facts[fact.id],
            child.evidence.get(fact.id, ())
            if fact.expression is None
            else child.read_by(fact.expression),
            tuple(
                each
                for name in sorted(child.definition.origins[fact.id])
                for each in child.unread.get(name, ())
            ),
        )
        for fact in child.definition.facts
        if fact.role == role
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
