"""The coded entries of a section: diagnoses as Conditions, measurements as Observations.

Most senders have none: then the section is its narrative. Observations may stand in acts and organizers.
"""

from collections.abc import Iterator
from typing import Any

from mappings.cda.datatypes import V3, concept, first, moment, path, quantity
from mappings.cda.tables import sections
from r4.json import Resource

_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_HL7 = "http://terminology.hl7.org/CodeSystem"


def coded(section: Any, date: str) -> Iterator[Resource]:
    """Yield what the entries of a section say, without identifier and subject; once for each code."""
    code = first(section, "code")
    row = sections().get("" if code is None else code.get("code", ""))
    if row is None or not row["Becomes"]:
        return
    build = _condition if row["Becomes"] == "Condition" else _observation
    seen: list[Resource] = []
    for entry in path(section, "entry"):
        for observation in entry.iter(f"{V3}observation"):
            found = None if observation.get("negationInd") == "true" else build(observation, date)
            if found is not None and found not in seen:
                seen.append(found)
                yield found


def _condition(observation: Any, date: str) -> Resource | None:
    value = first(observation, "value")
    code = concept(value)
    if code is None or "coding" not in code:
        return None
    return {
        "resourceType": "Condition",
        "clinicalStatus": _coded("condition-clinical", "active"),
        "verificationStatus": _coded("condition-ver-status", "confirmed"),
        "category": [_coded("condition-category", "encounter-diagnosis")],
        "code": code,
        "recordedDate": date,
    }


def _coded(system: str, code: str) -> Resource:
    return {"coding": [{"system": f"{_HL7}/{system}", "code": code}]}


def _observation(observation: Any, date: str) -> Resource | None:
    code, value = concept(first(observation, "code")), first(observation, "value")
    if code is None or "coding" not in code or value is None:
        return None
    head: Resource = {
        "resourceType": "Observation",
        "status": "final",
        "code": code,
        "effectiveDateTime": moment(first(observation, "effectiveTime")) or date,
    }
    kind = value.get(_TYPE, "").rpartition(":")[2]
    if kind == "PQ" and (measured := quantity(value)):
        return {**head, "valueQuantity": measured}
    if kind in ("CD", "CE", "CV") and (said := concept(value)):
        return {**head, "valueCodeableConcept": said}
    return None
