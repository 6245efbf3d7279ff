"""What the tests of FHIRPath Patch are made of: a patient, patches, and how they are applied."""

from copy import deepcopy
from typing import Any

import pytest

from r4 import fhirpath
from r4.issue import FhirError
from r4.patch import fhirpath_patch

BIRTH_TIME = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "1",
    "contained": [{"resourceType": "Organization", "id": "o", "name": "Old"}],
    "extension": [{"url": "http://example.org/a", "valueString": "x"}],
    "identifier": [
        {"system": "http://example.org", "value": "1", "use": "usual"},
        {"system": "http://example.org", "value": "1", "use": "old"},
    ],
    "active": True,
    "name": [
        {
            "family": "Example",
            "given": ["Ada", None, "Ada"],
            "_given": [
                None,
                {"extension": [{"url": "http://example.org/b", "valueCode": "c"}]},
                {},
            ],
        }
    ],
    "birthDate": "2018-01-21",
    "_birthDate": {"extension": [{"url": BIRTH_TIME, "valueDateTime": "2018-01-21T08:00:00Z"}]},
    "deceasedBoolean": False,
    "managingOrganization": {"reference": "#o"},
}
GIVEN = "Patient.name.given"


def operation(type: str, path: str, **parts: Any) -> Any:
    """An operation; value and its kind as `value={"valueString": "x"}`, indices as integers."""
    held = [{"name": "type", "valueCode": type}, {"name": "path", "valueString": path}]
    for name, part in parts.items():
        if isinstance(part, int):
            held.append({"name": name, "valueInteger": part})
        else:
            held.append({"name": name, "valueString": part} if isinstance(part, str) else
                        {"name": name, **part})  # fmt: skip
    return {"name": "operation", "part": held}


def parameters(*operations: Any) -> Any:
    return {"resourceType": "Parameters", "parameter": list(operations)}


def patched(*operations: Any, resource: Any = PATIENT) -> Any:
    patch = parameters(*operations)
    before = deepcopy((resource, patch))
    try:
        return fhirpath_patch.apply(resource, patch)
    finally:
        assert (resource, patch) == before


def refused(*operations: Any, resource: Any = PATIENT) -> tuple[int, str, str]:
    """Apply, expecting failure: the status, the code, and the part that the issue leads to."""
    with pytest.raises(FhirError) as caught:
        patched(*operations, resource=resource)
    (issue,) = caught.value.issues
    assert issue.diagnostics
    assert issue.expression is not None
    found = fhirpath.evaluate(issue.expression, parameters(*operations))
    return caught.value.status, issue.code, found[0].get("name", "") if found else ""


def parts(**given: Any) -> Any:
    return {"part": [{"name": name, **part} for name, part in given.items()]}
