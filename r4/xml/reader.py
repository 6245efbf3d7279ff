"""FHIR XML to the dict that the same resource has in JSON.

https://hl7.org/fhir/R4/xml.html
"""

from collections.abc import Iterator
from typing import Any

from lxml import etree  # type: ignore[import-untyped, unused-ignore]

from r4.issue import FhirError, Issue, error
from r4.json import Resource
from r4.xml import narrative
from r4.xml.expression import expression, local
from r4.xml.parse import parse
from r4.xml.shapes import (
    DEPTH,
    FHIR,
    Shape,
    Slot,
    annotated,
    resource_shape,
    shape,
    types_by_tag,
)

MOST_ISSUES = 100
"""After so many findings the rest is not read."""

_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
_IGNORED = {f"{_XSI}schemaLocation", f"{_XSI}noNamespaceSchemaLocation"}
_WITH_TEXT = etree.XPath("//f:*[text()[normalize-space()]]", namespaces={"f": FHIR})


def decode(text: bytes, *, strict: bool = False) -> Resource:
    """Read a resource; decimals keep their digits, a narrative's div the text it was written in.

    Raises FhirError(400) with an issue for everything that has no place in FHIR's XML, each with
    its line; `strict` adds elements out of the definition's order. Limiting the size of the text
    is the caller's part. Values and cardinalities are for the validator.
    """
    root = parse(text)
    reader = _Reader(narrative.divs(text), is_strict=strict)
    resource = reader.resource(root, 0)
    for element in _WITH_TEXT(root):
        reader.report("structure", "has text; FHIR's values are in the attribute `value`", element)
    if reader.issues:
        raise FhirError(400, reader.issues)
    return resource


class _Reader:
    def __init__(self, divs: Iterator[bytes], *, is_strict: bool) -> None:
        self.issues: list[Issue] = []
        self._divs = divs
        self._is_strict = is_strict

    def report(self, code: str, diagnostics: str, element: Any) -> None:
        said = f"Line {element.sourceline}: <{local(element)}> {diagnostics}."
        self.issues.append(error(code, said, expression(element)))
        if len(self.issues) == MOST_ISSUES:
            raise FhirError(400, self.issues)

    def resource(self, element: Any, depth: int) -> Resource:
        type = types_by_tag().get(element.tag, "")
        its_shape = resource_shape(type)
        if its_shape is None:
            self.report("structure", f"is not a resource of R4 in the namespace {FHIR}", element)
            return {}
        found: Resource = {"resourceType": type}
        for name in element.keys():  # noqa: SIM118 - an element iterates over its children
            if name not in _IGNORED:
                self.report("structure", f"cannot have the attribute {name}", element)
        self._children(found, element, its_shape, depth)
        return found

    def _object(self, element: Any, its_shape: Shape, depth: int) -> Resource:
        found: Resource = {}
        before = len(self.issues)
        for name, value in element.items():
            if name not in its_shape.attributes:
                self.report("structure", f"cannot have the attribute {name}", element)
            elif not value:
                self.report("value", f"has the attribute {name} without a value", element)
            else:
                found[name] = value
        self._children(found, element, its_shape, depth)
        if not found and len(self.issues) == before:
            self.report("structure", "is empty: an element has a value or children", element)
        return found

    def _children(self, found: Resource, element: Any, its_shape: Shape, depth: int) -> None:
        if depth > DEPTH:
            self.report("too-costly", f"is more than {DEPTH} elements deep", element)
            raise FhirError(400, self.issues)
        by_tag = its_shape.by_tag
        reached = 0
        for child in element:
            slot = by_tag.get(child.tag)
            if slot is None:
                self._unknown(child)
                continue
            if slot.order < reached and self._is_strict:
                self.report("structure", "comes too late: FHIR's XML has an order", child)
            reached = slot.order
            if slot.kind == "primitive":
                self._primitive(found, child, slot, depth)
            else:
                self._put(found, slot, self._value(child, slot, depth + 1), child)

    def _value(self, element: Any, slot: Slot, depth: int) -> Any:
        if slot.kind == "object":
            return self._object(element, shape(slot.address), depth)
        if slot.kind == "div":
            return narrative.read(next(self._divs, b""), element)
        inner = [child for child in element if isinstance(child.tag, str)]
        if len(inner) != 1 or element.attrib:
            self.report("structure", "holds one resource and nothing else", element)
            return {}
        return self.resource(inner[0], depth)

    def _put(self, found: Resource, slot: Slot, value: Any, element: Any) -> None:
        if slot.repeats:
            found.setdefault(slot.name, []).append(value)
        elif slot.name in found:
            self.report("structure", "may be there once", element)
        else:
            found[slot.name] = value

    def _primitive(self, found: Resource, element: Any, slot: Slot, depth: int) -> None:
        attributes = element.items()
        companion: Resource | None = None
        if len(attributes) == 1 and attributes[0][0] == "value" and not len(element):
            written = attributes[0][1]
        else:
            companion = self._object(element, annotated(), depth + 1)
            written = companion.pop("value", None)
        value = None
        if written is not None:
            try:
                value = slot.read(written)
            except ValueError as wrong:
                self.report("value", f"has a wrong value: {wrong}", element)
        if slot.repeats:
            _align(found, slot, value, companion or None)
            return
        if slot.name in found or slot.companion in found:
            self.report("structure", "may be there once", element)
        if value is not None:
            found[slot.name] = value
        if companion:
            found[slot.companion] = companion

    def _unknown(self, element: Any) -> None:
        if isinstance(element.tag, str):  # comments and processing instructions have no name
            space = etree.QName(element).namespace
            where = "" if space == FHIR else f" in the namespace {space or '(none)'}"
            self.report("structure", f"is not known here{where}", element)


def _align(found: Resource, slot: Slot, value: Any, companion: Resource | None) -> None:
    """Add one of a repeating primitive: two arrays as long as each other, with nulls as fillers.

    An array of nulls alone is left out: https://hl7.org/fhir/R4/json.html#primitive
    """
    companions = found.get(slot.companion)
    values = found.get(slot.name)
    before = len(values if values is not None else companions or ())
    if value is not None or values is not None:
        found.setdefault(slot.name, [None] * before).append(value)
    if companion is not None or companions is not None:
        found.setdefault(slot.companion, [None] * before).append(companion)
