"""Literal, logical, contained and conditional references, read and walked.

https://hl7.org/fhir/R4/references.html
"""

import re
from collections.abc import Callable, Iterator
from operator import is_
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


def here(text: str) -> str:
    """Return the type of a reference of the form `Type/id`, which most are; "" for any other."""
    match = _HERE.fullmatch(text)
    return match[1] if match else ""


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


def references(node: Any) -> list[str]:
    """List the text of every `reference` below a node: what `walk` yields, more quickly."""
    found: list[str] = []
    nodes = [node]
    for each in nodes:  # it grows while it is walked
        kind = each.__class__
        if kind is dict:
            for child in each.values():
                kind = child.__class__
                if kind is dict:
                    nodes.append(child)
                elif kind is list:
                    nodes += child
            if "reference" in each and isinstance(each["reference"], str):
                found.append(each["reference"])
        elif kind is list:
            nodes += each
    return found


def resolve(node: Any, replace: Callable[[str], str]) -> tuple[Any, list[str]]:
    """Return a node whose `reference` strings have gone through replace, and list what they became.

    replace is called once for each text; a node of which nothing changes is returned itself.
    """
    texts = references(node)
    if not texts:
        return node, texts
    made = {text: replace(text) for text in dict.fromkeys(texts)}
    changed = any(text != new for text, new in made.items())
    return rewrite(node, made.__getitem__) if changed else node, [made[text] for text in texts]


def rewrite(node: Any, replace: Callable[[str], str]) -> Any:
    """Return a node whose `reference` strings have gone through replace.

    Nothing is changed in place: what holds no reference that changes is shared with the node given.
    """
    kind, made = node.__class__, node
    if kind is dict:
        for key, child in node.items():
            new = child
            if child.__class__ is dict or child.__class__ is list:
                new = rewrite(child, replace)
            elif key == "reference" and child.__class__ is str:
                new = replace(child)
            if new is not child:
                made = dict(node) if made is node else made
                made[key] = new
    elif kind is list:
        made = [
            rewrite(child, replace) if child.__class__ in (dict, list) else child for child in node
        ]
        made = node if all(map(is_, made, node)) else made
    return made
