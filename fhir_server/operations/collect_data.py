"""Measure/$collect-data: the data that measures are computed from, so that another registry can compute.

http://hl7.org/fhir/uv/deqm/OperationDefinition/collect-data
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

import outcome_engine
from fhir_server.context import Context, instant
from fhir_server.operations.evaluation_asked import NAMES as EVALUATION
from fhir_server.operations.evaluation_asked import Asked, asked
from fhir_server.operations.evaluation_outcomes import concerned
from fhir_server.operations.evaluation_reports import REGISTRY
from fhir_server.operations.objections import undisturbed
from fhir_server.operations.parameters import Input, Kinds
from fhir_server.operations.past import settled
from fhir_server.store import read as store
from fhir_server.store.seen import used
from fhir_server.store.uses import EXTRACTING
from r4.json import Resource, decode

NAMES: Kinds = {name: kind for name, kind in EVALUATION.items() if name != "reportType"}
_UPDATE = "http://hl7.org/fhir/uv/deqm/StructureDefinition/deqm-submitDataUpdateType"


async def collect_data(context: Context, given: Input) -> Resource:
    """Return Parameters: a `return` for each child, a Bundle of a MeasureReport a measure and the data.

    The data are what the measures read: the child's Patients and cases, and what was observed and done;
    and the hospitals that the cases name. Raises FhirError as `$evaluate` does.
    """
    wanted = replace(asked(context, given), type="individual")
    return await undisturbed(context, partial(_collected, context, wanted))


async def _collected(context: Context, wanted: Asked) -> Resource:
    context = replace(context, database=used(context.database, EXTRACTING))
    moment = wanted.at or await settled(context)
    found: dict[str, tuple[list[str], dict[str, Resource]]] = {}
    for measure in wanted.measures:
        async for record in concerned(context, wanted, measure, moment):
            measures, resources = found.setdefault(_patient(record), ([], {}))
            if not wanted.hospital or wanted.hospital in _hospitals(record):
                measures.append(measure)
                resources |= {_place(each): each for each in record}
    listed = [
        {"name": "return", "resource": _bundle(context, wanted, patient, measures, resources)}
        for patient, (measures, resources) in found.items()
        if patient and measures
    ]
    made: Resource = {"resourceType": "Parameters"}
    return {**made, "parameter": listed} if listed else made


def _bundle(
    context: Context,
    wanted: Asked,
    patient: str,
    measures: Sequence[str],
    resources: dict[str, Resource],
) -> Resource:
    hospitals = _hospitals(resources.values())
    keys = [("Organization", each.partition("/")[2]) for each in sorted(hospitals)]
    known = (store.current(context.database, kind, key) for kind, key in keys)
    data = [decode(each.body) for each in known if each is not None and not each.deleted]
    data += resources.values()
    reports = [_report(context, wanted, measure, patient, data) for measure in measures]
    entries = [
        {"fullUrl": f"urn:uuid:{context.new_id()}", "resource": report} for report in reports
    ]
    entries += [
        {"fullUrl": f"{context.base_url}/{_place(each)}", "resource": each} for each in data
    ]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def _report(
    context: Context, wanted: Asked, measure: str, patient: str, data: Sequence[Resource]
) -> Resource:
    own = sorted(_hospitals(data))
    return {
        "resourceType": "MeasureReport",
        "extension": [{"url": _UPDATE, "valueCode": "snapshot"}],
        "status": "complete",
        "type": "data-collection",
        "measure": outcome_engine.canonical(measure),
        "subject": {"reference": patient},
        "date": instant(context.now()),
        "reporter": {"reference": own[0]} if len(own) == 1 else REGISTRY,
        "period": {"start": wanted.period.start, "end": wanted.period.end},
        "evaluatedResource": [{"reference": _place(each)} for each in data],
    }


def _patient(record: Sequence[Resource]) -> str:
    """Return the Patient that stands for a child: the active one, else the first; of nobody, nothing."""
    patients = [each for each in record if each["resourceType"] == "Patient"]
    active = [each for each in patients if each.get("active") is not False]
    return next((_place(each) for each in [*active, *patients]), "")


def _hospitals(resources: Iterable[Resource]) -> set[str]:
    """Return the hospitals that manage the cases among some resources."""
    return {
        each["managingOrganization"]["reference"]
        for each in resources
        if "reference" in each.get("managingOrganization", {})
    }


def _place(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"
