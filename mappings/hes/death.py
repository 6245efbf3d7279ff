"""A child's death: what the registry knows of it, and the entries that tell it what a linked file says.

https://hl7.org/fhir/R4/patient-definitions.html#Patient.deceased_x_
"""

from datetime import date
from hashlib import sha256
from urllib.parse import quote

from mappings.hes.bundle import STATEMENT
from mappings.merge import MERGE, MERGE_DELETE
from r4.json import Resource, encode

_DAY = len("2026-01-01")


def day_of_death(patient: Resource) -> date | None:
    """Return the day on which a Patient has died; None where no day is known, or none of death."""
    said = str(patient.get("deceasedDateTime", ""))[:_DAY]
    return date.fromisoformat(said) if len(said) == _DAY else None


def is_other(patient: Resource, died: date) -> bool:
    """Tell whether what a Patient says of the death contradicts a day; a year or month may hold it."""
    said = str(patient.get("deceasedDateTime", ""))[:_DAY]
    return not str(died).startswith(said)


def entries(patient: Resource, version: int, died: date, source: str, now: str) -> list[Resource]:
    """Return the entries that give a Patient, at a version, its day of death, with their Provenance.

    source: the name of the file; now: an instant. What else is known of the Patient stays; a moment of
    that day stays too. Then only the mark goes that nothing but a discharge told of the death.
    """
    place = f"Patient/{patient['id']}"
    kept = patient["deceasedDateTime"] if day_of_death(patient) else str(died)
    told = {"resourceType": "Patient", "id": patient["id"], "deceasedDateTime": kept}
    request = {
        "method": "PUT",
        "url": place,
        "ifMatch": f'W/"{version}"',
        "extension": [
            {"url": MERGE, "valueBoolean": True},
            {"url": MERGE_DELETE, "valueString": "deceasedBoolean"},
        ],
    }
    statement = sha256(encode([place, str(died), "death"])).hexdigest()
    provenance: Resource = {
        "resourceType": "Provenance",
        "target": [{"reference": place}],
        "recorded": now,
        "agent": [{"who": {"display": "Mortality records of the Office for National Statistics"}}],
        "entity": [
            {
                "role": "source",
                "what": {
                    "identifier": {"system": STATEMENT, "value": statement},
                    "display": source,
                },
            }
        ],
    }
    once = f"entity:identifier={quote(STATEMENT, safe=':/')}|{statement}"
    posted = {"method": "POST", "url": "Provenance", "ifNoneExist": once}
    return [{"resource": told, "request": request}, {"resource": provenance, "request": posted}]
