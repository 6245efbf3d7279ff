"""One row of HL7's tables, compiled: where it writes, when, and what."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mappings.hl7v2.conditions import Condition, condition
from mappings.hl7v2.elements import Place, children, place
from mappings.hl7v2.official.assignments import Assignment, assignment
from mappings.hl7v2.official.layer import Layer
from mappings.hl7v2.rows import MessageRow, SegmentRow
from mappings.hl7v2.targets import Bound, Target, bind, parse, parse_resource
from r4.definitions import resource_types

_MAP = re.compile(r"\w+\[(?P<type>[A-Za-z]+(?:\.[a-z]\w*)?)")
_MADE = re.compile(r"\(([A-Z]\w+)\[\d+\]\)\Z")
_GIVES = re.compile(r"\w+\[(?P<type>[A-Za-z.]+)")
_QUANTITIES = frozenset({"Age", "Count", "Distance", "Duration", "MoneyQuantity"})
_ENDING = re.compile(r"\.(?:reference|id)(?=\)?\Z)")
_REFERRED = re.compile(r"(?P<type>[A-Z]\w+)(?:\[(?P<tag>[\w.]+)\])?(?:\.id)?\Z")


@dataclass(frozen=True, slots=True)
class Names:
    """What a row may name, as HL7 spells it in any way: maps of datatypes, of segments, of codes."""

    datatypes: Mapping[str, str]
    segments: Mapping[str, str]
    codesystems: Mapping[str, str]

    @classmethod
    def of(cls, layer: Layer) -> "Names":
        """Index the tables of a layer."""
        kinds = (layer.datatypes, layer.segments, layer.codesystems)
        return cls(*({_plain(name): name for name in kind} for kind in kinds))


def _plain(name: str) -> str:
    return re.sub(r"[\s/]", "", name).lower()


@dataclass(frozen=True, slots=True)
class Compiled:
    """A row that can run: it writes to `target`, where `condition` holds.

    What it writes is `assignment`, or what the tables of datatypes and codes named give; else text.
    """

    target: Bound
    condition: Condition | None
    assignment: Assignment | None
    datatype_map: str = ""
    vocabulary: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A reference that a message row sets: `place` is about the resource of that type and tag.

    It stands in the resource of the type and tag of `source`. Or, where `literal` is given, a value
    that it sets there.
    """

    source: tuple[str, str]
    target: Bound
    place: Place
    type: str
    tag: str
    literal: str | None


@dataclass(frozen=True, slots=True)
class CompiledMessage:
    """A row of a message table that can run: the resource, the map that fills it, and its links."""

    type: str
    tag: str
    target: Bound
    condition: Condition | None
    literal: str | None
    segment_map: str
    links: tuple[Link, ...]

    @property
    def repairs(self) -> tuple[str, ...]:
        """Name every repair that the target and the links needed."""
        found = (self.target, *(link.target for link in self.links))
        return tuple(dict.fromkeys(repair for bound in found for repair in bound.repairs))


def made(rows: tuple[SegmentRow, ...]) -> str:
    """Name the one type of the numbered resources that a table makes; "" where there is none."""
    cells = (row.target for row in rows if row.target.startswith("["))
    types = {match[1] for match in map(_MADE.search, cells) if match}
    return types.pop() if len(types) == 1 else ""


def segment_row(
    row: SegmentRow, made_type: str, names: Names, *, at_face_value: bool = False, about: str = ""
) -> Compiled:
    """Compile a row of a segment or datatype map. Raises ValueError where it cannot run.

    `about` is the type that it is about, in the place of the one that its table names. `at_face_value`
    passes over a condition or an assignment that is a sentence: the row then always
    gives what its field holds.
    """
    base = _MAP.match(row.origin.table.partition("/")[2])
    if base is None:
        raise ValueError(f"{row.origin.table} does not say what it maps to")
    target = parse(row.target)
    found = bind(target, about or base["type"], hint=row.fhir_type, made=made_type)
    value = None
    if target.literal is not None:
        value = assignment(f'"{target.literal}"')
    elif row.assignment and not (at_face_value and is_sentence(row.assignment, assignment)):
        value = assignment(row.assignment)
    when = None
    if row.antlr and not (at_face_value and is_sentence(row.antlr, condition)):
        when = condition(row.antlr)
    datatype_map = _named(names.datatypes, row.datatype_map, "map of datatypes")
    vocabulary = _named(names.codesystems, row.vocabulary, "table of codes")
    if value is None:
        _check_value(found, datatype_map, vocabulary)
    elif found.type[0].isupper():
        raise ValueError(f"a {found.type} is no text, and a text is assigned to it")
    return Compiled(found, when, value, datatype_map, vocabulary)


def sentence(row: MessageRow | SegmentRow) -> str:
    """Say what of a row is for people alone; "" where a machine can read all of it."""
    if (row.narrative and not row.antlr) or (row.antlr and is_sentence(row.antlr, condition)):
        return "the condition is a sentence"
    if isinstance(row, SegmentRow) and row.assignment and is_sentence(row.assignment, assignment):
        return "the assignment is a sentence"
    return ""


def is_sentence(cell: str, compiled: Callable[[str], object]) -> bool:
    """Tell whether a cell is for people alone: the compiler of such cells refuses it."""
    try:
        compiled(cell)
    except ValueError:
        return True
    return False


def _check_value(target: Bound, datatype_map: str, vocabulary: str) -> None:
    """Refuse a target that what the row gives does not fit: HL7's `Data Type` is no help in it."""
    wanted, last = target.type, target.places[-1] if target.places else None
    if wanted == "BackboneElement":
        return
    match = _GIVES.match(datatype_map)
    if match is None:
        if wanted[0].isupper() and not vocabulary and not _refers(last, wanted):
            raise ValueError(f"a {wanted} is no text, and no map of datatypes makes it")
        return
    gives = match["type"]
    if gives != wanted and not _refers(last, gives) and not _is_quantity(gives, wanted):
        raise ValueError(f"{datatype_map} gives {gives}, not {wanted}")


def _refers(last: Place | None, type_name: str) -> bool:
    """Tell whether a place can refer to a resource, which a row then makes or finds."""
    if last is None or last.type not in ("Reference", "canonical"):
        return False
    fits = not last.targets or bool(last.targets & {type_name, "Resource"})
    return fits and type_name in resource_types()


def _is_quantity(gives: str, wanted: str) -> bool:
    return gives == "Quantity" and wanted in _QUANTITIES


def message_row(row: MessageRow, names: Names) -> CompiledMessage:
    """Compile a row of a message table. Raises ValueError where it cannot run."""
    target = parse_resource(row.target)
    found = bind(target, "")
    if not row.segment_map and target.literal is None:
        raise ValueError("the row has a target, but no segment map that fills it")
    when = condition(row.antlr) if row.antlr else None
    links = tuple(_link(cell) for cell in re.split(r"[;\n]", row.references) if cell.strip())
    segment_map = _named(names.segments, row.segment_map, "map of segments")
    return CompiledMessage(
        target.types[0], target.tag, found, when, target.literal, segment_map, links
    )


def _named(names: Mapping[str, str], name: str, kind: str) -> str:
    if not name:
        return ""
    found = names.get(_plain(name))
    if found is None:
        raise ValueError(f"there is no {kind} {name}")
    return found


def _link(cell: str) -> Link:
    left, _, right = "".join(cell.split()).partition("=")
    if right.startswith('"'):
        target = parse_resource(left)
        bound = bind(target, "")
        source = (target.types[0], target.tag)
        return Link(source, bound, bound.places[-1], "", "", right.strip('"'))
    match = _REFERRED.match(right)
    if match is None:
        raise ValueError(f"`{cell.strip()}` refers to no resource")
    target = parse_resource(_ENDING.sub("", left))
    full = _with_reference(target, match["type"])
    bound = bind(full, "")
    if full != target:
        bound = replace(bound, repairs=(*bound.repairs, "r8"))
    end = bound.places[-1] if bound.places else None
    if end is None or end.type != "Reference":
        raise ValueError(f"`{left}` is no reference")
    if end.targets and not end.targets & {match["type"], "Resource"}:
        raise ValueError(f"`{left}` cannot refer to {match['type']}")
    source = (target.types[0], target.tag)
    return Link(source, bound, end, match["type"], match["tag"] or "", None)


def _with_reference(target: Target, wanted: str) -> Target:
    """Add the one reference that a link's element has for such a resource, where it left it out.

    As r8: `EpisodeOfCare.diagnosis` to a Condition is `EpisodeOfCare.diagnosis.condition`.
    """
    inner, owner = target.inner, target.types[0]
    if inner is None or inner.inner is not None or inner.types:
        return target
    path = ".".join(step.name for step in inner.steps)
    try:
        if place(owner, path).type != "BackboneElement":
            return target
    except ValueError:
        return target
    fits = [
        name
        for name, kind in children(owner, path).items()
        if kind == "Reference" and wanted in place(owner, f"{path}.{name}").targets
    ]
    if len(fits) != 1:
        return target
    more = parse(f"{path}.{fits[0]}").steps[-1:]
    return replace(target, inner=replace(inner, steps=(*inner.steps, *more)))
