"""The resources that validation is measured with. Nobody in them exists."""

from decimal import Decimal
from pathlib import Path

import profiles
from r4.json import Resource, decode
from terminology import systems

UCUM_GRAM = {"unit": "g", "system": systems.UCUM, "code": "g"}
DIV = "http://www.w3.org/1999/xhtml"
MEASURED = Path(profiles.__file__).parent / "examples/csor-birth-weight/valid/measured.json"
FORM = "https://csor.example/fhir/Questionnaire/example"


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
    "basedOn": [reference("ServiceRequest/1", "Weigh the child")],
    "code": coded(systems.SNOMED_CT, "364589006", "Birth weight"),
    "subject": reference("Patient/1", "Fictitious child"),
    "encounter": reference("Encounter/1", "Birth"),
    "effectiveDateTime": "2026-01-05T09:30:00+00:00",
    "issued": "2026-01-05T10:00:00.000Z",
    "performer": [reference("Practitioner/1", "A midwife")],
    "valueQuantity": {"value": Decimal("3100.0"), **UCUM_GRAM},
    "device": reference("Device/1", "Electronic scales"),
    "method": {"text": "Weighed without clothes"},
    "note": [{"time": "2026-01-05T10:00:00Z", "text": "Weighed twice; the first was not legible"}],
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
    "questionnaire": f"{FORM}|0.1.0",
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
BIRTH_WEIGHT: Resource = {
    **decode(MEASURED.read_bytes()),
    **{
        name: OBSERVATION[name]
        for name in (
            *("basedOn", "category", "encounter", "issued", "interpretation", "device", "method"),
            *("note", "referenceRange"),
        )
    },
}
"""The registry's own example of a birth weight, with what else senders write."""
QUESTIONNAIRE: Resource = {
    "resourceType": "Questionnaire",
    "url": FORM,
    "version": "0.1.0",
    "status": "active",
    "item": [
        {
            "linkId": f"group-{group}",
            "type": "group",
            "item": [
                {
                    "linkId": f"{group}.{question}",
                    "type": "choice",
                    "answerOption": [
                        {"valueCoding": {"system": systems.SNOMED_CT, "code": f"{option}"}}
                        for option in range(10)
                    ],
                }
                if question % 2
                else {"linkId": f"{group}.{question}", "type": "string"}
                for question in range(10)
            ],
        }
        for group in range(10)
    ],
}
"""The form that RESPONSE answers: ten groups of ten questions, half of them with ten options."""
