"""Measure/$care-gaps: what is missing of children's data, a document for each child.

A gap is one of data: no advice on anybody's care.
http://hl7.org/fhir/uv/deqm/OperationDefinition/care-gaps
"""

import asyncio
from dataclasses import replace
from functools import partial

import outcome_engine
from fhir_server.context import Context
from fhir_server.operations.care_gaps_document import Section, document
from fhir_server.operations.care_gaps_found import gaps
from fhir_server.operations.evaluation_asked import NAMES as EVALUATION
from fhir_server.operations.evaluation_asked import Asked, asked, refused
from fhir_server.operations.evaluation_outcomes import evaluated
from fhir_server.operations.evaluation_reports import of_children, outcome
from fhir_server.operations.objections import undisturbed
from fhir_server.operations.parameters import Input, Kinds, missing
from r4.json import Resource

NAMES: Kinds = {
    **{name: kind for name, kind in EVALUATION.items() if name not in ("reportType", "_at")},
    "status": "string",
    "isDocument": "boolean",
}
STATUSES = ("open-gap", "closed-gap")


async def care_gaps(context: Context, given: Input) -> Resource:
    """Return Parameters: a `return` for each child with a gap of a status that is asked for, a document.

    `outcome` names the children who cannot be assessed. Raises FhirError 400 for a status, or a form of
    the answer, that there is not, and otherwise as `$evaluate` does.
    """
    context = context.steady()
    statuses = _statuses(given)
    wanted: Asked = replace(asked(context, given), type="care-gaps")
    return await undisturbed(context, partial(_care_gaps, context, wanted, statuses))


async def _care_gaps(context: Context, wanted: Asked, statuses: frozenset[str]) -> Resource:
    found = await evaluated(context, wanted)
    reports = {
        (each["measure"], each["subject"]["reference"]): each
        for each in await of_children(context, found)
    }
    sections: dict[str, list[Section]] = {}
    for measure in wanted.measures:
        inside = (
            each
            for each in found.assessed(measure)
            if outcome_engine.in_period(each, wanted.period)
        )
        for child in inside:
            status, listed = gaps(context, child, found.resources)
            if status in statuses:
                report = reports[measure, child.patient]
                section = Section(report, status, tuple(listed))
                sections.setdefault(child.patient, []).append(section)
            await asyncio.sleep(0)
    parameters = [
        {"name": "return", "resource": document(context, child, each, found.resources)}
        for child, each in sections.items()
    ]
    if (left_out := outcome(found)) is not None:
        parameters.append({"name": "outcome", "resource": left_out})
    made: Resource = {"resourceType": "Parameters"}
    return {**made, "parameter": parameters} if parameters else made


def _statuses(given: Input) -> frozenset[str]:
    """Return the statuses that are asked for; raises FhirError 400 for none, and for what is not served."""
    if "status" not in given:
        raise missing("status")
    if unknown := [each for each in given["status"] if each not in STATUSES]:
        text = f"status {unknown[0]!r} is not supported; supported: {', '.join(STATUSES)}."
        raise refused("not-supported", text, "status")
    if given.get("isDocument") is False:
        text = "isDocument=false is not supported: each child's gaps are a document."
        raise refused("not-supported", text, "isDocument")
    return frozenset(given["status"])
