"""Measure/$evaluate and R4's Measure/$evaluate-measure: children's and hospitals' MeasureReports.

A period means the date of the case. A POST stores the reports, a GET does not. Not supported:
reportType subject-list, practitioner, subjectGroup, lastReceivedOn.
https://hl7.org/fhir/R4/operation-measure-evaluate-measure.html
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

import outcome_engine
from fhir_server.context import Context, instant
from fhir_server.interactions.targets import find
from fhir_server.interactions.transaction import transaction
from fhir_server.operations.parameters import Input, required
from fhir_server.store import read as store
from outcome_engine import ChildOutcome, Period
from r4.issue import FhirError, error
from r4.json import Resource, decode
from terminology.systems import CSOR

NAMES = ("measureUrl", "measure", "periodStart", "periodEnd", "reportType", "subject", "reporter")
RECORD = ("EpisodeOfCare", "Condition", "Encounter", "Procedure", "Observation")
REPORT = f"{CSOR}/sid/measure-report"
REGISTRY: Resource = {"display": "CSOR registry"}
TYPES = {
    "individual": "individual",
    "subject": "individual",
    "summary": "summary",
    "population": "summary",
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """An evaluation: measure, period, report type, and the one child or hospital it is about."""

    measure: str
    period: Period
    type: str
    subject: str | None
    hospital: str | None


async def evaluate(context: Context, given: Input, *, keep: bool) -> Resource:
    """Return a Bundle of reports: one a child, or one for the nation and one for each hospital.

    Raises FhirError 404 for an unknown measure, and 422 naming what a measure needs and lacks.
    """
    reports = await _reports(context, _asked(context, given))
    if keep:
        reports = await _kept(context, reports)
    entries = [{"resource": report} for report in reports]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


async def evaluate_measure(context: Context, given: Input, *, keep: bool) -> Resource:
    """Return the one report of R4's operation: a child's, a hospital's (reporter) or the nation's."""
    asked = _asked(context, given)
    if asked.type == "individual" and asked.subject is None:
        text = "An individual report needs a subject; $evaluate gives one for every child."
        raise FhirError(400, [error("required", text, "Parameters.parameter('subject')")])
    reports = (await _reports(context, asked))[:1]
    if not reports:
        text = f"{asked.subject or asked.hospital} has no case of this measure in the period."
        raise FhirError(404, [error("not-found", text)])
    return (await _kept(context, reports))[0] if keep else reports[0]


def _asked(context: Context, given: Input) -> _Asked:
    kind = given.get("reportType") or ("individual" if given.get("subject") else "summary")
    if kind not in TYPES:
        text = f"reportType {kind!r} is not supported; supported: {', '.join(TYPES)}."
        raise FhirError(400, [error("not-supported", text, "Parameters.parameter('reportType')")])
    return _Asked(
        _measure(given),
        Period(required(given, "periodStart"), required(given, "periodEnd")),
        TYPES[kind],
        _one(context, given.get("subject"), "Patient"),
        _one(context, given.get("reporter"), "Organization"),
    )


def _measure(given: Input) -> str:
    if identifier := given.get("measureId"):
        return next(
            (url for url, found in outcome_engine.measures().items() if found["id"] == identifier),
            f"Measure/{identifier}",
        )
    url: str = given.get("measureUrl") or required(given, "measure")
    return url


def _one(context: Context, reference: object, resource_type: str) -> str | None:
    """Return the literal reference that a parameter means; raises FhirError 404 where nobody is."""
    if reference is None:
        return None
    text = reference["reference"] if isinstance(reference, dict) else str(reference)
    kind, _, criteria = text.partition("?")
    if criteria and kind == resource_type:
        _, found = find(context, resource_type, criteria)
        ids = [stored.id for stored in found]
    else:
        ids = list(store.existing(context.database, resource_type, [text.rpartition("/")[2]]))
    if len(ids) != 1:
        raise FhirError(404, [error("not-found", f"{text} is not known here.")])
    return f"{resource_type}/{ids[0]}"


async def _reports(context: Context, asked: _Asked) -> list[Resource]:
    outcomes = [outcome async for outcome in _outcomes(context, asked)]
    now = instant(context.now())
    if asked.type == "individual":
        return [_individual(asked, outcome, now) for outcome in outcomes]
    hospitals: list[str | None] = [asked.hospital]
    if asked.hospital is None:
        hospitals += sorted({outcome.hospital for outcome in outcomes if outcome.hospital})
    return [
        outcome_engine.summary_report(
            asked.measure,
            outcomes,
            hospital={"reference": hospital} if hospital else None,
            period=asked.period,
            reporter=REGISTRY,
            now=now,
        )
        for hospital in hospitals
    ]


async def _outcomes(context: Context, asked: _Asked) -> AsyncIterator[ChildOutcome]:
    """Assess each child whose case began in the period; others are served between two children."""
    as_of = instant(context.now())[:10]
    for patients in _children(context, asked):
        outcome = outcome_engine.assess(
            asked.measure, _record(context, patients), as_of, context.terminology
        )
        if outcome_engine.in_period(outcome, asked.period):
            yield outcome
        await asyncio.sleep(0)


def _children(context: Context, asked: _Asked) -> Iterable[list[str]]:
    """Yield, for each child with a case, the child's Patient and those it has replaced."""
    systems = (f"{c['system']}|{c['code']}" for c in outcome_engine.focus(asked.measure))
    criteria = {"type": ",".join(systems)}
    if asked.subject:
        criteria["patient"] = asked.subject
    if asked.hospital:
        criteria["organization"] = asked.hospital
    seen: set[str] = set()
    for stored in store.every(context.database, "EpisodeOfCare", urlencode(criteria)):
        patient = _surviving(context, decode(stored.body)["patient"]["reference"])
        if patient[0] not in seen:
            seen.add(patient[0])
            yield patient


def _surviving(context: Context, reference: str) -> list[str]:
    """Return the ids of a person's records, the one that stands first."""
    found = store.current(context.database, "Patient", reference.rpartition("/")[2])
    links = decode(found.body).get("link", []) if found else []
    for link in links:
        if link["type"] == "replaced-by":
            return _surviving(context, link["other"]["reference"])
    replaced = [
        link["other"]["reference"].rpartition("/")[2]
        for link in links
        if link["type"] == "replaces"
    ]
    return [reference.rpartition("/")[2], *replaced]


def _record(context: Context, patients: list[str]) -> list[Resource]:
    """Return the standing Patient and all else that is stored of the child, under any of its ids."""
    patient = store.current(context.database, "Patient", patients[0])
    criteria = urlencode({"patient": ",".join(f"Patient/{each}" for each in patients)})
    found = [patient] if patient else []
    for kind in RECORD:
        found += store.every(context.database, kind, criteria)
    return [decode(stored.body) for stored in found]


def _individual(asked: _Asked, outcome: ChildOutcome, now: str) -> Resource:
    return outcome_engine.individual_report(
        asked.measure,
        outcome,
        subject={"reference": outcome.patient},
        period=asked.period,
        reporter={"reference": outcome.hospital} if outcome.hospital else REGISTRY,
        now=now,
    )


async def _kept(context: Context, reports: list[Resource]) -> list[Resource]:
    """Store the reports, each in place of the one before it for the same measure, period and subject."""
    numbered = [_numbered(report) for report in reports]
    entries = [
        {
            "resource": report,
            "request": {
                "method": "PUT",
                "url": f"MeasureReport?{urlencode({'identifier': _token(report)})}",
            },
        }
        for report in numbered
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    response = await transaction(context, bundle)
    places = (entry["response"]["location"].split("/")[1] for entry in response["entry"])
    return [
        {"resourceType": "MeasureReport", "id": place, **report}
        for place, report in zip(places, numbered, strict=True)
    ]


def _numbered(report: Resource) -> Resource:
    about = report.get("subject") or next(
        (
            e["valueReference"]
            for e in report["extension"]
            if e["url"].endswith("/outcome-hospital")
        ),
        {"reference": "national"},
    )
    period = report["period"]
    value = "/".join(
        (report["measure"].rpartition("/")[2], period["start"], period["end"], about["reference"])
    )
    return {**report, "identifier": [{"system": REPORT, "value": value}]}


def _token(report: Resource) -> str:
    identifier = report["identifier"][0]
    value = identifier["value"].replace("|", r"\|")
    return f"{identifier['system']}|{value}"
