"""Measure/$evaluate and R4's Measure/$evaluate-measure: children's and hospitals' MeasureReports.

A period means the date of the case. A POST stores the reports, a GET does not; what was at an earlier
moment (`_at`) is told and not stored.
http://hl7.org/fhir/uv/deqm/OperationDefinition/evaluate
https://hl7.org/fhir/R4/operation-measure-evaluate-measure.html
"""

import asyncio
from functools import partial

from fhir_server.context import Context
from fhir_server.operations.evaluation_asked import Asked, asked, refused
from fhir_server.operations.evaluation_kept import kept
from fhir_server.operations.evaluation_outcomes import evaluated
from fhir_server.operations.evaluation_reports import (
    bundles,
    lists,
    of_children,
    outcome,
    place_of,
    summaries,
)
from fhir_server.operations.objections import undisturbed
from fhir_server.operations.parameters import Input
from outcome_engine.reports.table import TABLES, rows
from r4.issue import FhirError, error
from r4.json import Resource


async def evaluate(context: Context, given: Input, *, keep: bool) -> Resource:
    """Return Parameters: a `return` for each child's Bundle, or one for the Bundle of a report of many.

    `outcome` names the children who cannot be assessed; a subject who cannot be is refused.
    Raises FhirError 400, 404 for what is unknown, and 422 naming what is lacking.
    """
    context = context.steady()
    wanted = asked(context, given)
    keep = keep and wanted.at is None
    return await undisturbed(context, partial(_evaluated, context, wanted, keep=keep))


async def _evaluated(context: Context, wanted: Asked, *, keep: bool) -> Resource:
    found = await evaluated(context, wanted)
    listed = [
        {"name": "return", "resource": bundle}
        async for bundle in bundles(context, found, keep=keep)
    ]
    if (left_out := outcome(found)) is not None:
        listed.append({"name": "outcome", "resource": left_out})
    made: Resource = {"resourceType": "Parameters"}
    return {**made, "parameter": listed} if listed else made


async def table(context: Context, given: Input, media_type: str) -> bytes:
    """Return the numbers of summary reports as a table (`reports.table.TABLES`), row by row as they say them.

    Raises FhirError 400 for another type of report, and otherwise as `evaluate` does.
    """
    context = context.steady()
    wanted = asked(context, given)
    if wanted.type != "summary":
        text = (
            "A table is of summaries: it names no child. Ask for FHIR, or for reportType summary."
        )
        raise refused("not-supported", text, "reportType")

    async def work() -> list[Resource]:
        return await summaries(context, await evaluated(context, wanted))

    reports = await undisturbed(context, work)
    return await asyncio.to_thread(TABLES[media_type], list(rows(reports)))


async def evaluate_measure(context: Context, given: Input, *, keep: bool) -> Resource:
    """Return the one report of R4's operation: a child's, a Group's, a hospital's or the nation's."""
    context = context.steady()
    wanted = asked(context, given)
    keep = keep and wanted.at is None
    _refuse_many(wanted, keep=keep)
    return await undisturbed(context, partial(_measured, context, wanted, keep=keep))


async def _measured(context: Context, wanted: Asked, *, keep: bool) -> Resource:
    found = await evaluated(context, wanted)
    if wanted.type == "subject-list":
        own = await kept(context, await of_children(context, found), found.objections)
        places = {(r["measure"], r["subject"]["reference"]): place_of(context, r) for r in own}
        reports = await lists(context, found, places)
    elif wanted.type == "individual":
        reports = await of_children(context, found)
    else:
        reports = (await summaries(context, found))[:1]
    if not reports:
        text = f"{(wanted.subjects or ('',))[0]} has no case of this measure in the period."
        raise FhirError(404, [error("not-found", text)])
    return (await kept(context, reports, found.objections))[0] if keep else reports[0]


def _refuse_many(wanted: Asked, *, keep: bool) -> None:
    """Raise FhirError 400 for what one MeasureReport cannot be the answer to."""
    if len(wanted.measures) > 1:
        text = "R4's operation has one measure; $evaluate takes several."
        raise refused("not-supported", text, "measure")
    if wanted.type == "individual" and not wanted.is_of_one:
        text = "An individual report needs a subject; $evaluate gives one for every child."
        raise refused("required", text, "subject")
    if wanted.type == "subject-list" and not keep:
        text = "The reports of a list's children must be somewhere: POST stores them, $evaluate adds them."
        raise refused("not-supported", text, "reportType")
