"""Segment map rows to closures: each row runs as one function of a place and a slot.

A row that cannot run (unknown element, wrong type, unknown function or vocabulary) fails the load,
not a message.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from mappings.hl7v2 import datatypes, functions, observations, tables
from mappings.hl7v2.elements import Place, Slot, place
from mappings.hl7v2.errors import REQUIRED, TABLE_VALUE
from mappings.hl7v2.parse import Repetition
from mappings.hl7v2.scope import Here
from mappings.hl7v2.tables import Row

Fill = Callable[[Here, Slot], None]
Read = Callable[[Repetition, Here], Any]
Compute = Callable[[Here], Any]

_FIELD = re.compile(r"(?P<segment>[A-Z][A-Z0-9]{2})-(?P<field>\d+)(?:\.(?P<component>\d+))?\Z")
_TARGET = re.compile(r"(?P<path>[^(]+)(?:\((?P<type>[A-Za-z]+)\))?\Z")
_MAP = re.compile(r"(?P<segment>[A-Z][A-Z0-9]{2})\[(?P<type>[A-Za-z]+)(?:-\w+)?\]\Z")
_TEXT_TYPES = {"string", "code", "uri", "markdown", "id"}


@cache
def segment_maps() -> dict[str, tuple[Fill, ...]]:
    """Compile every segment map by its name (`PID[Patient]`). Raises ValueError for a bad row."""
    return {name: _compiled(name, rows) for name, rows in tables.segment_maps()}


def _compiled(name: str, rows: list[Row]) -> tuple[Fill, ...]:
    match = _MAP.match(name)
    if match is None:
        raise ValueError(f"{name} is no name of a segment map")
    attributes = frozenset(row["FHIR Attribute"] for row in rows)
    compiled = []
    for row in rows:
        try:
            compiled.append(compile_row(match["segment"], match["type"], row, attributes))
        except ValueError as problem:
            raise ValueError(f"{name}, {row['Identifier']}: {problem}") from None
    return tuple(compiled)


def compile_row(
    segment: str, resource_type: str, row: Row, attributes: frozenset[str] = frozenset()
) -> Fill:
    """Compile one row. Raises ValueError where it cannot run.

    `attributes` are those of all rows of the map: of a choice, only they can be rivals.
    """
    target, resource = _target(resource_type, row)
    target = replace(target, rivals=tuple(attributes.intersection(target.rivals)))
    match = _FIELD.match(row["Identifier"])
    if row["Function"]:
        number = int(match["field"]) if match else 0
        fill = _computed(target, function(row["Function"]), number)
    elif match is None or match["segment"] != segment:
        fill = _literal(target, _assignment(target, row))
    else:
        field, required = int(match["field"]), row["Cardinality - Min"] == "1"
        if row["Assignment"]:
            fill = _literal_each(target, _assignment(target, row), field)
        else:
            read = _reader(target, row, resource, int(match["component"] or 0))
            fill = _field(target, read, field, f"{row['Identifier']} ({row['Name']})" * required)
    return _conditional(row["Condition"], fill)


def function(name: str) -> Compute:
    """Find a function by the name in a cell. Raises ValueError where there is none."""
    found = getattr(functions, name, None) or getattr(observations, name, None)
    if found is None or name.startswith("_"):
        raise ValueError(f"there is no function `{name}`")
    return found  # type: ignore[no-any-return]


def _conditional(name: str, fill: Fill) -> Fill:
    if not name:
        return fill
    condition = function(name)

    def guarded(here: Here, slot: Slot) -> None:
        if condition(here):
            fill(here, slot)

    return guarded


def _target(resource_type: str, row: Row) -> tuple[Place, str | None]:
    match = _TARGET.match(row["FHIR Attribute"])
    if match is None:
        raise ValueError(f"`{row['FHIR Attribute']}` is no path")
    target = place(resource_type, match["path"], row["Extension"] or None)
    wanted = row["FHIR Data Type"]
    if target.extension is not None:
        place("Extension", f"value{wanted[0].upper()}{wanted[1:]}")
        target = replace(target, type=wanted)
    if target.type != wanted:
        raise ValueError(f"{match['path']} has type {target.type}, not {wanted}")
    if match["type"] and not target.targets & {match["type"], "Resource"}:
        raise ValueError(f"{match['path']} cannot refer to {match['type']}")
    return target, match["type"]


def _assignment(target: Place, row: Row) -> Any:
    text = row["Assignment"]
    if not text:
        raise ValueError("the row has neither a field of its segment, nor a function, nor a value")
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


def _reader(target: Place, row: Row, resource: str | None, component: int) -> Read:
    if row["Vocabulary Mapping"]:
        return _vocabulary(target, row["Vocabulary Mapping"], component or 1)
    name = row["Data Type Mapping"]
    if not name:
        if target.type not in _TEXT_TYPES:
            raise ValueError(f"a {target.type} needs a Data Type Mapping")
        return _text(component or 1)
    read, gives = datatype_maps().get(name, (None, ""))
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
    """Compile the datatype tables: name (`XAD[Address]`) to reader and FHIR type."""
    grouped: dict[str, list[Row]] = {}
    for row in tables.rows("datatypes.csv"):
        grouped.setdefault(row["Data Type Mapping"], []).append(row)
    return {name: _datatype(name, rows) for name, rows in grouped.items()}


def _datatype(name: str, rows: list[Row]) -> tuple[Read, str]:
    gives = name.partition("[")[2].rstrip("]")
    head = rows[0]
    if head["Function"]:
        read = getattr(datatypes, head["Function"], None)
        if read is None or len(rows) != 1:
            raise ValueError(f"{name}: there is no function `{head['Function']}`")
        return read, head["FHIR Data Type"]
    parts = [(_component(gives, row)) for row in rows]

    def run(value: Repetition, here: Here) -> Any:
        slot = Slot({}, "")
        for target, read in parts:
            found = read(value, here)
            if found is not None:
                target.put(slot, found)
        return slot.resource or None

    return run, gives


def _component(type_name: str, row: Row) -> tuple[Place, Read]:
    target = place(type_name, row["FHIR Attribute"])
    if target.type != row["FHIR Data Type"]:
        raise ValueError(f"{row['Identifier']}: {target.name} has type {target.type}")
    number = int(row["Identifier"].partition(".")[2])
    if row["Vocabulary Mapping"]:
        return target, _use(row["Vocabulary Mapping"], number)
    return target, _text(number)


def _use(vocabulary: str, component: int) -> Read:
    """Read a use or type; one that is not known is left out, for the value itself still stands."""
    if vocabulary not in tables.vocabularies():
        raise ValueError(f"there is no vocabulary {vocabulary}")

    def run(value: Repetition, here: Here) -> str | None:
        code = value.component(component)
        coding = here.translate(vocabulary, code) if code else None
        return coding["code"] if coding else None

    return run
