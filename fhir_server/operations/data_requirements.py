"""Measure/[id]/$data-requirements: what data a measure is computed from, as its definition has it.

https://hl7.org/fhir/R4/measure-operation-data-requirements.html
"""

import outcome_engine
from fhir_server.operations.evaluation_asked import measures_of, period_of, refused
from fhir_server.operations.parameters import Input, Kinds
from outcome_engine.definitions.requirements import requirements
from r4.json import Resource

NAMES: Kinds = {
    "measureUrl": "string",
    "measure": "string",
    "periodStart": "date",
    "periodEnd": "date",
}


def data_requirements(given: Input) -> Resource:
    """Return a Library of type module-definition, made mechanically from the measure's definition.

    Raises FhirError 400 for a period that is not two dates in order, 404 for an unknown measure, and 422
    for one that cannot be computed.
    """
    measure, *others = measures_of(given)
    if others:
        text = "What data are needed is said of one measure: ask for each."
        raise refused("not-supported", text, "measureUrl")
    if "periodStart" not in given and "periodEnd" not in given:
        return requirements(measure)
    period = period_of(given)
    outcome_engine.check_period(period)
    return requirements(measure, period.start, period.end)
