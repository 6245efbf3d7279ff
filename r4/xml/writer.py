"""The dict of a resource to FHIR XML, elements in the order of the definition.

https://hl7.org/fhir/R4/xml.html
"""

from collections.abc import Iterator
from itertools import zip_longest
from operator import attrgetter
from typing import Any, NoReturn

from r4.issue import FhirError, error
from r4.json import Resource
from r4.xml import narrative, primitives
from r4.xml.shapes import DEPTH, FHIR, Shape, Slot, annotated, resource_shape, shape

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
_ORDER = attrgetter("order")
_CLOSE = ("",) * (DEPTH + 2)
_INDENTED = tuple("\n" + "  " * depth for depth in range(DEPTH + 2))


def encode(resource: Resource, *, pretty: bool = False) -> bytes:
    """Write a resource as UTF-8 XML; a Decimal with its digits, a narrative as it is.

    Raises FhirError(406), with the element's FHIRPath, for a type or property that R4 does not
    know, for control characters (XML has none) and for a narrative that is not well-formed.
    """
    writer = _Writer(_INDENTED if pretty else _CLOSE)
    writer.resource(resource, 0)
    return (_HEAD + "".join(writer.out) + _INDENTED[0] * pretty).encode()


class _Writer:
    def __init__(self, indents: tuple[str, ...]) -> None:
        self.out: list[str] = []
        self._indents = indents
        self._path: list[str] = []

    def resource(self, value: Any, depth: int) -> None:
        type = value.get("resourceType") if isinstance(value, dict) else None
        its_shape = resource_shape(type) if isinstance(type, str) else None
        if not isinstance(type, str) or its_shape is None:
            self._refuse(f"{type!r} is not a resource type of R4")
        if depth == 0:
            self._path.append(type)
        properties = {name: value[name] for name in value if name != "resourceType"}
        declared = f' xmlns="{FHIR}"' if depth == 0 else ""
        self._element(type, properties, its_shape, depth, declared)

    def _element(
        self, name: str, value: Any, its_shape: Shape, depth: int, attributes: str = ""
    ) -> None:
        if depth > DEPTH:
            self._refuse(f"it is more than {DEPTH} elements deep")
        slots = self._slots(value, its_shape)
        held = len(slots)
        for attribute in its_shape.attributes:
            if attribute in value:
                attributes += f' {attribute}="{self._text(value[attribute], attribute)}"'
                held -= 1
        indent = self._indents[depth]
        out = self.out
        if not held:
            out.append(f"{indent}<{name}{attributes}/>")
            return
        out.append(f"{indent}<{name}{attributes}>")
        for slot in slots:
            if slot.kind == "primitive":
                self._primitives(value, slot, depth + 1)
            elif slot.kind != "attribute":
                self._others(value[slot.name], slot, depth + 1)
        out.append(f"{indent}</{name}>")

    def _slots(self, value: Any, its_shape: Shape) -> list[Slot]:
        """Return the slots of what a dict holds in their order, `x` and `_x` as one."""
        if value.__class__ is not dict:
            self._refuse("it is not an object")
        by_property = its_shape.by_property
        try:
            return sorted({by_property[name] for name in value}, key=_ORDER)
        except KeyError as unknown:
            self._refuse(f"the property {unknown} is not known here")

    def _others(self, value: Any, slot: Slot, depth: int) -> None:
        if (value.__class__ is list) is not slot.repeats:
            self._refuse(f"{slot.name} is {'' if slot.repeats else 'not '}an array")
        if not slot.repeats:
            self._other(value, slot, slot.step, depth)
            return
        for index, each in enumerate(value):
            self._other(each, slot, f"{slot.step}[{index}]", depth)

    def _other(self, value: Any, slot: Slot, step: str, depth: int) -> None:
        self._path.append(step)
        if slot.kind == "object":
            self._element(slot.name, value, shape(slot.address), depth)
        elif slot.kind == "div":
            self._div(value, depth)
        else:
            indent = self._indents[depth]
            self.out.append(f"{indent}<{slot.name}>")
            self.resource(value, depth + 1)
            self.out.append(f"{indent}</{slot.name}>")
        self._path.pop()

    def _primitives(self, value: Resource, slot: Slot, depth: int) -> None:
        values, companions = value.get(slot.name), value.get(slot.companion)
        if slot.repeats:
            for index, (each, companion) in enumerate(self._pairs(values, companions, slot)):
                self._primitive(each, companion, slot, depth, f"{slot.step}[{index}]")
        else:
            self._primitive(values, companions, slot, depth, slot.step)

    def _pairs(self, values: Any, companions: Any, slot: Slot) -> Iterator[tuple[Any, Any]]:
        for given in (values, companions):
            if given is not None and given.__class__ is not list:
                self._refuse(f"{slot.name} is an array")
        return zip_longest(values or (), companions or ())

    def _primitive(self, value: Any, companion: Any, slot: Slot, depth: int, step: str) -> None:
        if companion is None:
            text = self._text(value, step)
            self.out.append(f'{self._indents[depth]}<{slot.name} value="{text}"/>')
            return
        self._path.append(step)
        if companion.__class__ is not dict or "value" in companion:
            self._refuse(f"{slot.companion} is an object with id and extension")
        whole = companion if value is None else {"value": value, **companion}
        self._element(slot.name, whole, annotated(), depth)
        self._path.pop()

    def _div(self, value: Any, depth: int) -> None:
        if value.__class__ is not str:
            self._refuse("it is not a string")
        try:
            self.out.append(self._indents[depth] + narrative.write(value))
        except ValueError as wrong:
            self._refuse(str(wrong))

    def _text(self, value: Any, step: str) -> str:
        try:
            return primitives.write(value)
        except ValueError as wrong:
            self._path.append(step)
            self._refuse(str(wrong))

    def _refuse(self, reason: str) -> NoReturn:
        said = f"The resource cannot be written as XML: {reason}."
        raise FhirError(406, [error("structure", said, ".".join(self._path) or None)])
