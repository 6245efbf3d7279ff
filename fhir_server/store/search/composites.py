"""Composite parameters: the pairs that one element holds, so that halves of two are never a pair.

The first component is a token. Its texts stand before what the second component is compared with;
two numbers after it make one row. https://hl7.org/fhir/R4/search.html#combining
"""

from collections.abc import Callable, Iterator
from typing import Any

from fhir_server.store.search import expressions, keys, values
from fhir_server.store.search.entries import Collected
from fhir_server.store.search.parameters import Component, Parameter
from fhir_server.store.search.quantities import NO_UNIT, measured
from r4 import fhirpath
from r4.json import Resource

Found = list[tuple[Any, str]]
_Part = tuple[Callable[..., Found], Component, str]
"""What evaluates a component, the component, and the system that its codes imply (or "")."""


def enter_pairs(
    resource_type: str, parameter: Parameter, element: str
) -> Callable[[Resource, Collected], None]:
    """Return what enters the pairs that a composite parameter finds in one of its elements."""
    evaluate = fhirpath.compile(element)
    first, *others = [_part(element, component) for component in parameter.components]
    place = (resource_type, parameter.code)

    def search(resource: Resource, collected: Collected) -> None:
        around = expressions.environment(resource)
        for item in evaluate.items(resource, around):
            found = [(part[0](item, around), part) for part in others]
            for form in _forms(first[0](item, around), first[2]):
                _pair(collected, place, form, found)

    return search


def _part(element: str, component: Component) -> _Part:
    ways = expressions.plain(f"{element}.{component.expression}") or ()
    implied = next((way.implied for way in ways), "")
    return fhirpath.compile(component.expression).typed, component, implied


def _forms(found: Found, implied: str) -> Iterator[str]:
    for value, kind in found:
        for system, code in values.tokens(value, kind):
            yield from values.forms(system, code, implied)


def _pair(
    collected: Collected, place: tuple[str, str], form: str, others: list[tuple[Found, _Part]]
) -> None:
    param = keys.key(*place, form)
    if [part[1].type for _, part in others] == ["number", "number"]:
        for (low, _), (high, _) in zip(others[0][0], others[1][0], strict=False):
            collected.numbers.append((param, float(low), float(high), NO_UNIT))
        return
    ((found, (_, component, implied)),) = others
    before = keys.prefix(*place) + f"{form}$"
    for value, kind in found:
        if component.type == "quantity":
            collected.numbers += measured(before, param, value)
        elif component.type == "date":
            collected.dates += [(param, *period) for period in values.periods(value)]
        else:
            for text in _texts(component.type, value, kind, implied):
                collected.words.add(keys.digest(before + text))


def _texts(kind: str, value: Any, value_type: str, implied: str) -> Iterator[str]:
    if kind == "token":
        yield from _forms([(value, value_type)], implied)
    elif kind == "reference" and (found := values.target(value)) is not None:
        yield f"{found.type}/{found.id}"
    else:
        yield from values.strings(value, value_type)
