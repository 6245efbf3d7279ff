"""The slots of a message as one transaction Bundle.

https://hl7.org/fhir/R4/http.html#transaction with three shapes of request only: conditional update,
conditional create, create. Full urls follow from sender, MSH-10 and identity, so a replay is equal.
"""

import hashlib
from collections.abc import Iterator
from operator import is_
from typing import Any
from uuid import NAMESPACE_URL

from mappings.hl7v2.elements import Slot
from mappings.hl7v2.functions.identity import search
from mappings.hl7v2.scope import Run
from mappings.merge import (
    MERGE,
    MERGE_DELETE,
    MERGE_EVENT,
    MERGE_RECORDED,
    MERGE_VISIT,
    REQUEST_KIND,
)
from r4.json import Resource


def identify(slot: Slot, run: Run) -> None:
    """Give a slot its urn: the same for the same identity in the same message.

    Without an identifier each is another resource.
    """
    header = run.message.header
    criteria = search(*(_known_by(slot) or slot.matches[:1]))
    what = f"{slot.resource['resourceType']}?{criteria}"
    if not criteria and (number := run.occurrence(f"urn {what}")) > 1:
        what = f"{what}#{number}"
    name = f"{header.sending_application}|{header.sending_facility}|{header.control_id}|{what}"
    slot.urn = urn(name)


def urn(name: str) -> str:
    """Return the URN of a name: uuid5 of it as a URL, written out, for each resource has one.

    https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-5
    """
    hashed = hashlib.sha1(NAMESPACE_URL.bytes + name.encode(), usedforsecurity=False)
    octets = bytearray(hashed.digest()[:16])
    octets[6] = octets[6] & 0x0F | 0x50
    octets[8] = octets[8] & 0x3F | 0x80
    text = octets.hex()
    return f"urn:uuid:{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def query(slot: Slot) -> str:
    """Return the search that finds a resource by any number it may be known by; "" without one."""
    return search(*(slot.matches or _known_by(slot)))


def _known_by(slot: Slot) -> list[Resource]:
    """List the first identifier that a resource can be found by: HL7's tables make some without."""
    found = slot.resource.get("identifier", [])
    listed = found if isinstance(found, list) else [found]
    return [one for one in listed if "system" in one and "value" in one][:1]


def build(run: Run) -> Resource:
    """Return the transaction Bundle; a resource that came up twice is one entry."""
    slots: dict[str, Slot] = {}
    for slot in run.slots:
        known = slots.setdefault(slot.urn, slot)
        if known is not slot:
            known.resource |= {**slot.resource, **known.resource}
            known.matches += [found for found in slot.matches if found not in known.matches]
    _target_provenance(list(slots.values()))
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_entry(slot, run) for slot in slots.values()],
    }


def _target_provenance(slots: list[Slot]) -> None:
    for slot in slots:
        if slot.resource["resourceType"] == "Provenance":
            others = [other.urn for other in slots if other is not slot]
            head = {"resourceType": "Provenance", "target": [{"reference": urn} for urn in others]}
            slot.resource = head | slot.resource


def _entry(slot: Slot, run: Run) -> Resource:
    return {
        "fullUrl": slot.urn,
        "resource": _linked(slot.resource),
        "request": _request(slot, run),
    }


def _linked(node: Any) -> Any:
    """Return a node with slots that stand as references replaced by their urns.

    Nothing is changed in place: what holds no slot is shared with the node given, if it is plain JSON.
    """
    if isinstance(node, dict):
        made = node if node.__class__ is dict else dict(node)
        for key, child in node.items():
            if child.__class__ is not str and (new := _linked(child)) is not child:
                made = dict(node) if made is node else made
                made[key] = new
        return made
    if isinstance(node, list):
        listed = [child if child.__class__ is str else _linked(child) for child in node]
        is_same = node.__class__ is list and all(map(is_, listed, node))
        return node if is_same else listed
    return {"reference": node.urn} if isinstance(node, Slot) else node


def _request(slot: Slot, run: Run) -> Resource:
    resource_type, criteria = slot.resource["resourceType"], query(slot)
    if slot.request == "post" or not criteria:
        return {"method": "POST", "url": resource_type}
    if slot.request == "create":
        return {"method": "POST", "url": resource_type, "ifNoneExist": criteria}
    request: Resource = {"method": "PUT", "url": f"{resource_type}?{criteria}"}
    if slot.request != "update":
        request = {"extension": [*_merge(slot), *_event(slot, run)], **request}
    return request


def _merge(slot: Slot) -> Iterator[Resource]:
    """Ask for a merge, say what else it does, and name the elements that it must leave out."""
    yield {"url": MERGE, "valueBoolean": True}
    if slot.request != "merge":
        yield {"url": REQUEST_KIND, "valueCode": slot.request}
    for name in slot.deleted:
        if name not in slot.resource:
            yield {"url": MERGE_DELETE, "valueString": name}


def _event(slot: Slot, run: Run) -> Iterator[Resource]:
    """Say which visit event the visit is merged by; a Patient is told of a discharge undone alone."""
    event, resource_type = run.event.visit_event, slot.resource["resourceType"]
    of_patient = resource_type == "Patient" and event == "cancel-discharge"
    if not event or not (of_patient or resource_type == "Encounter"):
        return
    yield {"url": MERGE_EVENT, "valueCode": event}
    if recorded := run.recorded:
        yield {"url": MERGE_RECORDED, "valueDateTime": recorded}
    visits = [s for s in run.slots if of_patient and s.resource["resourceType"] == "Encounter"]
    for number in [number for visit in visits for number in visit.matches]:
        yield {"url": MERGE_VISIT, "valueString": f"{number['system']}|{number['value']}"}
