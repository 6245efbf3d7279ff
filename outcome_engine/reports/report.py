"""Outcomes as MeasureReports: one child's, and a hospital's or the nation's.

https://hl7.org/fhir/R4/measurereport.html, with the rules of hl7.fhir.uv.deqm 1.0.0 that apply
without its package: versioned measure, day-precise period, scoring once, improvement notation,
linkId of groups and populations, no evaluated resources in a summary.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from outcome_engine.assessment.assess import ChildOutcome, Finding, NotAssessable
from outcome_engine.assessment.care import Care
from outcome_engine.assessment.record import case_start, is_dated
from outcome_engine.definitions.definition import measure, outline
from outcome_engine.definitions.values import Definition
from outcome_engine.expressions.syntax import MILLION, facts_of
from outcome_engine.extensions import EXTENSION
from outcome_engine.parameter_files.parameter_file import (
    NONE,
    ParameterFile,
    Parameters,
    refuse_without_parameters,
)
from outcome_engine.reports import disclosure
from outcome_engine.reports.apart import far_means, far_strata, refuse_near
from outcome_engine.reports.groups import HOSPITAL, Form, Lists, group, illustrative
from outcome_engine.reports.score import score_of
from r4.dates import is_date
from r4.issue import FhirError, error
from r4.json import Resource
from terminology.systems import CSOR

_SCORING = "http://hl7.org/fhir/uv/deqm/StructureDefinition/deqm-measureScoring"
_CRITERIA = "http://hl7.org/fhir/StructureDefinition/cqf-criteriaReference"
_LIMITATIONS = "http://hl7.org/fhir/uv/cqm/StructureDefinition/cqm-limitations"
_DAY = len("2018-01-31")
_SEVERAL = 2
"""Hospitals of which one could be computed from the nation and the others."""


class Period(NamedTuple):
    """A reporting period: two full dates, both included, compared with the date of the case."""

    start: str
    end: str


def check(
    measure_url: str, period: Period, parameters: Parameters = NONE, as_of: str = "9999-12-31"
) -> None:
    """Raise FhirError, before any child is assessed, where no report could be made of any.

    404 unknown measure; 422 where the measure's parameters, on the date of the report, or its rules are
    absent; 400 for a period that is not two full dates in order.
    """
    refuse_without_parameters(measure(measure_url), parameters, as_of)
    outline(measure_url)
    check_period(period)


def individual_report(
    measure_url: str,
    outcome: ChildOutcome,
    *,
    subject: Resource,
    period: Period,
    reporter: Resource,
    now: str,
) -> Resource:
    """Build the individual MeasureReport of a child's outcome.

    subject and reporter are Reference elements; now is a dateTime. Raises FhirError 404 or 422 like
    `assess`, and 400 for a period that is not two full dates in order.
    """
    rules = outline(measure_url)
    who = {"subject": subject, "date": now, "reporter": reporter}
    inside = _inside([outcome], check_period(period))
    report = _report(rules, "individual", inside, period, who, Form())
    report["extension"] += [_result(outcome), *(_finding(each) for each in outcome.findings)]
    report["extension"] += [_care(each) for each in outcome.care]
    report["extension"] += score_of(outcome)
    report["evaluatedResource"] = _evaluated(rules, outcome)
    return report


def summary_report(
    measure_url: str,
    outcomes: Iterable[ChildOutcome | NotAssessable],
    *,
    hospital: Resource | None,
    period: Period,
    reporter: Resource,
    now: str,
) -> Resource:
    """Build the summary MeasureReport of a hospital (a Reference) or, with None, of the nation.

    Counts the outcomes whose case began in the period and, for a hospital, is managed by it; of those
    that are not assessable, which are given only where the period is theirs, the number alone. A
    hospital's report leaves with the disclosure rule applied; a national one is exact but for what it
    says of hospitals and for means of few. Raises FhirError like `individual_report`.
    """
    exact = _summary(measure_url, outcomes, hospital, period, {"date": now, "reporter": reporter})
    return disclosure.disclose_hospitals(exact) if hospital is None else disclosure.disclose(exact)


def summary_reports(
    measure_url: str,
    outcomes: Sequence[ChildOutcome | NotAssessable],
    hospitals: Sequence[Resource],
    *,
    period: Period,
    reporter: Resource,
    now: str,
) -> list[Resource]:
    """Build the summary MeasureReports of the nation and of hospitals (References), in that order.

    They leave together: what is masked in one cannot be computed from the others. This may take a while,
    and is not for an event loop. Raises FhirError like `individual_report`.
    """
    who = {"date": now, "reporter": reporter}
    exact = [_summary(measure_url, outcomes, each, period, who) for each in (None, *hospitals)]
    if len(hospitals) < _SEVERAL:
        nation = disclosure.disclose_hospitals(exact[0], beside=exact[1:])
        return [nation, *(disclosure.disclose(each, beside=exact) for each in exact[1:])]
    return disclosure.disclose_all(exact)


def _summary(
    measure_url: str,
    outcomes: Iterable[ChildOutcome | NotAssessable],
    hospital: Resource | None,
    period: Period,
    who: Resource,
) -> Resource:
    """Build the exact report of a hospital or, with None, of the nation."""
    about = [each for each in outcomes if hospital is None or _is_of(each, hospital)]
    if hospital is None:
        form = Form(with_interval=True, strata=("condition", "year", "hospital"))
        return _many(measure_url, about, period, who, form)
    form = Form(with_interval=True, strata=("condition", "year"))
    report = _many(measure_url, about, period, who, form)
    report["extension"].append({"url": HOSPITAL, "valueReference": hospital})
    return report


def group_report(
    measure_url: str,
    outcomes: Sequence[ChildOutcome | NotAssessable],
    everyone: Sequence[ChildOutcome | NotAssessable],
    *,
    period: Period,
    who: Resource,
) -> Resource:
    """Build the summary MeasureReport of a Group's members, whose outcomes are given.

    who: the report's subject (a Reference to the Group), date and reporter; everyone: the outcomes of all
    hospitals' children, members among them. It leaves with the disclosure rule applied, like a hospital's
    beside that of all other children, and without strata that would tell of few. Raises FhirError like
    `individual_report`, and 422 where the whole would tell of few.
    """
    few = disclosure.HES.mask_below
    members, all_inside = (
        _inside(_assessed(each), check_period(period)) for each in (outcomes, everyone)
    )
    refuse_near(members, all_inside, few)
    strata = far_strata(("condition", "year"), members, all_inside, few)
    form = Form(with_interval=True, strata=strata)
    inside = {_key(each) for each in outcomes}
    rest = [each for each in everyone if _key(each) not in inside]
    exact, others, nation = (
        _many(measure_url, each, period, who, form) for each in (outcomes, rest, everyone)
    )
    means = far_means(strata, members, all_inside, few)
    return disclosure.disclose_group(exact, others, nation, means)


def subject_list_report(
    measure_url: str,
    outcomes: Iterable[ChildOutcome | NotAssessable],
    reports: Mapping[str, str],
    *,
    period: Period,
    reporter: Resource,
    now: str,
) -> Resource:
    """Build the MeasureReport that counts as a summary does and lists the children of each population.

    reports maps each child's Patient (`Patient/id`) to the reference of the child's own MeasureReport,
    which the contained Lists hold. The counts are exact: it is for those who may see the children.
    Raises FhirError like `individual_report`.
    """
    lists = Lists(reports)
    form = Form(with_interval=True, strata=("condition", "year", "hospital"), lists=lists)
    who = {"date": now, "reporter": reporter}
    report = _many(measure_url, list(outcomes), period, who, form)
    return {"resourceType": "MeasureReport", "contained": lists.contained(), **report}


def provenance(
    measure_url: str, *, snapshot: str, software: str, parameters: Parameters = NONE
) -> list[Resource]:
    """Say what a report was made from, so that it can be made again: extensions of the report.

    The measure and its libraries with their versions; version and digest of the signed parameters, and
    whether these are made up; snapshot: the instant (UTC) as of which stored data were read; software:
    name and version of what computed. Raises FhirError like `check`.
    """
    found = measure(measure_url)
    file = parameters.of(found, snapshot[:_DAY])
    made = _complex(
        "report-provenance",
        [
            {"url": "measure", "valueCanonical": f"{found['url']}|{found['version']}"},
            *({"url": "library", "valueCanonical": each} for each in found.get("library", ())),
            *([] if file is None else _parameters(file)),
            {"url": "snapshot", "valueInstant": snapshot},
            {"url": "software", "valueString": software},
        ],
    )
    if file is None or not file.fictitious:
        return [made]
    return [made, illustrative()]


def _parameters(file: ParameterFile[Any]) -> list[Resource]:
    return [
        {"url": "parameters", "valueString": file.version},
        {"url": "parametersDigest", "valueString": file.digest},
    ]


def in_period(outcome: ChildOutcome, period: Period) -> bool:
    """Tell whether a child's case began in a period, both of its days included."""
    return period.start <= outcome.case_date <= period.end


def may_begin_in(cases: Sequence[Resource], period: Period) -> bool:
    """Tell of a child's cases, as `cases` lists them, whether the child's may have begun in a period.

    The first full date decides; without one, any case whose date is compatible with the period.
    """
    decisive = cases[:1] if cases and is_dated(cases[0]) else cases
    return any(_may_begin_in(case_start(case), period) for case in decisive)


def _may_begin_in(start: str, period: Period) -> bool:
    known = len(start)
    return period.start[:known] <= start <= period.end[:known]


def check_period(period: Period) -> Period:
    """Return a period that is two full dates in order; raises FhirError 400 for any other."""
    full = all(len(day) == _DAY and is_date(day) for day in period)
    if not full or period.start > period.end:
        message = f"The period `{period.start}` to `{period.end}` is not two full dates in order."
        name = "periodEnd" if is_date(period.start) else "periodStart"
        raise FhirError(400, [error("value", message, f"Parameters.parameter('{name}')")])
    return period


def _is_of(outcome: ChildOutcome | NotAssessable, hospital: Resource) -> bool:
    wanted: str = hospital["reference"]
    return outcome.hospital == wanted


def _many(
    measure_url: str,
    about: Sequence[ChildOutcome | NotAssessable],
    period: Period,
    who: Resource,
    form: Form,
) -> Resource:
    rules = outline(measure_url)
    counted = _assessed(about)
    kind = "summary" if form.lists is None else "subject-list"
    report = _report(rules, kind, _inside(counted, check_period(period)), period, who, form)
    left_out = len(about) - len(counted)
    report["extension"].append({"url": disclosure.NOT_ASSESSABLE, "valueInteger": left_out})
    return report


def _assessed(outcomes: Iterable[ChildOutcome | NotAssessable]) -> list[ChildOutcome]:
    return [each for each in outcomes if isinstance(each, ChildOutcome)]


def _key(outcome: ChildOutcome | NotAssessable) -> str:
    return outcome.patient if isinstance(outcome, ChildOutcome) else outcome.case


def _inside(outcomes: Iterable[ChildOutcome], period: Period) -> list[ChildOutcome]:
    return [each for each in outcomes if in_period(each, period)]


def _report(
    rules: Definition,
    kind: str,
    outcomes: Sequence[ChildOutcome],
    period: Period,
    who: Resource,
    form: Form,
) -> Resource:
    found = rules.measure
    if rules.observation is not None and rules.observation.type == "decimal":
        form = replace(form, scale=MILLION)
    return {
        "resourceType": "MeasureReport",
        "extension": [
            {"url": _SCORING, "valueCodeableConcept": found["scoring"]},
            {"url": _LIMITATIONS, "valueMarkdown": found["disclaimer"]},
        ],
        "status": "complete",
        "type": kind,
        "measure": rules.canonical,
        **who,
        "period": {"start": period.start, "end": period.end},
        "improvementNotation": found["improvementNotation"],
        "group": [group(found["group"][0], outcomes, form)],
    }


def _evaluated(rules: Definition, outcome: ChildOutcome) -> list[Resource]:
    """Name what was read, and for which populations: for one that all are in, the child and the case."""
    who = {outcome.patient, outcome.case}
    return [
        {
            "extension": [
                {"url": _CRITERIA, "valueString": code}
                for code, criteria in rules.populations.items()
                if used in who or facts_of(criteria)
            ],
            "reference": used,
        }
        for used in outcome.used
    ]


def _result(outcome: ChildOutcome) -> Resource:
    decided = outcome.decided_by
    return _complex(
        "outcome-result",
        [
            {"url": "class", "valueCoding": _coding("outcome-class", outcome.outcome_class)},
            {"url": "reason", "valueCoding": _coding("outcome-reason", outcome.reason)},
            {"url": "statement", "valueString": outcome.statement},
            {"url": "rule", "valueCode": decided.id},
            {"url": "ruleTitle", "valueString": decided.title},
            {"url": "citation", "valueString": decided.citation},
            {"url": "asOf", "valueDate": outcome.as_of},
            *_date("dueOn", outcome.due_on),
            *_date("indexDate", outcome.index_date),
            *_evidence(outcome.evidence),
        ],
    )


def _care(care: Care) -> Resource:
    """Say which other hospital cared for the child; its stays are not what the class rests on."""
    stays = [{"reference": each.reference} for each in care.encounters]
    return {
        "url": EXTENSION + "report-care",
        "extension": [
            {"url": "hospital", "valueReference": {"reference": care.hospital}},
            *({"url": "encounter", "valueReference": stay} for stay in stays),
        ],
    }


def _finding(finding: Finding) -> Resource:
    date = [] if finding.date is None else [{"url": "date", "valueString": finding.date}]
    return _complex(
        "outcome-finding",
        [
            {"url": "rule", "valueCode": finding.rule.id},
            {"url": "title", "valueString": finding.rule.title},
            {"url": "finding", "valueCoding": _coding("outcome-finding", finding.status)},
            {"url": "citation", "valueString": finding.rule.citation},
            *date,
            *_evidence([each.reference for each in finding.evidence]),
        ],
    )


def _evidence(references: Iterable[str]) -> list[Resource]:
    return [{"url": "evidence", "valueReference": {"reference": each}} for each in references]


def _date(url: str, value: str | None) -> list[Resource]:
    return [] if value is None else [{"url": url, "valueDate": value}]


def _coding(system: str, code: str) -> Resource:
    return {"system": f"{CSOR}/CodeSystem/{system}", "code": code}


def _complex(name: str, parts: list[Resource]) -> Resource:
    return {"url": EXTENSION + name, "extension": parts}
