"""The FHIRPath of search parameters, taken apart: alternatives, the type they speak of, plain paths.

Most expressions only walk down: such a path is read from the JSON by its keys, without an engine.
https://hl7.org/fhir/R4/searchparameter.html
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from fhir_server.store.search.implied import implied_system
from r4 import fhirpath
from r4.fhirpath import types
from r4.json import Resource
from r4.reference import literal

ALWAYS = ("resourceType",)
"""The keys that an expression begins at which says something of what is absent."""
ROOT = "$this"
"""Stands for the resource itself, where a composite's pairs are in it and not in an element."""

_Found = tuple[tuple[str, ...], types.Type, str]

_ABSTRACT = ("Resource.", "DomainResource.")
_ONLY = re.compile(r"^(?P<path>.+)\.where\(resolve\(\) is (?P<only>\w+)\)$")
_PLAIN = re.compile(
    r"^(?P<type>[A-Z]\w*)(?P<steps>(?:\.[a-z]\w*)+)"
    r"(?: as (?P<as>\w+)|\.as\((?P<call>\w+)\)|\.ofType\((?P<of>\w+)\))?$"
)
_KEPT = re.compile(
    r"^(?P<before>[A-Z]\w*(?:\.[a-z]\w*)+)"
    r"\.where\((?P<key>[a-z]\w*)='(?P<value>[^']*)'\)(?P<after>.*)$"
)
_PART_OF_ONE = re.compile(r"^\((?P<path>[A-Z][\w.]* as \w+)\)(?P<after>\.[a-z]\w*)$")

_OF_ABSENCE = re.compile(r"\b(?:exists|empty|not|count|all|iif)\(| (?:and|or|implies) ")


@dataclass(frozen=True, slots=True)
class Path:
    """One way down the JSON: keys, the FHIR type found there, the one target type that is kept.

    where: a key and the value that it has in the elements at the end of the first `kept` keys; implied:
    the system of codes that stand there without one.
    """

    keys: tuple[str, ...]
    type: str
    only: str = ""
    where: tuple[str, str] | None = None
    kept: int = 0
    implied: str = ""


def environment(resource: Resource) -> fhirpath.Environment:
    """Return what search expressions stand in; a reference resolves to a stand-in of its type."""
    return fhirpath.Environment(resource=resource, root_resource=resource, resolve=_stand_in)


def _stand_in(reference: str) -> Resource | None:
    found = literal(reference)
    return None if found is None else {"resourceType": found.type, "id": found.id}


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
    if match := _KEPT.match(path):
        found = _ways(match["before"] + match["after"])
        where, kept = (match["key"], match["value"]), match["before"].count(".")
        return found and tuple(replace(w, where=where, kept=kept, only=wanted) for w in found)
    if match := _PART_OF_ONE.match(path):
        found = _part_of_one(match["path"], match["after"][1:])
    else:
        found = _ways(path)
    return found and tuple(replace(way, only=wanted) for way in found) if wanted else found


def _part_of_one(path: str, step: str) -> tuple[Path, ...] | None:
    found = []
    for way in _ways(path) or ():
        below = _ways(f"{way.type}.{step}")
        if below is None:
            return None
        found += [replace(each, keys=(*way.keys, *each.keys)) for each in below]
    return tuple(found) or None


def _ways(path: str) -> tuple[Path, ...] | None:
    if path.startswith("(") and path.endswith(")") and path.count("(") == 1:
        path = path[1:-1]
    match = _PLAIN.match(path)
    if match is None or (start := types.named(match["type"])) is None:
        return None
    kind = match["as"] or match["call"] or match["of"] or ""
    found = _walk(start, match["steps"].split(".")[1:])
    if found is None:
        return None
    return tuple(
        Path(keys, end.name, implied=implied_system(place) if end.name == "code" else "")
        for keys, end, place in found
        if not kind or kind in end.ancestors
    )


def first_keys(resource_type: str, alternative: str) -> tuple[str, ...]:
    """List the JSON keys of the first step; empty where that is not known.

    An expression that says something of an element that is absent begins at what is never absent.
    """
    if _OF_ABSENCE.search(alternative):
        return ALWAYS
    start = types.named(resource_type)
    step = first_step(alternative)
    return tuple(types.find(start, step)) if start is not None else ()


def keys_of_absence(resource_type: str, alternative: str) -> frozenset[str]:
    """List the keys of a resource that decide what an expression that asks for absence says."""
    start = types.named(resource_type)
    steps = re.findall(rf"\b{resource_type}\.(\w+)", alternative)
    return frozenset(key for step in steps if start for key in types.find(start, step))


def _walk(start: types.Type, steps: list[str]) -> list[_Found] | None:
    """Return keys and types at the end of the steps, each with the path where it is defined."""
    ways: list[_Found] = [((), start, start.path)]
    for step in steps:
        following = []
        for keys, kind, _ in ways:
            fields = types.find(kind, step)
            for key, field in fields.items():
                if field.type.is_resource:
                    return None
                if not key.startswith("_"):
                    following.append(((*keys, key), field.type, f"{kind.path}.{step}"))
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
