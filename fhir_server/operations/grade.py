"""Observation/[id]/$grade: the grade of a stored post-operative event, derived and not stored.

Defined by OperationDefinition-Observation-grade.
"""

from fhir_server.context import Context
from fhir_server.interactions.read import read
from fhir_server.operations.parameters import Input, Kinds
from outcome_engine.assessment import clavien
from r4.issue import FhirError, error
from r4.json import Resource, decode
from terminology.systems import CSOR

NAMES: Kinds = {"grading": "code"}
_GRADES = f"{CSOR}/CodeSystem/clavien-dindo"
_DINDO, _MADADI = "clavien-dindo", "clavien-madadi"


def grade(context: Context, given: Input, resource_id: str) -> Resource:
    """Return Parameters with the Clavien-Dindo grade of an event, as a Coding and as surgeons write it.

    Raises FhirError 404 or 410 where there is no such Observation, 400 for another grading, 422 where
    the grade is open or the Observation no event, and 422 for Clavien-Madadi, which is not computed.
    """
    grading = given.get("grading", _DINDO)
    if grading not in (_DINDO, _MADADI):
        text = f"There is no grading {grading!r}; there are: {_DINDO}, {_MADADI}."
        raise FhirError(400, [error("code-invalid", text, "Parameters.parameter('grading')")])
    event = decode(read(context, "Observation", resource_id).body)
    if grading == _MADADI:
        clavien.clavien_madadi(event)
    found = clavien.clavien_dindo(event)
    coding = {"system": _GRADES, "code": found.code, "display": found.display}
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "grade", "valueCoding": coding},
            {"name": "presentAtDischarge", "valueBoolean": found.suffix},
            {"name": "label", "valueString": found.label},
        ],
    }
