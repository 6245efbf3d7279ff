"""The slots of a message as one transaction Bundle.

https://hl7.org/fhir/R4/http.html#transaction with three shapes of request only: conditional update,
conditional create, create. Full urls follow from sender, MSH-10 and identity, so a replay is equal.
"""

from collections.abc import Iterator
from uuid import NAMESPACE_URL, uuid5

from mappings.hl7v2.elements import Slot
from mappings.hl7v2.functions.identity import search
from mappings.hl7v2.parse import Message
from mappings.hl7v2.scope import Run
from r4.json import Resource
from terminology import systems

MERGE = f"{systems.CSOR}/StructureDefinition/merge"
MERGE_DELETE = f"{systems.CSOR}/StructureDefinition/merge-delete"


def identify(slot: Slot, message: Message) -> None:
    """Give a slot its urn: the same for the same identity in the same message."""
    header = message.header
    resource = slot.resource
    known = resource.get("identifier") or slot.matches
    what = f"{resource['resourceType']}?{search(*known[:1])}"
    name = f"{header.sending_application}|{header.sending_facility}|{header.control_id}|{what}"
    slot.urn = f"urn:uuid:{uuid5(NAMESPACE_URL, name)}"


def query(slot: Slot) -> str:
    """Return the search that finds a resource by any number it may be known by; "" without one."""
    return search(*(slot.matches or slot.resource.get("identifier", [])[:1]))


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
        "entry": [_entry(slot) for slot in slots.values()],
    }


def _target_provenance(slots: list[Slot]) -> None:
    for slot in slots:
        if slot.resource["resourceType"] == "Provenance":
            others = [other.urn for other in slots if other is not slot]
            head = {"resourceType": "Provenance", "target": [{"reference": urn} for urn in others]}
            slot.resource = head | slot.resource


def _entry(slot: Slot) -> Resource:
    return {
        "fullUrl": slot.urn,
        "resource": _linked(slot.resource),
        "request": _request(slot),
    }


def _linked(node: Resource) -> Resource:
    """Replace slots that stand as references by their urns."""
    return {key: _value(value) for key, value in node.items()}


def _value(value: object) -> object:
    if isinstance(value, Slot):
        return {"reference": value.urn}
    if isinstance(value, dict):
        return _linked(value)
    if isinstance(value, list):
        return [_value(entry) for entry in value]
    return value


def _request(slot: Slot) -> Resource:
    resource_type, criteria = slot.resource["resourceType"], query(slot)
    if slot.request == "post":
        return {"method": "POST", "url": resource_type}
    if slot.request == "create":
        return {"method": "POST", "url": resource_type, "ifNoneExist": criteria}
    request: Resource = {"method": "PUT", "url": f"{resource_type}?{criteria}"}
    if slot.request == "merge":
        request = {"extension": list(_merge(slot)), **request}
    return request


def _merge(slot: Slot) -> Iterator[Resource]:
    """Ask for a merge, and name the elements that it must leave out."""
    yield {"url": MERGE, "valueBoolean": True}
    for name in slot.deleted:
        if name not in slot.resource:
            yield {"url": MERGE_DELETE, "valueString": name}
