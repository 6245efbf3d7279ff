"""A child's death: what the registry knows of it, and the entries that tell it what a linked file says.

https://hl7.org/fhir/R4/patient-definitions.html#Patient.deceased_x_
"""

from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from mappings.hes.bundle import STATEMENT
from mappings.merge import MERGE, MERGE_DELETE
from r4.json import Resource, encode
from terminology import systems

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
    that day stays too. Then only the mark goes that nothing but a discharge told of the death. The
    day as it is registered is kept beside it, as by `registered`.
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
    observed = _observed(place, died)
    said = _said(place, died, (place, observed["fullUrl"]), source, now)
    return [{"resource": told, "request": request}, observed, said]


def registered(patient: Resource, died: date, source: str, now: str) -> list[Resource]:
    """Return the entries that keep the day of death as it is registered, the Patient untouched.

    An Observation `death-registered`, one for a Patient, with its Provenance: measures count by it,
    and show where the hospitals told another day (docs/measures.md).
    """
    place = f"Patient/{patient['id']}"
    observed = _observed(place, died)
    return [observed, _said(place, died, (observed["fullUrl"],), source, now)]


def _observed(place: str, died: date) -> Resource:
    value = sha256(encode([place, "death-registered"])).hexdigest()
    code = {"system": f"{systems.CSOR}/CodeSystem/outcome-observation", "code": "death-registered"}
    observation: Resource = {
        "resourceType": "Observation",
        "identifier": [{"system": STATEMENT, "value": value}],
        "status": "final",
        "code": {"coding": [code]},
        "subject": {"reference": place},
        "effectiveDateTime": str(died),
        "valueBoolean": True,
    }
    once = f"Observation?identifier={quote(STATEMENT, safe=':/')}|{value}"
    request = {"method": "PUT", "url": once}
    urn = f"urn:uuid:{uuid5(NAMESPACE_URL, f'{STATEMENT}|{value}')}"
    return {"fullUrl": urn, "resource": observation, "request": request}


def _said(place: str, died: date, targets: Sequence[str], source: str, now: str) -> Resource:
    """Return the entry of the Provenance, stored once for one day of one Patient."""
    statement = sha256(encode([place, str(died), "death"])).hexdigest()
    provenance: Resource = {
        "resourceType": "Provenance",
        "target": [{"reference": target} for target in targets],
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
    return {"resource": provenance, "request": posted}
