"""Tree navigation: children and descendants, typed.

https://hl7.org/fhirpath/N1/#tree-navigation
"""

from typing import Any

from r4.fhirpath.function import of_collection
from r4.fhirpath.values import Node, children


def _children(items: list[Any]) -> list[Any]:
    return [child for item in items if isinstance(item, Node) for child in children(item)]


def _descendants(items: list[Any]) -> list[Any]:
    found: list[Any] = []
    level = _children(items)
    while level:
        found.extend(level)
        level = _children(level)
    return found


FUNCTIONS = {
    "children": of_collection(_children),
    "descendants": of_collection(_descendants),
}
