"""Numbers of orders, specimens and appointments: EI, EIP and CX to Identifiers, with who gave them.

HL7 v2.5 chapter 2A.28 (EI). A universal id (an OID, a UUID) is the system itself; a namespace is one
of the sender's own, and a number without either is the sender's.
"""

import re
from collections.abc import Sequence

from mappings.hl7v2.parse import Repetition
from mappings.hl7v2.scope import Here
from r4.json import Resource

_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
_OID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*))+\Z", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z", re.ASCII)
_ORDER = (("placer", 2, "PLAC"), ("filler", 3, "FILL"))


def entity(value: Repetition, kind: str, here: Here) -> Resource | None:
    """Return the Identifier of an EI: number, namespace, universal id and its type."""
    return _identifier([value.component(part) for part in (1, 2, 3, 4)], kind, here)


def half(value: Repetition, component: int, kind: str, here: Here) -> Resource | None:
    """Return the Identifier of one half of an EIP: component 1 the placer's, 2 the filler's."""
    return _identifier([value.subcomponent(component, part) for part in (1, 2, 3, 4)], kind, here)


def _identifier(parts: Sequence[str], kind: str, here: Here) -> Resource | None:
    number, namespace, universal, _ = parts
    if not number:
        return None
    if _OID.match(universal):
        return {"system": f"urn:oid:{universal}", "value": number}
    if _UUID.match(universal):
        return {"system": f"urn:uuid:{universal.lower()}", "value": number}
    giver = namespace or universal
    own = not giver or giver == here.run.sender
    return {"system": here.local(kind if own else f"{kind}.{giver}"), "value": number}


def order_numbers(here: Here) -> list[Resource]:
    """Return the placer's number of an order, then the filler's: ORC-2 and 3, else OBR-2 and 3."""
    found = []
    for who, number, code in _ORDER:
        for name in ("ORC", "OBR"):
            segment = here.find(name)
            if segment is not None and segment.value(number):
                one = entity(segment.field(number).repetitions[0], f"{who}-order", here)
                if one is not None:
                    found.append({"type": {"coding": [{"system": _TYPES, "code": code}]}, **one})
                    break
    return found


def order_reference(number: Resource) -> Resource:
    """Return a Reference to the order of a number."""
    return {"type": "ServiceRequest", "identifier": number}
