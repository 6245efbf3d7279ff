"""Composite parameters: the pairs that one element holds, so that halves of two are never a pair.

The first component is a token. Its texts stand before what the second component is compared with;
two numbers after it make one row. https://hl7.org/fhir/R4/search.html#combining
"""

from collections.abc import Callable, Iterator
from typing import Any

from fhir_server.store.search import keys, values
from fhir_server.store.search.entries import NO_UNIT, Collected, add_quantity
from fhir_server.store.search.parameters import Parameter
from r4 import fhirpath
from r4.json import Resource
from r4.reference import literal

Found = list[tuple[Any, str]]


def enter_pairs(resource_type: str, parameter: Parameter) -> Callable[[Resource, Collected], None]:
    """Return what enters the pairs of a composite parameter's elements."""
    elements = [fhirpath.compile(element) for element in parameter.elements]
    parts = [fhirpath.compile(component.expression) for component in parameter.components]
    kinds = tuple(component.type for component in parameter.components[1:])
    place = (resource_type, parameter.code)

    def search(resource: Resource, collected: Collected) -> None:
        around = fhirpath.Environment(resource=resource, root_resource=resource, resolve=_stand_in)
        for element in elements:
            for item in element.items(resource, around):
                first, *others = (part.typed(item, around) for part in parts)
                for form in _forms(first):
                    _pair(collected, place, form, kinds, others)

    return search


def _stand_in(reference: str) -> Resource | None:
    found = literal(reference)
    return None if found is None else {"resourceType": found.type, "id": found.id}


def _forms(found: Found) -> Iterator[str]:
    for value, kind in found:
        for system, code in values.tokens(value, kind):
            yield from values.forms(system, code)


def _pair(
    collected: Collected,
    place: tuple[str, str],
    form: str,
    kinds: tuple[str, ...],
    others: list[Found],
) -> None:
    param = keys.key(*place, form)
    if kinds == ("number", "number"):
        for (low, _), (high, _) in zip(others[0], others[1], strict=False):
            collected.numbers[param, float(low), float(high), NO_UNIT] = None
    for value, kind in others[0] if len(kinds) == 1 else ():
        if kinds[0] == "quantity":
            add_quantity(collected, (*place, f"{form}$"), param, value)
        elif kinds[0] == "date":
            for low, high in values.periods(value):
                collected.dates[param, low, high] = None
        else:
            for text in _texts(kinds[0], value, kind):
                collected.words[keys.key(*place, f"{form}${text}")] = None


def _texts(kind: str, value: Any, value_type: str) -> Iterator[str]:
    if kind == "token":
        for system, code in values.tokens(value, value_type):
            yield from values.forms(system, code)
    elif kind == "reference" and (found := values.target(value)) is not None:
        yield f"{found.type}/{found.id}"
    else:
        yield from values.strings(value, value_type)
