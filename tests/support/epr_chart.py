"""The chart of a fictitious EPR: one child who is about to have a pull-through, and who cares for it.

What a note's form asks for is there, as a hospital would have it: the child's numbers, the stay with its
team, the order of the operation, the diagnosis, an earlier operation, the anaesthetist's ASA grade.
"""

from datetime import datetime, timedelta
from typing import Any

from terminology.systems import (
    CHI_NUMBER,
    CSOR,
    GMC_NUMBER,
    ICD_10,
    NHS_NUMBER,
    ODS_ORGANIZATION,
    OPCS_4,
    SNOMED_CT,
)

Chart = dict[str, dict[str, Any]]
"""Resources by their place, as Patient/child."""

HOSPITAL = "RTH"
NHS = "9990007012"
GMC = "9999993"
_MRN = "https://epr.example/id/mrn"
_VISIT = "https://epr.example/id/visit"
_ROLE = f"{CSOR}/CodeSystem/operative-note"
_PART = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_NUMBER = "http://terminology.hl7.org/CodeSystem/v2-0203"
_CHILD = {"reference": "Patient/child", "display": "Wren TESTCHILD"}
_STAY = {"reference": "Encounter/stay"}


def chart(now: datetime) -> Chart:
    """Return the resources of the EPR at a moment: the operation was to begin two hours ago."""
    begun = _minute(now - timedelta(hours=2))
    listed = [*_people(), _stay(begun), _order(begun), *_record(now), *_stranger()]
    return {f"{each['resourceType']}/{each['id']}": each for each in listed}


def _people() -> list[dict[str, Any]]:
    team = [("anaesthetist", "Ines", "Demo-Anaesthetist"), ("assistant", "Aled", "Demo-Assistant")]
    return [
        {
            "resourceType": "Patient",
            "id": "child",
            "meta": {"versionId": "3"},
            "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"/>'},
            "identifier": [
                {"system": NHS_NUMBER, "value": NHS},
                {
                    "type": {"coding": [{"system": _NUMBER, "code": "MR"}]},
                    "system": _MRN,
                    "value": "A700701",
                },
            ],
            "active": True,
            "name": [{"use": "official", "family": "Testchild", "given": ["Wren"]}],
            "gender": "female",
            "birthDate": "2026-06-14",
            "address": [{"postalCode": "ZZ99 3WZ"}],
        },
        {
            "resourceType": "Practitioner",
            "id": "surgeon",
            "identifier": [{"system": GMC_NUMBER, "value": GMC}],
            "name": [{"prefix": ["Ms"], "given": ["Sana"], "family": "Demo-Surgeon"}],
        },
        *(
            {"resourceType": "Practitioner", "id": id, "name": [{"given": [given], "family": last}]}
            for id, given, last in team
        ),
        {
            "resourceType": "Organization",
            "id": "trust",
            "identifier": [{"system": ODS_ORGANIZATION, "value": HOSPITAL}],
            "name": "Demo Children's Hospital",
        },
    ]


def _stay(begun: str) -> dict[str, Any]:
    parts = [
        ("PPRF", None, "surgeon", "Ms Sana Demo-Surgeon"),
        ("SPRF", "assistant", "assistant", "Mr Aled Demo-Assistant"),
        ("PART", "anaesthetist", "anaesthetist", "Dr Ines Demo-Anaesthetist"),
    ]
    return {
        "resourceType": "Encounter",
        "id": "stay",
        "identifier": [{"system": _VISIT, "value": "V-7001"}],
        "status": "in-progress",
        "class": {
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
            "code": "IMP",
            "display": "inpatient encounter",
        },
        "subject": _CHILD,
        "participant": [
            {
                "type": [
                    {
                        "coding": [
                            {"system": _PART, "code": code},
                            *([{"system": _ROLE, "code": role}] if role else []),
                        ]
                    }
                ],
                "individual": {"reference": f"Practitioner/{who}", "display": name},
            }
            for code, role, who, name in parts
        ],
        "period": {"start": begun},
        "serviceProvider": {"reference": "Organization/trust"},
    }


def _order(begun: str) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest",
        "id": "order",
        "status": "active",
        "intent": "order",
        "priority": "routine",
        "code": {"text": "Pull-through for Hirschsprung disease"},
        "subject": _CHILD,
        "encounter": _STAY,
        "occurrenceDateTime": begun,
        "requester": {"reference": "Practitioner/surgeon"},
    }


def _record(now: datetime) -> list[dict[str, Any]]:
    state = "http://terminology.hl7.org/CodeSystem/condition-"
    proven = {"coding": [{"system": f"{state}ver-status", "code": "confirmed"}]}
    wrong = {"coding": [{"system": f"{state}ver-status", "code": "entered-in-error"}]}
    active = {"coding": [{"system": f"{state}clinical", "code": "active"}]}
    diagnosis = [{"system": ICD_10, "code": "Q43.1"}, {"system": SNOMED_CT, "code": "204739008"}]
    return [
        {
            "resourceType": "Condition",
            "id": "hirschsprung",
            "clinicalStatus": active,
            "verificationStatus": proven,
            "code": {"coding": diagnosis, "text": "Hirschsprung disease, proven by biopsy"},
            "subject": _CHILD,
        },
        {
            "resourceType": "Condition",
            "id": "mistake",
            "verificationStatus": wrong,
            "code": {"text": "Somebody else's diagnosis"},
            "subject": _CHILD,
        },
        {
            "resourceType": "Procedure",
            "id": "stoma",
            "status": "completed",
            "code": {"coding": [{"system": OPCS_4, "code": "H15.1"}]},
            "subject": _CHILD,
            "performedDateTime": (now - timedelta(days=90)).date().isoformat(),
        },
        {
            "resourceType": "Observation",
            "id": "asa",
            "status": "final",
            "code": {"coding": [{"system": SNOMED_CT, "code": "302132005"}]},
            "subject": _CHILD,
            "encounter": {"reference": "https://epr.example/elsewhere/Encounter/9"},
            "effectiveDateTime": _minute(now - timedelta(days=1)),
            "valueCodeableConcept": {"coding": [{"system": SNOMED_CT, "code": "413496000"}]},
        },
        {
            "resourceType": "Observation",
            "id": "weight",
            "status": "final",
            "code": {"text": "Weight, which no form asks for"},
            "subject": _CHILD,
            "effectiveDateTime": _minute(now - timedelta(days=1)),
        },
    ]


def _stranger() -> list[dict[str, Any]]:
    """Return another child, with what must never be shown with the first; and one without a number."""
    return [
        {
            "resourceType": "Patient",
            "id": "stranger",
            "identifier": [{"system": CHI_NUMBER, "value": "1401169902"}],
            "name": [{"family": "Stranger"}],
            "birthDate": "2016-01-14",
        },
        {
            "resourceType": "Condition",
            "id": "strangers",
            "code": {"text": "A stranger's diagnosis"},
            "subject": {"reference": "Patient/stranger"},
        },
        {
            "resourceType": "Patient",
            "id": "unnumbered",
            "name": [{"family": "Newborn"}],
            "birthDate": "2026-11-22",
        },
    ]


def _minute(moment: datetime) -> str:
    return moment.replace(second=0, microsecond=0).isoformat()
