"""What HL7's tables made of a message, finished: what R4 cannot take in part is left out.

A row writes one element and cannot know whether the others come: a location without its place, an
extension without its value. What a resource itself must have and has not refuses the message.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from mappings.hl7v2.elements import place
from mappings.hl7v2.errors import REQUIRED, issue
from mappings.hl7v2.scope import Run
from mappings.hl7v2.tables import local_system
from r4.definitions import structure
from r4.issue import Issue
from r4.json import Resource

_KINDS = {"Patient": "mrn", "Encounter": "visit"}
"""What the sender's own numbers are of, where ours have another word for it than the type."""
_OF_PATIENT = ("patient", "subject", "beneficiary")
"""What resources that are about a patient call it."""
_NESTED = ("BackboneElement", "Element")
_EMPTY = 1
"""Elements of a resource that says nothing: its type."""


def finish(run: Run) -> None:
    """Leave out what says nothing or is not whole; name the giver of numbers that came without."""
    _prune_all(run)
    run.slots = [slot for slot in run.slots if len(slot.resource) > _EMPTY]
    for slot in run.slots:
        _name_givers(slot.resource, slot.resource["resourceType"], run)


def lacking(run: Run) -> Iterator[Issue]:
    """Yield an error for what R4 requires of a resource and nothing in the message gives it.

    What must be about a patient is about the message's one patient, where no reference says so.
    """
    _prune_all(run)  # references have come since
    patients = [slot for slot in run.slots if slot.resource["resourceType"] == "Patient"]
    for slot in run.slots:
        kind = slot.resource["resourceType"]
        for name in list(_absent(slot.resource, kind, kind)):
            if kind == "Provenance":
                continue  # its targets are all others, and follow
            if (
                len(patients) == 1
                and name in _OF_PATIENT
                and "Patient" in place(kind, name).targets
            ):
                slot.resource[name] = {"reference": patients[0].urn}
                continue
            text = f"Nothing in the message gives the {kind} its {name}, which R4 requires."
            yield issue(REQUIRED, text, "MSH^1")


def _prune_all(run: Run) -> None:
    for slot in run.slots:
        kind = slot.resource["resourceType"]
        _prune(slot.resource, kind, kind)


def _name_givers(resource: Resource, kind: str, run: Run) -> None:
    if kind == "Location":
        return  # a bed's number is no name: other wards have the same
    listed = resource.get("identifier", [])
    for one in listed if isinstance(listed, list) else [listed]:
        if "value" in one and "system" not in one:
            one["system"] = local_system(run.sender, _KINDS.get(kind, kind.lower()))


@dataclass(frozen=True, slots=True)
class _Below:
    """What stands right below a path: the definition of each element by name, and what must stand."""

    elements: Mapping[str, tuple[str, str]]
    required: tuple[str, ...]


@cache
def _below(owner: str, prefix: str) -> _Below:
    definition = structure(owner)
    elements, required = {}, []
    for element in definition["snapshot"]["element"] if definition else ():
        above, _, name = element["path"].rpartition(".")
        if above != prefix:
            continue
        if element["min"] and name != "resourceType":
            required.append(name.removesuffix("[x]"))
        for each in element.get("type", ()):
            code = each["code"]
            at = (owner, element["path"]) if code in _NESTED else (code, code)
            elements[name.replace("[x]", code[:1].upper() + code[1:])] = at
    return _Below(MappingProxyType(elements), tuple(required))


def _absent(node: Mapping[str, Any], owner: str, prefix: str) -> Iterator[str]:
    """Name the elements that must stand in a node and do not, a choice by its stem."""
    for name in _below(owner, prefix).required:
        if not any(found == name or _is_choice(found, name) for found in node):
            yield name


def _is_choice(found: str, stem: str) -> bool:
    return found.startswith(stem) and found[len(stem) :][:1].isupper()


def _prune(node: dict[str, Any], owner: str, prefix: str) -> None:
    """Remove, from the leaves upwards, what is empty or lacks what it must have."""
    below = _below(owner, prefix)
    for name, value in list(node.items()):
        at = below.elements.get(name)
        if at is None or not at[0][:1].isupper():
            continue
        if isinstance(value, dict):
            _prune(value, *at)
            if not _stands(value, *at):
                del node[name]
        elif isinstance(value, list):
            for one in value:
                if isinstance(one, dict):
                    _prune(one, *at)
            kept = [one for one in value if not isinstance(one, dict) or _stands(one, *at)]
            if kept:
                node[name] = kept
            else:
                del node[name]


def _stands(node: dict[str, Any], owner: str, prefix: str) -> bool:
    """Tell whether an element can stand in R4 as it is."""
    if not node or any(_absent(node, owner, prefix)):
        return False
    if owner == "Extension":
        values = [name for name in node if name.startswith("value")]
        return len(values) + ("extension" in node) == 1
    if owner == "ContactPoint" and "value" in node:
        node.setdefault("system", "other")
    return True
