"""Rows of HL7's tables as closures over a message, in the shape of those of our own tables."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mappings.hl7v2.codes import system_of
from mappings.hl7v2.compile import Read, Reads, Rule
from mappings.hl7v2.elements import Slot
from mappings.hl7v2.official.compile import Compiled
from mappings.hl7v2.official.source import RowSource
from mappings.hl7v2.official.values import Part, is_uri, merged, primitive
from mappings.hl7v2.parse import Repetition
from mappings.hl7v2.rows import SegmentRow
from mappings.hl7v2.scope import Here
from mappings.hl7v2.targets import Hop
from r4.definitions import resource_types
from r4.json import Resource

Codes = Mapping[tuple[str, str], Resource]
"""What a code table of that name has for a code: its first Coding."""

_PLACE = re.compile(r"[A-Z][A-Z0-9]{1,2}[-.](?P<number>\d+)(?:\.(?P<part>\d+))?\Z")


@dataclass(frozen=True, slots=True)
class Line:
    """A row that runs: `number` is of its field or component, `part` of a component within that.

    `group` is the tag that its path begins with, where a map makes several things.
    """

    row: SegmentRow
    compiled: Compiled
    group: str
    number: int
    part: int

    @property
    def is_assigned(self) -> bool:
        """Tell whether the row writes what it says itself, not what it reads."""
        return self.compiled.assignment is not None


def line(row: SegmentRow, compiled: Compiled, group: str) -> Line:
    """Say where a compiled row reads."""
    match = _PLACE.match(row.identifier)
    number, part = (int(match[name] or 0) for name in ("number", "part")) if match else (0, 0)
    return Line(row, compiled, group, number, part)


def rule(found: Line, reads: Reads, codes: Codes) -> Rule:
    """Make the closure of a row of a segment map."""
    compiled = found.compiled

    def run(here: Here, slot: Slot) -> None:
        if not here.segment.text(found.number) and not (found.is_assigned and compiled.condition):
            return
        field = here.segment.field(found.number) if found.number else None
        if field is not None and field.is_delete:
            return
        source = RowSource(here.at(found.number))
        if compiled.condition is not None and not compiled.condition(source):
            return
        repetitions: Sequence[Repetition | None] = field.repetitions if field else ()
        for number, value in enumerate(repetitions or (None,)):
            if value is not None and not value:
                continue
            here.at(found.number, number + 1)
            written = _value(found, value, here, source, reads, codes)
            if written is not None:
                write(slot, compiled, written, number, here)

    return Rule(found.row.origin, run)


def reader(name: str, lines: Sequence[Line], reads: Reads, codes: Codes) -> Read:
    """Make the closure of a datatype map: one value, or a list where the map makes several."""
    datatype, _, gives = name.partition("[")
    gives = re.split(r"[-\].]", gives)[0]

    def run(value: Repetition, here: Here) -> Any:
        made: dict[str, Slot] = {}
        whole = None
        for each in lines:
            part = Part(value, each.number) if each.number else value
            if not part:
                continue
            source = RowSource(here, each.row.identifier.partition(".")[0] or datatype, value)
            condition = each.compiled.condition
            if condition is not None and not condition(source):
                continue
            written = _value(each, part, here, source, reads, codes)
            if written is None:
                continue
            if not each.compiled.target.hops:
                whole = written if whole is None else whole
            else:
                node = made.setdefault(each.group, Slot({}, ""))
                write(node, each.compiled, written, 0, here)
        return _made(whole, [made[group].resource for group in sorted(made)], gives)

    return run


def _made(whole: Any, found: list[Resource], gives: str) -> Any:
    """Return what a datatype map gives: the value as such, a resource, an element, or several."""
    if isinstance(whole, dict) and found:
        merged(whole, found[0])
    if whole is not None or not found:
        return whole
    if gives in resource_types():
        return {"resourceType": gives, **found[0]}
    return found[0] if len(found) == 1 else found


def _value(
    found: Line, value: Repetition | None, here: Here, source: RowSource, reads: Reads, codes: Codes
) -> Any:
    compiled = found.compiled
    kind = compiled.target.type
    if compiled.assignment is not None:
        return primitive(compiled.assignment(source), kind, here)
    if value is None:
        return None
    at = Part(value, found.part) if found.part else value
    code = at.component(1)
    coding = codes.get((compiled.vocabulary, code)) if compiled.vocabulary else None
    if compiled.vocabulary and kind == "code":
        return coding["code"] if coding else None
    if compiled.datatype_map:
        read = reads[compiled.datatype_map][0](at, here)
        if isinstance(read, str) and kind == "uri":
            return _system(read, compiled, here) or None
        return _with(coding, read) if kind == "CodeableConcept" else read
    if compiled.vocabulary and kind == "Coding":
        return coding
    if kind == "CodeableConcept":
        return _with(coding, {"text": at.component(2) or code} if code else None)
    if kind[:1].isupper():
        return None
    text = at.text if kind in ("string", "markdown") and at.size == 1 else code
    return primitive(_system(text, compiled, here) if kind == "uri" else text, kind, here)


def _system(text: str, compiled: Compiled, here: Here) -> str:
    """Name a system by its URI: of a coding as `systems.csv` does, of an identifier not at all.

    Any other text that is no URI is none.
    """
    hops = compiled.target.hops
    if not text or is_uri(text) or not hops or hops[-1].place.name != "system":
        return "" if " " in text else text
    key = compiled.target.hops[-1].key
    in_coding = ".coding[" in key or key.startswith(("Coding.", "Quantity."))
    return system_of(text, here) if in_coding else ""


def _with(coding: Resource | None, concept: Any) -> Any:
    """Put what a code table gives before the codes that were sent."""
    if coding is None or not isinstance(concept, dict | None):
        return concept
    sent = concept or {}
    return sent | {"coding": [coding, *sent.get("coding", [])]}


def write(slot: Slot, compiled: Compiled, value: Any, repetition: int, here: Here) -> None:
    """Put a value where a row says, through each resource on the way."""
    node, hops = slot, compiled.target.hops
    if not hops:
        if isinstance(value, dict):
            merged(slot.resource, value)
        return
    for hop in hops[:-1]:
        node = _referred(node, hop, hop.type or "Resource", repetition, here)
    last = hops[-1]
    values = value if isinstance(value, list) else [value]
    for number, one in enumerate(values):
        _put(
            node,
            last,
            one,
            repetition if len(values) == 1 else (repetition + 1) * 1000 + number,
            here,
        )


def _put(node: Slot, hop: Hop, value: Any, repetition: int, here: Here) -> None:
    place = hop.place
    if isinstance(value, dict) and "resourceType" in value:
        if place.type in ("Reference", "canonical"):
            made = _referred(node, hop, value["resourceType"], repetition, here)
            merged(made.resource, value)
        return
    if place.type == "canonical" or not isinstance(value, dict) or place.extension:
        place.put(node, value, repetition)
        return
    held = node.elements.get((hop.key, repetition))
    if held is None:
        held = node.elements[(hop.key, repetition)] = here.run.element().resource
        merged(held, value)
        place.put(node, held, repetition)
    else:
        merged(held, value)


def _referred(node: Slot, hop: Hop, type_name: str, repetition: int, here: Here) -> Slot:
    """Return the resource that a place refers to, made and referred to where it is not yet."""
    made = here.run.referred
    key = (id(node), hop.key, type_name, hop.tag, repetition)
    if key not in made:
        slot = here.run.add({"resourceType": type_name}, "create")
        made[key] = (node, slot)
        hop.place.put(node, slot, repetition)
    return made[key][1]
