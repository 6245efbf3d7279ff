"""Literal, logical, contained and conditional references, read and walked.

https://hl7.org/fhir/R4/references.html
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

_RELATIVE = re.compile(
    r"^(?:(?P<base>https?://[^?#]*)/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/(?P<version>[A-Za-z0-9\-.]{1,64}))?$"
)
_HERE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})")
"""What nearly every reference is, told more quickly."""
_CONDITIONAL = re.compile(r"^(?P<type>[A-Z][A-Za-z]+)\?(?P<query>.+)$")


class Literal(NamedTuple):
    """A literal reference in parts; base and version are None where the text has none."""

    type: str
    id: str
    base: str | None = None
    version: str | None = None


class Conditional(NamedTuple):
    """A conditional reference: a type and a search query, as in `Patient?identifier=a|b`."""

    type: str
    query: str


def literal(text: str) -> Literal | None:
    """Read `Type/id`, `Type/id/_history/v` or the absolute form; None for anything else."""
    if match := _HERE.fullmatch(text):
        return Literal(*match.groups())
    if match := _RELATIVE.match(text):
        return Literal(match["type"], match["id"], match["base"], match["version"])
    return None


def conditional(text: str) -> Conditional | None:
    """Read `Type?query`; None for anything else."""
    if match := _CONDITIONAL.match(text):
        return Conditional(match["type"], match["query"])
    return None


def walk(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every Reference-shaped object (one with a string `reference`) below a node."""
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            yield node
        for child in node.values():
            yield from walk(child)
    elif isinstance(node, list):
        for child in node:
            yield from walk(child)


def rewrite(node: Any, replace: Callable[[str], str]) -> Any:
    """Return a copy in which every `reference` string has gone through replace."""
    if isinstance(node, dict):
        return {
            key: replace(value)
            if key == "reference" and isinstance(value, str)
            else rewrite(value, replace)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [rewrite(child, replace) for child in node]
    return node
