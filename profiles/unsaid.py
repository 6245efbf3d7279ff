"""Values that a definition must have, and for which only an extension stands: it cannot be gone by.

R4 lets an extension, such as data-absent-reason, stand in the place of any value: such a definition is
valid, may be stored, and means nothing. https://hl7.org/fhir/R4/json.html#primitive
"""

from collections.abc import Iterator
from typing import Any

from profiles.structure import Element, Type, address, json_name, shape, step
from r4.issue import Issue
from r4.json import Resource


def unsaid(resource: Resource) -> list[Issue]:
    """List the required values of a valid resource, contained ones too, that an extension stands for.

    One error for each, with its place; rule `value-unsaid`.
    """
    return list(_of_resource(resource, resource["resourceType"]))


def _of_resource(resource: Resource, place: str) -> Iterator[Issue]:
    yield from _of_object(resource, address(resource["resourceType"]), place)


def _of_object(value: Resource, where: tuple[str, str], place: str) -> Iterator[Issue]:
    for element in shape(*where).elements:
        names = [json_name(element, type_.code) for type_ in element.types] or [element.name]
        if element.min > 0 and not any(name in value for name in names):
            text = (
                f"{element.name} has no value, but an extension in its place: a definition that is to"
                " be used says it."
            )
            yield Issue("error", "required", text, f"{place}.{element.name}", "value-unsaid")
        yield from _inside(value, element, place)


def _inside(value: Resource, element: Element, place: str) -> Iterator[Issue]:
    for type_ in element.types or (Type(element.path),):
        name = json_name(element, type_.code)
        if name not in value or type_.is_primitive or type_.code == "Extension":
            continue
        held: Any = value[name]
        for index, each in enumerate(held if isinstance(held, list) else [held]):
            there = f"{place}.{step(element, type_.code)}" + (
                f"[{index}]" if element.repeats else ""
            )
            if type_.code == "Resource":
                yield from _of_resource(each, there)
            else:
                yield from _of_object(each, element.shape or address(type_.code), there)
