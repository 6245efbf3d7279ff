"""Summaries that count a child about whom somebody objects are made anew, in place of what they were.

The mark of an objection (`outcomes_stale`) says which; the report that takes its place has none, so that
what a server had not made anew when it ended is found by the next one.
"""

import outcome_engine
from fhir_server.context import Context
from fhir_server.interactions.delete import delete
from fhir_server.operations.evaluate import evaluate
from fhir_server.operations.outcomes_stale import HOSPITAL, OBJECTED, OUTCOMES, summaries
from fhir_server.operations.parameters import Input
from fhir_server.store import read as store
from r4.issue import FhirError
from r4.json import Resource, decode

_REFUSED = 500
"""Statuses below are a refusal by what is asked, which another attempt does not change."""


async def remake(context: Context) -> int:
    """Make the summaries anew that count a child about whom somebody objects; returns how many."""
    by = context.asked_by(OUTCOMES)
    marked = [
        report
        for measure in outcome_engine.measures()
        for report in summaries(context, measure)
        if _is_marked(context, report)
    ]
    asked: list[Input] = []
    for report in marked:
        if _asked(report) not in asked:  # a hospital's is made with all the others'
            asked.append(_asked(report))
            await _remade(by, asked[-1])
        hospital = _of_hospital(report)
        if hospital is not None and _is_marked(context, report):  # it has no other child
            await _remade(by, {**_asked(report), "provider": hospital})
        if _is_marked(context, report):  # nothing takes its place
            await delete(by, "MeasureReport", report["id"])
    return len(marked)


async def _remade(context: Context, asked: Input) -> None:
    try:
        await evaluate(context, asked, keep=True)
    except FhirError as refusal:
        if refusal.status >= _REFUSED:
            raise


def _asked(report: Resource) -> Input:
    """Return what a report was asked for by: with all hospitals', where it was made with them."""
    period = report["period"]
    asked: Input = {
        "measureUrl": [report["measure"]],
        "periodStart": period["start"],
        "periodEnd": period["end"],
        "reportType": report["type"],
    }
    if "reference" in report.get("subject", {}):
        asked["subject"] = report["subject"]["reference"]
    elif report["type"] == "subject-list" and (hospital := _of_hospital(report)):
        asked["provider"] = hospital
    return asked


def _of_hospital(report: Resource) -> str | None:
    listed = (e for e in report.get("extension", ()) if e["url"] == HOSPITAL)
    return next((each["valueReference"]["reference"] for each in listed), None)


def _is_marked(context: Context, report: Resource) -> bool:
    """Tell whether a report still has the mark, as it stands."""
    found = store.current(context.database, "MeasureReport", report["id"])
    if found is None or found.deleted:
        return False
    return any(each["url"] == OBJECTED for each in decode(found.body).get("extension", ()))
