"""Microseconds to validate one resource, beside fhir.resources (R4B) building its model.

`python -m benchmarks.validate`
"""

import time
from collections.abc import Callable
from decimal import Decimal

from fhir.resources.R4B import get_fhir_model_class

from profiles.validate import Options, validate
from r4.json import Resource
from terminology import Terminology, systems

REPEATS = 7
UCUM_GRAM = {"unit": "g", "system": systems.UCUM, "code": "g"}
DIV = "http://www.w3.org/1999/xhtml"


def main() -> None:
    """Print one line for each resource: best of several runs, and the ratio."""
    terminology = Terminology.load()
    print(f"{'':26}{'validate':>10}{'R4B':>10}{'ratio':>8}")
    for name, (resource, options) in CASES.items():
        issues = validate(resource, terminology, options=options)
        if issues:
            raise SystemExit(f"{name} is not valid: {issues}")
        model = get_fhir_model_class(resource["resourceType"])
        ours = best(lambda r=resource, options=options: validate(r, terminology, options=options))
        theirs = best(lambda model=model, resource=resource: model.model_validate(resource))
        print(f"{name:26}{ours:10.1f}{theirs:10.1f}{theirs / ours:8.1f}")


def best(work: Callable[[], object]) -> float:
    """Return the microseconds of the fastest run, each of about a fifth of a second."""
    work()
    start = time.perf_counter()
    work()
    rounds = max(1, int(0.2 / max(time.perf_counter() - start, 1e-6)))
    runs = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(rounds):
            work()
        runs.append((time.perf_counter() - start) / rounds)
    return min(runs) * 1e6


def coded(system: str, code: str, text: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": text}], "text": text}


def reference(text: str, display: str) -> Resource:
    return {"reference": text, "display": display}


PATIENT: Resource = {
    "resourceType": "Patient",
    "id": "1",
    "meta": {"versionId": "1", "lastUpdated": "2026-01-05T09:30:00Z"},
    "text": {"status": "generated", "div": f'<div xmlns="{DIV}"><p>Fictitious child</p></div>'},
    "identifier": [
        {"use": "official", "system": systems.NHS_NUMBER, "value": "9990000018"},
        {
            "use": "usual",
            "type": coded(
                "http://terminology.hl7.org/CodeSystem/v2-0203", "MR", "Medical record number"
            ),
            "system": systems.local("RTH", "mrn"),
            "value": "12345",
        },
    ],
    "active": True,
    "name": [{"use": "official", "family": "Fictitious", "given": ["Ada", "Bea"]}],
    "telecom": [{"system": "phone", "value": "07700 900000", "use": "mobile"}],
    "gender": "female",
    "birthDate": "2026-01-05",
    "address": [{"use": "home", "line": ["1 Example Street"], "postalCode": "OX3 9DU"}],
    "contact": [{"name": {"family": "Fictitious"}, "telecom": [{"system": "phone", "value": "0"}]}],
    "generalPractitioner": [reference("Practitioner/1", "Dr Example")],
    "managingOrganization": reference("Organization/RTH", "Oxford"),
}
OBSERVATION: Resource = {
    "resourceType": "Observation",
    "id": "1",
    "meta": {"versionId": "1", "lastUpdated": "2026-01-05T09:30:00Z"},
    "identifier": [{"system": systems.local("RTH", "result"), "value": "77-1"}],
    "status": "final",
    "category": [
        coded(
            "http://terminology.hl7.org/CodeSystem/observation-category",
            "vital-signs",
            "Vital Signs",
        )
    ],
    "code": coded(systems.SNOMED_CT, "364589006", "Birth weight"),
    "subject": reference("Patient/1", "Fictitious child"),
    "encounter": reference("Encounter/1", "Birth"),
    "effectiveDateTime": "2026-01-05T09:30:00+00:00",
    "issued": "2026-01-05T10:00:00.000Z",
    "performer": [reference("Practitioner/1", "A midwife")],
    "valueQuantity": {"value": Decimal("3100.0"), **UCUM_GRAM},
    "interpretation": [
        coded("http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "N", "Normal")
    ],
    "referenceRange": [{"low": {"value": 2500, **UCUM_GRAM}, "high": {"value": 4000, **UCUM_GRAM}}],
}
PROCEDURE: Resource = {
    "resourceType": "Procedure",
    "id": "1",
    "identifier": [{"system": systems.local("RTH", "procedure"), "value": "88-1"}],
    "status": "completed",
    "code": coded(systems.OPCS_4, "H41.1", "Procedure"),
    "subject": reference("Patient/1", "Fictitious child"),
    "encounter": reference("Encounter/1", "Operation"),
    "performedPeriod": {"start": "2026-03-02T09:00:00Z", "end": "2026-03-02T11:30:00Z"},
    "performer": [{"actor": reference("Practitioner/1", "A surgeon")}],
    "reasonReference": [reference("Condition/1", "Diagnosis")],
}
RESPONSE: Resource = {
    "resourceType": "QuestionnaireResponse",
    "id": "1",
    "questionnaire": "https://csor.example/fhir/Questionnaire/example|0.1.0",
    "status": "completed",
    "subject": reference("Patient/1", "Fictitious child"),
    "authored": "2026-03-02T12:00:00Z",
    "item": [
        {
            "linkId": f"group-{group}",
            "text": f"Group {group}",
            "item": [
                {
                    "linkId": f"{group}.{question}",
                    "text": f"Question {question}",
                    "answer": [
                        {"valueCoding": {"system": systems.SNOMED_CT, "code": f"{question}"}}
                        if question % 2
                        else {"valueString": "as said"}
                    ],
                }
                for question in range(10)
            ],
        }
        for group in range(10)
    ],
}
WEIGHT: Resource = {
    **OBSERVATION,
    "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/bodyweight"]},
    "code": coded(systems.LOINC, "29463-7", "Body weight"),
}
ALL, ERRORS = Options(), Options(warnings=False)
CASES = {
    "Patient": (PATIENT, ALL),
    "Observation": (OBSERVATION, ALL),
    "Observation, errors only": (OBSERVATION, ERRORS),
    "Observation, R4 bodyweight": (WEIGHT, ALL),
    "Procedure": (PROCEDURE, ALL),
    "QuestionnaireResponse, 100": (RESPONSE, ALL),
}
"""Each with what is asked for; a profile is that of meta.profile, with those it is derived from."""

if __name__ == "__main__":
    main()
