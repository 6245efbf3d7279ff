"""The Bundles of an evaluation: one a child, or one of the reports of many.

https://hl7.org/fhir/R4/measurereport.html
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import outcome_engine
from fhir_server.context import Context, instant
from fhir_server.interactions.capabilities import release
from fhir_server.operations.evaluation_kept import KEPT_AT_ONCE, kept
from fhir_server.operations.evaluation_outcomes import Evaluated, case_mix_model
from outcome_engine import ChildOutcome, NotAssessable
from outcome_engine.reports.comparison import with_comparison
from outcome_engine.reports.groups import HOSPITAL
from r4.issue import Issue, operation_outcome
from r4.json import Resource

REGISTRY: Resource = {"display": "CSOR registry"}


async def bundles(context: Context, found: Evaluated, *, keep: bool) -> AsyncIterator[Resource]:
    """Yield a Bundle a child for individual reports, one Bundle for any other type.

    In each the reports come first. A child's has what they refer to after them where the child was asked
    for; that of a list has the reports of the children. With keep, the reports are stored.
    """
    if found.asked.type == "individual":
        async for bundle in _individual(context, found, keep=keep):
            yield bundle
    elif found.asked.type == "subject-list":
        yield await _lists(context, found, keep=keep)
    else:
        reports = await summaries(context, found)
        yield _bundle(context, await kept(context, reports, found.objections) if keep else reports)


def outcome(found: Evaluated) -> Resource | None:
    """Return an OperationOutcome that says of whom there is no report, and why; None where of nobody.

    That is of the children who could not be assessed, and of one who is asked for and has no case.
    """
    issues = [*map(_left_out, found.left_out()), *_without_case(found)]
    return operation_outcome(issues) if issues else None


async def summaries(context: Context, found: Evaluated) -> list[Resource]:
    """Return the summary reports: by each measure, of the nation and each hospital, of one, or of a Group."""
    made = []
    for measure in found.asked.measures:
        listed = await asyncio.to_thread(_summaries, context, found, measure)
        if found.asked.group is None:
            listed = await _compared(context, found, measure, listed)
        for report in listed:
            made.append(_with_provenance(context, found, report))
            await asyncio.sleep(0)
    return made


async def of_children(context: Context, found: Evaluated) -> list[Resource]:
    """Return each child's own report by each measure, the measures of a child together."""
    made: dict[str, list[Resource]] = {}
    for measure in found.asked.measures:
        for child in found.assessed(measure):
            made.setdefault(child.patient, []).append(_of_child(context, found, measure, child))
            await asyncio.sleep(0)
    return [report for reports in made.values() for report in reports]


async def lists(
    context: Context, found: Evaluated, reports: Mapping[tuple[str, str], str]
) -> list[Resource]:
    """Return the reports that list the children; reports maps a measure and a child to a reference."""
    made = []
    for measure in found.asked.measures:
        listed = {child: place for (of, child), place in reports.items() if of == measure}
        report = outcome_engine.subject_list_report(
            measure,
            found.outcomes[measure],
            listed,
            period=found.asked.period,
            reporter=_reporter(found.asked.hospital),
            now=instant(context.now()),
        )
        if found.asked.group is not None:
            report["subject"] = found.asked.group
        if hospital := found.asked.hospital:
            about = {"url": HOSPITAL, "valueReference": {"reference": hospital}}
            report["extension"].append(about)
        made.append(_with_provenance(context, found, report))
        await asyncio.sleep(0)
    return made


def place_of(context: Context, report: Resource) -> str:
    """Return the reference by which another resource names a report that is stored; or a new one."""
    return f"MeasureReport/{report['id']}" if "id" in report else f"urn:uuid:{context.new_id()}"


async def _individual(context: Context, found: Evaluated, *, keep: bool) -> AsyncIterator[Resource]:
    own = [list(each) for _, each in groupby(await of_children(context, found), _child)]
    for start in range(0, len(own), KEPT_AT_ONCE):
        some = own[start : start + KEPT_AT_ONCE]
        reports = [report for each in some for report in each]
        stored = await kept(context, reports, found.objections) if keep else reports
        for _, each in groupby(stored, _child):
            yield _of_one(context, found, list(each))


def _of_one(context: Context, found: Evaluated, reports: Sequence[Resource]) -> Resource:
    used = [each["reference"] for report in reports for each in report["evaluatedResource"]]
    known = [found.resources[each] for each in dict.fromkeys(used) if each in found.resources]
    return _bundle(context, reports, known)


def _child(report: Resource) -> str:
    found: str = report["subject"]["reference"]
    return found


async def _lists(context: Context, found: Evaluated, *, keep: bool) -> Resource:
    own = await of_children(context, found)
    own = await kept(context, own, found.objections) if keep else own
    places = {(report["measure"], _child(report)): place_of(context, report) for report in own}
    made = await lists(context, found, places)
    made = await kept(context, made, found.objections) if keep else made
    entries = [_entry(context, place_of(context, each), each) for each in made]
    entries += [
        _entry(context, place, each) for place, each in zip(places.values(), own, strict=True)
    ]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


async def _compared(
    context: Context, found: Evaluated, measure: str, listed: Sequence[Resource]
) -> Sequence[Resource]:
    """Return the summaries with how each compares, or why it does not; computed in a thread."""
    inside = [
        each
        for each in found.assessed(measure)
        if outcome_engine.in_period(each, found.asked.period)
    ]
    model, refusal = case_mix_model(context, measure, found.as_of)
    return await asyncio.to_thread(with_comparison, listed, inside, model, refusal)


def _summaries(context: Context, found: Evaluated, measure: str) -> Sequence[Resource]:
    asked, outcomes = found.asked, found.outcomes[measure]
    reporter, now = _reporter(asked.hospital), instant(context.now())
    if asked.group is not None:
        about = {"subject": asked.group, "date": now, "reporter": reporter}
        everyone = found.everyone[measure]
        return [
            outcome_engine.group_report(measure, outcomes, everyone, period=asked.period, who=about)
        ]
    who: dict[str, Any] = {"period": asked.period, "reporter": reporter, "now": now}
    hospitals = sorted({each.hospital for each in outcomes if each.hospital})
    if asked.hospital not in (None, *hospitals):
        empty = {"reference": asked.hospital}
        return [outcome_engine.summary_report(measure, outcomes, hospital=empty, **who)]
    places = [{"reference": each} for each in hospitals]
    made = outcome_engine.summary_reports(measure, outcomes, places, **who)
    # One that is asked for alone leaves as it does beside the others.
    return made if asked.hospital is None else [made[1 + hospitals.index(asked.hospital)]]


def _of_child(context: Context, found: Evaluated, measure: str, outcome: ChildOutcome) -> Resource:
    report = outcome_engine.individual_report(
        measure,
        outcome,
        subject={"reference": outcome.patient},
        period=found.asked.period,
        reporter={"reference": outcome.hospital} if outcome.hospital else REGISTRY,
        now=instant(context.now()),
    )
    text = found.texts[measure, outcome.patient]
    return _with_provenance(
        context, found, {"resourceType": "MeasureReport", "text": text, **report}
    )


def _with_provenance(context: Context, found: Evaluated, report: Resource) -> Resource:
    made_from = outcome_engine.provenance(
        report["measure"],
        snapshot=found.snapshot,
        software=f"CSOR {release()}",
        parameters=context.parameters,
    )
    known = [each for each in made_from if each not in report["extension"]]
    return {**report, "extension": [*report["extension"], *known]}


def _reporter(hospital: str | None) -> Resource:
    """Return who reports: the provider that was named, as DEQM has it, or else the registry."""
    return {"reference": hospital} if hospital else REGISTRY


def _left_out(child: NotAssessable) -> Issue:
    return Issue("warning", "incomplete", f"{child.case} is left out: {child.reason}")


def _without_case(found: Evaluated) -> Iterator[Issue]:
    if not found.asked.is_of_one:
        return
    for measure in found.asked.measures:
        if not found.outcomes[measure]:
            text = f"{(found.asked.subjects or ('',))[0]} has no case of {measure} in the period."
            yield Issue("information", "not-found", text, "Parameters.parameter('subject')")


def _bundle(
    context: Context, reports: Sequence[Resource], others: Sequence[Resource] = ()
) -> Resource:
    entries = [_entry(context, place_of(context, each), each) for each in reports]
    for each in others:
        entries.append(_entry(context, f"{each['resourceType']}/{each['id']}", each))
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def _entry(context: Context, place: str, resource: Resource) -> Resource:
    url = place if place.startswith("urn:") else f"{context.base_url}/{place}"
    return {"fullUrl": url, "resource": resource}
