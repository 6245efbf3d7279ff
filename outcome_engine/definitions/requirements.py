"""What data a measure is computed from, read from its definition: a Library of type module-definition.

https://hl7.org/fhir/R4/measure-operation-data-requirements.html
"""

import re
from collections.abc import Iterable, Iterator

from outcome_engine.definitions.definition import outline
from outcome_engine.definitions.values import Definition, Taken
from outcome_engine.expressions.syntax import (
    Column,
    Constant,
    Member,
    Node,
    Operation,
    conjuncts,
    members_of,
)
from outcome_engine.views.view import Select, View, view
from r4.json import Resource

_LIBRARY_TYPE = "http://terminology.hl7.org/CodeSystem/library-type"
_ABOUT = {"EpisodeOfCare": "patient", "Patient": "id"}
_NAME = re.compile(r"[A-Za-z]+")


def requirements(measure_url: str, start: str | None = None, end: str | None = None) -> Resource:
    """Return the Library that says which resources, elements and codes a measure reads.

    Where start and end (dates) are given, the cases that are needed begin between them. Raises FhirError
    404, and 422 for a measure that cannot be computed.
    """
    rules = outline(measure_url)
    found = rules.measure
    needed = [each for selected in _selections(rules) for each in _requirements(selected)]
    if start is not None and end is not None:
        period = {"path": "period", "valuePeriod": {"start": start, "end": end}}
        needed[0] = {**needed[0], "dateFilter": [period]}
    return {
        "resourceType": "Library",
        "status": found["status"],
        "type": {"coding": [{"system": _LIBRARY_TYPE, "code": "module-definition"}]},
        "title": f"Data requirements of {found['title']}",
        "subjectCodeableConcept": found["subjectCodeableConcept"],
        "relatedArtifact": [
            {"type": "depends-on", "resource": canonical} for canonical in _artefacts(rules)
        ],
        "parameter": [
            {"name": "periodStart", "use": "in", "min": 1, "max": "1", "type": "date"},
            {"name": "periodEnd", "use": "in", "min": 1, "max": "1", "type": "date"},
            *(
                {"name": code, "use": "out", "min": 1, "max": "1", "type": "boolean"}
                for code in rules.populations
            ),
        ],
        "dataRequirement": list({repr(each): each for each in needed}.values()),
    }


def _selections(rules: Definition) -> Iterator[tuple[str, Node | None, tuple[str, ...]]]:
    """Yield what is selected: view, criteria, and the columns that are read of the rows; patients too."""
    yield rules.case.view, rules.case.where, ("date",)
    yield "patient", None, ("birth_date", "deceased", "date", "active")
    read: dict[int, tuple[str, ...]] = {}
    for fact in rules.facts:
        if fact.selection is not None:
            read[id(fact.selection)] = _read(fact)
    for selection in rules.selections[1:]:
        yield selection.view, selection.where, read.get(id(selection), ("date",))


def _read(fact: Taken) -> tuple[str, ...]:
    return tuple(each for each in ("date", fact.of, fact.by) if each)


def _requirements(selected: tuple[str, Node | None, tuple[str, ...]]) -> Iterator[Resource]:
    """Yield what one selection asks for: a requirement for each of the value sets that will do."""
    name, where, read = selected
    source = view(name)
    columns = {*read, *(each.name for each in _columns(where))}
    every = [*_members(source, _conjunction(where)), *_coded(source, where)]
    either = [each for node in _conjunction(where) for each in _alternatives(source, node)]
    for filters in [[*every, each] for each in either] or [every]:
        elements = {_ABOUT.get(source.resource, "subject"), *(each["path"] for each in filters)}
        elements |= {path for each in columns if (path := _path(source, each))}
        found: Resource = {"type": source.resource, "mustSupport": sorted(elements)}
        yield {**found, "codeFilter": filters} if filters else found


def _conjunction(where: Node | None) -> tuple[Node, ...]:
    """List what must all be true of a row."""
    return () if where is None else conjuncts(where)


def _alternatives(source: View, node: Node) -> Iterator[Resource]:
    """Yield the value sets of which a coding must be in one, where a condition is no more than that."""
    if isinstance(node, Operation) and node.operator == "or":
        if all(isinstance(each, Member) for each in node.operands):
            yield from _members(source, node.operands)
        else:
            for each in node.operands:
                yield from _alternatives(source, each)


def _members(source: View, nodes: Iterable[Node]) -> Iterator[Resource]:
    """Yield the value sets that a coding must be in, by the element that holds it."""
    for each in nodes:
        if isinstance(each, Member):
            yield {"path": _path(source, f"{each.column}_code"), "valueSet": each.value_set}


def _coded(source: View, where: Node | None) -> Iterator[Resource]:
    """Yield the codes that a coding must be one of, with the system that stands beside them."""
    compared = list(_compared(where))
    systems = {name: values[0] for name, values in compared if name.endswith("_system")}
    for name, values in compared:
        if name.endswith("_code"):
            system = systems.get(name.removesuffix("_code") + "_system")
            codes = [{**({"system": system} if system else {}), "code": code} for code in values]
            yield {"path": _path(source, name), "code": codes}


def _compared(where: Node | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each column that must be one of some texts, and the texts."""
    for node in _conjunction(where):
        if not isinstance(node, Operation) or node.operator not in ("=", "in"):
            continue
        column, *others = node.operands
        texts = [str(each.value) for each in others if isinstance(each, Constant)]
        if isinstance(column, Column) and len(texts) == len(others):
            yield column.name, tuple(texts)


def _columns(node: Node | None) -> Iterator[Column]:
    if isinstance(node, Column):
        yield node
    elif isinstance(node, Operation):
        for each in node.operands:
            yield from _columns(each)


def _artefacts(rules: Definition) -> Iterator[str]:
    yield rules.canonical
    yield f"{rules.library['url']}|{rules.library['version']}"
    for name in rules.views:
        found = view(name).definition
        yield f"{found['url']}|{found['version']}"
    wheres = (each.where for each in rules.selections if each.where is not None)
    yield from sorted({member.value_set for where in wheres for member in members_of(where)})


def _path(source: View, column: str) -> str:
    """Return the element that a column is read from; a coding's is the element that holds it."""
    return next((path for select in source.selects for path in _paths(select, column)), "")


def _paths(select: Select, column: str, above: tuple[str, ...] = ()) -> Iterator[str]:
    steps = select.paths[0].split(".") if select.paths else []
    place = (*above, *(each for each in steps if each != "coding"))
    for each in select.columns:
        if each.name == column:
            own = () if steps[-1:] == ["coding"] else (_element(each.path),)
            yield ".".join([*place, *own])
    for nested in (*select.selects, *select.unions):
        yield from _paths(nested, column, place)


def _element(path: str) -> str:
    """Return the first element of a path: of a key the id."""
    found = _NAME.match(path)
    name = found.group() if found else ""
    return "id" if name == "getResourceKey" else name
