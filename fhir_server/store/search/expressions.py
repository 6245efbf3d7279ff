"""The FHIRPath of search parameters, taken apart: alternatives, the type they speak of, plain paths.

Most expressions only walk down: such a path is read from the JSON by its keys, without an engine.
https://hl7.org/fhir/R4/searchparameter.html
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from r4.fhirpath import types

ROOT = "$this"
"""Stands for the resource itself, where a composite's pairs are in it and not in an element."""

_ABSTRACT = ("Resource.", "DomainResource.")
_ONLY = re.compile(r"^(?P<path>.+)\.where\(resolve\(\) is (?P<only>\w+)\)$")
_PLAIN = re.compile(
    r"^(?P<type>[A-Z]\w*)(?P<steps>(?:\.[a-z]\w*)+)"
    r"(?: as (?P<as>\w+)|\.as\((?P<call>\w+)\)|\.ofType\((?P<of>\w+)\))?$"
)

_OF_ABSENCE = re.compile(r"\b(?:exists|empty|not|count|all|iif)\(| (?:and|or|implies) ")


@dataclass(frozen=True, slots=True)
class Path:
    """One way down the JSON: keys, the FHIR type found there, the one target type that is kept."""

    keys: tuple[str, ...]
    type: str
    only: str = ""


def of_type(expression: str, resource_type: str) -> str:
    """Keep the alternatives of a union that speak of this type, `Resource.x` becoming `Type.x`."""
    kept = []
    for text in alternatives(expression):
        path, bare = text, text.lstrip("( ")
        for abstract in _ABSTRACT:
            if bare.startswith(abstract):
                path = text.replace(abstract, f"{resource_type}.", 1)
        if path.lstrip("( ").startswith(f"{resource_type}."):
            kept.append(path)
        elif path == resource_type:
            kept.append(ROOT)
    return " | ".join(kept)


def alternatives(expression: str) -> tuple[str, ...]:
    """Split a union at its bars, those in parentheses left alone."""
    return tuple(_split(expression))


def only(alternative: str) -> tuple[str, str]:
    """Split `path.where(resolve() is Type)` into path and type; the type is "" where not asked."""
    match = _ONLY.match(alternative)
    return (match["path"], match["only"]) if match else (alternative, "")


def first_step(alternative: str) -> str:
    """Return the first element that an alternative walks through."""
    return (
        re.sub(r"^[( ]*[A-Z]\w*\.", "", alternative).partition(".")[0].split(" ")[0].split("[")[0]
    )


def plain(alternative: str) -> tuple[Path, ...] | None:
    """Return the ways down that an alternative takes, or None where it does more than walk."""
    path, wanted = only(alternative)
    if path.startswith("(") and path.endswith(")") and path.count("(") == 1:
        path = path[1:-1]
    match = _PLAIN.match(path)
    if match is None or (start := types.named(match["type"])) is None:
        return None
    kind = match["as"] or match["call"] or match["of"] or ""
    found = _walk(start, match["steps"].split(".")[1:])
    if found is None:
        return None
    ways = [(keys, end) for keys, end in found if not kind or kind in end.ancestors]
    return tuple(Path(keys, end.name, wanted) for keys, end in ways)


def first_keys(resource_type: str, alternative: str) -> tuple[str, ...]:
    """List the JSON keys of the first step; empty where that is not known.

    An expression that says something of an element that is absent begins at what is never absent.
    """
    if _OF_ABSENCE.search(alternative):
        return ("resourceType",)
    start = types.named(resource_type)
    step = first_step(alternative)
    return tuple(types.find(start, step)) if start is not None else ()


def _walk(start: types.Type, steps: list[str]) -> list[tuple[tuple[str, ...], types.Type]] | None:
    ways: list[tuple[tuple[str, ...], types.Type]] = [((), start)]
    for step in steps:
        following = []
        for keys, kind in ways:
            fields = types.find(kind, step)
            for key, field in fields.items():
                if field.type.is_resource:
                    return None
                if not key.startswith("_"):
                    following.append(((*keys, key), field.type))
        ways = following
    return ways or None


def _split(expression: str) -> Iterator[str]:
    depth = start = 0
    for place, character in enumerate(expression):
        depth += (character == "(") - (character == ")")
        if character == "|" and depth == 0:
            yield expression[start:place].strip()
            start = place + 1
    yield expression[start:].strip()
