"""The search parameters of each resource type, from the standard's SearchParameters and our own.

A parameter that finds no more than others hold together (`combo-code`, `patient` beside `subject`)
is not indexed: it names them, and is asked as they are.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any

from fhir_server.store.search import expressions
from r4 import artefacts, definitions
from r4.json import Resource

TYPES = frozenset(
    {"token", "reference", "string", "date", "uri", "number", "quantity", "composite", "special"}
)
_EXAMPLES = ("example", "filter")
_ELSEWHERE = ("_id", "_lastUpdated")
"""Asked of the resource's own row, not of the index."""


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a composite parameter: the parameter it is compared as, and where it stands."""

    code: str
    type: str
    expression: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter of one resource type: code, type, FHIRPath expression, target types.

    parts: the codes of the parameters that hold its values, where it has no index of its own; only:
    the one target type it keeps of them. A composite has components; root says whether the resource
    itself is one of the elements that hold a pair, elements where the others are.
    """

    code: str
    type: str
    expression: str
    targets: tuple[str, ...]
    url: str
    documentation: str
    parts: tuple[str, ...] = ()
    only: str = ""
    components: tuple[Component, ...] = ()
    root: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()


@cache
def parameters(resource_type: str) -> MappingProxyType[str, Parameter]:
    """Map code to parameter, for the parameters of a resource type that are served here."""
    simple = {parameter.code: parameter for parameter in _simple(resource_type)}
    shared = {code: _shared(parameter, simple) for code, parameter in simple.items()}
    composites = {parameter.code: parameter for parameter in _composites(resource_type, simple)}
    return MappingProxyType(shared | composites)


@cache
def of_every_type() -> MappingProxyType[str, Parameter]:
    """Map code to parameter, for those that every resource type has."""
    common = {d["code"] for d in _every() if "Resource" in d["base"] and d["type"] in TYPES}
    anywhere = parameters("Basic")
    return MappingProxyType({code: anywhere[code] for code in sorted(common & set(anywhere))})


def _simple(resource_type: str) -> Iterator[Parameter]:
    for definition in _of_type(resource_type):
        if definition["type"] in TYPES - {"composite"}:
            expression = expressions.of_type(definition["expression"], resource_type)
            if expression:
                yield _parameter(definition, expression)


def _parameter(definition: Resource, expression: str) -> Parameter:
    targets = tuple(definition.get("target", ()))
    if definition["type"] == "reference" and not targets:
        targets = definitions.resource_types()
    return Parameter(
        definition["code"],
        definition["type"],
        expression,
        targets,
        definition["url"],
        definition.get("description", ""),
    )


def _of_type(resource_type: str) -> Iterator[Resource]:
    for definition in _every():
        base = definition["base"]
        if resource_type in base or "Resource" in base or "DomainResource" in base:
            yield definition


@cache
def _every() -> tuple[Resource, ...]:
    standard = [
        definition
        for definition in definitions.every("SearchParameter")
        if not definition["id"].startswith(_EXAMPLES)
        and definition["code"] not in _ELSEWHERE
        and "base" in definition
        and "expression" in definition
    ]
    return (*standard, *artefacts.by_url("profiles", "SearchParameter").values())


def _shared(parameter: Parameter, others: dict[str, Parameter]) -> Parameter:
    """Name the parameters that hold this one's values, if others of its type do."""
    own, only = _places(parameter.expression)
    held: set[str] = set()
    parts = []
    for other in sorted(others.values(), key=lambda each: each.code):
        if other.code == parameter.code or other.type != parameter.type:
            continue
        places, other_only = _places(other.expression)
        if other_only or not places <= own or (places == own and not _yields(parameter, other)):
            continue
        parts.append(other.code)
        held |= places
    if held != own:
        return parameter
    targets = (only,) if only else parameter.targets
    return replace(parameter, parts=tuple(parts), only=only, targets=targets)


def _yields(parameter: Parameter, other: Parameter) -> bool:
    """Decide which of two parameters with the same values has the index: the first by code."""
    return bool(_places(parameter.expression)[1]) or other.code < parameter.code


def _places(expression: str) -> tuple[frozenset[str], str]:
    """Return the alternatives of an expression, and the target type that they all ask for, if any."""
    found = [expressions.only(each) for each in expressions.alternatives(expression)]
    kinds = {only for _, only in found}
    if len(kinds) == 1:
        return frozenset(path for path, _ in found), kinds.pop()
    return frozenset(expressions.alternatives(expression)), ""


def _composites(resource_type: str, simple: dict[str, Parameter]) -> Iterator[Parameter]:
    drafts = [
        _composite(definition, resource_type)
        for definition in _of_type(resource_type)
        if definition["type"] == "composite"
    ]
    for draft in drafts:
        if expressions.ROOT not in expressions.alternatives(draft.expression):
            yield draft
            continue
        twin = next(each for each in drafts if _whole(each) and _same(each, draft))
        if all(component.code in simple for component in twin.components):
            yield replace(draft, root=tuple(component.code for component in twin.components))


def _whole(composite: Parameter) -> bool:
    return composite.expression == expressions.ROOT


def _same(one: Parameter, other: Parameter) -> bool:
    """Tell whether two composites compare the same parts of their elements."""
    return [c.expression for c in one.components] == [c.expression for c in other.components]


def _composite(definition: Resource, resource_type: str) -> Parameter:
    expression = expressions.of_type(definition["expression"], resource_type)
    elements = tuple(e for e in expressions.alternatives(expression) if e != expressions.ROOT)
    made = _parameter(definition, expression)
    components = tuple(_components(definition["component"]))
    return replace(made, components=components, elements=elements)


def _components(listed: Iterable[Any]) -> Iterator[Component]:
    """Pair each component with its parameter; R4 gives those of `relationship` the wrong way round."""
    pairs = [
        (component["expression"], found)
        for component in listed
        if (found := definitions.definition("SearchParameter", component["definition"]))
    ]
    for expression, own in pairs:
        fitting = (p for _, p in pairs if p.get("expression", "").endswith(f".{expression}"))
        meant = own if own["expression"].endswith(expression) else next(fitting, own)
        yield Component(meant["code"], meant["type"], expression)
