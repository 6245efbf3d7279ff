"""Segment and datatype maps to closures: each row runs as one function, and knows its origin.

A row that cannot run (unknown element, wrong type, unknown function or vocabulary) fails the load,
not a message. A row without a target says that a field is known, and why it goes nowhere.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from mappings.hl7v2 import datatypes, functions, tables
from mappings.hl7v2.elements import Place, Slot, place
from mappings.hl7v2.errors import REQUIRED, TABLE_VALUE
from mappings.hl7v2.parse import Repetition
from mappings.hl7v2.rows import Origin, SegmentRow
from mappings.hl7v2.scope import Compute, Here

Fill = Callable[[Here, Slot], None]
Read = Callable[[Repetition, Here], Any]
Reads = Mapping[str, tuple[Read, str]]
"""Datatype maps by name: the reader of each, and the FHIR type that it gives."""

_FIELD = re.compile(r"(?P<segment>[A-Z][A-Z0-9]{2})-(?P<field>\d+)(?:\.(?P<component>\d+))?\Z")
_TARGET = re.compile(r"(?P<path>[^(]+)(?:\((?P<type>[A-Za-z]+)\))?\Z")
_MAP = re.compile(r"(?P<segment>[A-Z][A-Z0-9]{2})(?:\[(?P<type>[A-Za-z]+)(?:-\w+)?\])?\Z")
_LITERAL = re.compile(r'"(?P<text>[^"]+)"\Z')
_TEXT_TYPES = {"string", "code", "uri", "markdown", "id"}
WHOLE = "$this"
"""The target of a datatype map's row that gives the whole element, not a part of it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of a segment map, compiled: `run` fills the slot from the place."""

    origin: Origin
    run: Fill


@dataclass(frozen=True, slots=True)
class Part:
    """A row of a datatype map, compiled: what `read` gives goes to `target` in the element."""

    origin: Origin
    target: Place
    read: Read


def segments_of(
    maps: Mapping[str, Sequence[SegmentRow]], reads: Reads
) -> dict[str, tuple[Rule, ...]]:
    """Compile segment maps by name, for what reads datatypes. Raises ValueError for a bad row."""
    return {name: _compiled(name, rows, reads) for name, rows in maps.items()}


def _compiled(name: str, rows: Sequence[SegmentRow], reads: Reads) -> tuple[Rule, ...]:
    match = _MAP.match(name)  # without a type in brackets, nothing is taken from the segment
    if match is None:
        raise ValueError(f"{name} is no name of a segment map")
    attributes = frozenset(row.target for row in rows)
    compiled = []
    for row in filter(_goes_somewhere, rows):
        try:
            fill = compile_row(match["segment"], match["type"] or "", row, attributes, reads)
        except ValueError as problem:
            raise ValueError(f"{row.origin}: {problem}") from None
        compiled.append(Rule(row.origin, fill))
    return tuple(compiled)


def _goes_somewhere(row: SegmentRow) -> bool:
    """Tell whether a row has a target. Raises ValueError where it has all but that."""
    means = (row.datatype_map, row.vocabulary, row.assignment, row.function, row.condition)
    if not row.target and any(means):
        raise ValueError(f"{row.origin}: the row has no FHIR Attribute")
    return bool(row.target)


def compile_row(
    segment: str,
    resource_type: str,
    row: SegmentRow,
    attributes: frozenset[str] = frozenset(),
    reads: Reads | None = None,
) -> Fill:
    """Compile one row. Raises ValueError where it cannot run.

    `attributes` are those of all rows of the map: of a choice, only they can be rivals. `reads` are
    the datatype maps that it may name, by default ours.
    """
    target, resource = _target(resource_type, row)
    target = replace(target, rivals=tuple(attributes.intersection(target.rivals)))
    match = _FIELD.match(row.identifier)
    if row.function:
        number = int(match["field"]) if match else 0
        fill = _computed(target, function(row.function), number)
    elif match is None or match["segment"] != segment:
        fill = _literal(target, _assignment(target, row))
    elif row.assignment:
        fill = _literal_each(target, _assignment(target, row), int(match["field"]))
    else:
        known = datatype_maps() if reads is None else reads
        read = _reader(target, row, resource, int(match["component"] or 0), known)
        required = f"{row.identifier} ({row.name})" if row.minimum else ""
        fill = _field(target, read, int(match["field"]), required)
    return _conditional(row.condition, fill)


def function(name: str) -> Compute:
    """Find a function by the name in a cell. Raises ValueError where there is none."""
    found = functions.NAMED.get(name)
    if found is None:
        raise ValueError(f"there is no function `{name}`")
    return found


def _conditional(name: str, fill: Fill) -> Fill:
    if not name:
        return fill
    condition = function(name)

    def guarded(here: Here, slot: Slot) -> None:
        if condition(here):
            fill(here, slot)

    return guarded


def _target(resource_type: str, row: SegmentRow) -> tuple[Place, str | None]:
    match = _TARGET.match(row.target)
    if match is None:
        raise ValueError(f"`{row.target}` is no path")
    target = place(resource_type, match["path"], row.extension or None)
    wanted = row.fhir_type
    if target.extension is not None:
        place("Extension", f"value{wanted[0].upper()}{wanted[1:]}")
        target = replace(target, type=wanted)
    if target.type != wanted:
        raise ValueError(f"{match['path']} has type {target.type}, not {wanted}")
    if match["type"] and not target.targets & {match["type"], "Resource"}:
        raise ValueError(f"{match['path']} cannot refer to {match['type']}")
    return target, match["type"]


def _assignment(target: Place, row: SegmentRow) -> Any:
    if not row.assignment:
        raise ValueError("the row has neither a field of its segment, nor a function, nor a value")
    match = _LITERAL.match(row.assignment)
    if match is None:
        raise ValueError(f"`{row.assignment}` is no value in quotation marks")
    text = match["text"]
    if target.type == "boolean" and text in ("true", "false"):
        return text == "true"
    if target.type not in _TEXT_TYPES:
        raise ValueError(f"a {target.type} cannot be assigned `{text}`")
    return text


def _literal(target: Place, value: Any) -> Fill:
    def run(_: Here, slot: Slot) -> None:
        target.put(slot, value)

    return run


def _literal_each(target: Place, value: Any, number: int) -> Fill:
    def run(here: Here, slot: Slot) -> None:
        if here.segment.text(number):
            for repetition, found in enumerate(here.segment.field(number).repetitions):
                if found:
                    target.put(slot, value, repetition)

    return run


def _computed(target: Place, compute: Compute, number: int) -> Fill:
    def run(here: Here, slot: Slot) -> None:
        value = compute(here.at(number))
        if value is None:
            if number and here.segment.field(number).is_delete:
                target.delete(slot)
            return
        for one in value if isinstance(value, list) else (value,):
            target.put(slot, one)

    return run


def _field(target: Place, read: Read, number: int, required: str) -> Fill:
    def run(here: Here, slot: Slot) -> None:
        if not here.segment.text(number):
            _miss(here, number, required)
            return
        field, before, seen = here.segment.field(number), len(here.run.issues), False
        if field.is_delete:
            target.delete(slot)
        for repetition, found in enumerate(field.repetitions):
            value = read(found, here.at(number, repetition + 1))
            if value is not None:
                target.put(slot, value, repetition)
                seen = True
        if not seen and len(here.run.issues) == before:
            _miss(here, number, required)

    return run


def _miss(here: Here, number: int, required: str) -> None:
    if required:
        here.at(number).fail(REQUIRED, f"{required} is missing.")


def _reader(
    target: Place, row: SegmentRow, resource: str | None, component: int, reads: Reads
) -> Read:
    if row.vocabulary:
        return _vocabulary(target, row.vocabulary, component or 1)
    name = row.datatype_map
    if not name:
        if target.type not in _TEXT_TYPES:
            raise ValueError(f"a {target.type} needs a Data Type Mapping")
        return _text(component or 1)
    read, gives = reads.get(name, (None, ""))
    if read is None:
        raise ValueError(f"there is no datatype mapping {name}")
    if gives not in (target.type, resource):
        raise ValueError(f"{name} gives {gives}, not {target.type}")
    return _into_resource(read, resource) if resource else read


def _into_resource(read: Read, resource: str) -> Read:
    """Open a slot for a resource that was read, and refer to it; a Reference stays one."""
    request = tables.requests()[resource]

    def run(value: Repetition, here: Here) -> Any:
        found = read(value, here)
        if found is None or "resourceType" not in found:
            return found
        return here.run.add(found, request)

    return run


def _text(component: int) -> Read:
    def run(value: Repetition, _: Here) -> str | None:
        return value.component(component) or None

    return run


def _vocabulary(target: Place, name: str, component: int) -> Read:
    type_name = target.type
    if name not in tables.vocabularies():
        raise ValueError(f"there is no vocabulary {name}")
    if type_name not in ("code", "Coding", "CodeableConcept"):
        raise ValueError(f"a {type_name} cannot be coded")

    def run(value: Repetition, here: Here) -> Any:
        code = value.component(component)
        coding = here.translate(name, code) if code else None
        text = value.component(component + 1)
        if type_name == "CodeableConcept":
            return _concept(coding, code, text) if coding or target.takes_text else None
        if coding is None:
            if code:
                here.fail(TABLE_VALUE, f"The code `{code}` is not known in {name}.")
            return None
        return coding["code"] if type_name == "code" else coding

    return run


def _concept(coding: dict[str, Any] | None, code: str, text: str) -> Any:
    """Keep a code that no map knows as text: a CodeableConcept may be text alone."""
    shown = text or ("" if coding else code)
    found: dict[str, Any] = {"coding": [coding]} if coding else {}
    return (found | ({"text": shown} if shown else {})) or None


@cache
def datatype_maps() -> dict[str, tuple[Read, str]]:
    """Compile every datatype map of ours by its name (`XAD[Address]`)."""
    return datatypes_of(tables.datatype_maps())


def datatypes_of(maps: Mapping[str, Sequence[SegmentRow]]) -> dict[str, tuple[Read, str]]:
    """Compile datatype maps by name. Raises ValueError for a bad row."""
    return {name: _datatype(name, rows) for name, rows in maps.items()}


def _datatype(name: str, rows: Sequence[SegmentRow]) -> tuple[Read, str]:
    targets = [row for row in rows if _goes_somewhere(row)]
    if [row.target for row in targets] == [WHOLE]:
        return _whole(targets[0]), targets[0].fhir_type
    gives = name.partition("[")[2].rstrip("]")
    parts = tuple(_part(gives, row) for row in targets)

    def run(value: Repetition, here: Here) -> Any:
        slot = here.run.element()
        for part in parts:
            found = part.read(value, here)
            if found is not None:
                part.target.put(slot, found)
        return slot.resource or None

    return run, gives


def _whole(row: SegmentRow) -> Read:
    read = getattr(datatypes, row.function, None) if row.function else None
    if read is None:
        raise ValueError(f"{row.origin}: there is no function `{row.function}`")
    return read  # type: ignore[no-any-return]


def _part(type_name: str, row: SegmentRow) -> Part:
    try:
        target = place(type_name, row.target)
        number = int(row.identifier.partition(".")[2])
        read = _use(row.vocabulary, number) if row.vocabulary else _text(number)
    except ValueError as problem:
        raise ValueError(f"{row.origin}: {problem}") from None
    if target.type != row.fhir_type:
        raise ValueError(f"{row.origin}: {row.target} has type {target.type}, not {row.fhir_type}")
    return Part(row.origin, target, read)


def _use(vocabulary: str, component: int) -> Read:
    """Read a use or type; one that is not known is left out, for the value itself still stands."""
    if vocabulary not in tables.vocabularies():
        raise ValueError(f"there is no vocabulary {vocabulary}")

    def run(value: Repetition, here: Here) -> str | None:
        code = value.component(component)
        coding = here.translate(vocabulary, code) if code else None
        return coding["code"] if coding else None

    return run
