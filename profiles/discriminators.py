"""What tells the slices of an element apart: discriminators, compiled to tests of one value.

https://hl7.org/fhir/R4/profiling.html#discriminator
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from profiles import bindings, references, values
from profiles.findings import Run
from profiles.items import Item, children, of_resource
from profiles.structure import read_type
from profiles.tree import Node
from r4.canonical import split
from r4.json import Resource
from terminology import Terminology

Fits = Callable[[Item, Run], bool]
"""Whether a value belongs to a slice, as far as one discriminator says."""

_STEPS = re.compile(
    r"(?P<function>extension|resolve|ofType|as)\((?P<argument>[^)]*)\)|(?P<name>[A-Za-z]\w*)"
)


class Known(Protocol):
    """The profiles that are known, and the terminology they are compiled under."""

    @property
    def terminology(self) -> Terminology:
        """Return the terminology service."""
        ...

    @property
    def warnings(self) -> bool:
        """Tell whether warnings are asked for."""
        ...

    def conforms(self, value: Any, canonical: str, run: Run, /) -> bool | None:
        """Tell whether a value conforms to a profile; None where that is not known here."""
        ...

    def type_of(self, canonical: str, /) -> str | None:
        """Return the type that a profile is for; None where it is not known here."""
        ...

    def root(self, canonical: str, /) -> Node | None:
        """Return the first element of a profile's snapshot."""
        ...


class Step(NamedTuple):
    """One step of a discriminator's path: the name of an element, or one of the functions."""

    function: str
    argument: str


@dataclass(frozen=True, slots=True)
class Discriminator:
    """One discriminator of one slice, and what it wants in words."""

    fits: Fits
    wants: str


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a slice says at a path: its elements there, and what patterns above say of it."""

    nodes: tuple[Node, ...]
    patterns: tuple[Any, ...] = ()
    targets: tuple[str, ...] = ()


def compiled(discriminator: Resource, slice_: Node, known: Known) -> Discriminator | None:
    """Compile a discriminator for a slice; None where the slice says nothing of what it looks at."""
    steps = tuple(_steps(discriminator["path"]))
    wanted = _follow(slice_, steps, known)
    kind = _KINDS.get(discriminator["type"])
    found = None if kind is None else kind(wanted, known)
    if found is None:
        return None
    fits, wants = found
    path = ".".join(step.argument or f"{step.function}()" for step in steps) or "the value"

    def check(item: Item, run: Run) -> bool:
        return fits(_select(item, steps, run), run)

    return Discriminator(check, f"{path} {wants}")


def _steps(path: str) -> Iterator[Step]:
    for match in _STEPS.finditer(path.replace("$this", "").replace("[x]", "")):
        if match["name"]:
            yield Step("", match["name"])
        else:
            yield Step(match["function"], match["argument"].strip("'\" "))


def _select(item: Item, steps: tuple[Step, ...], run: Run) -> list[Item]:
    found = [item]
    for function, argument in steps:
        found = [each for one in found for each in _stepped(one, function, argument, run)]
    return found


def _stepped(item: Item, function: str, argument: str, run: Run) -> list[Item]:
    match function:
        case "":
            return children(item, argument)
        case "extension":
            return [e for e in children(item, "extension") if e.held.get("url") == argument]
        case "resolve":
            resource = references.resolved(item.value, run)
            return [] if resource is None else [of_resource(resource, item.path)]
        case _:
            return [item] if item.code == argument else []


def _follow(slice_: Node, steps: tuple[Step, ...], known: Known) -> _Wanted:
    wanted = _with_patterns(_Wanted((slice_,)))
    for function, argument in steps:
        match function:
            case "":
                nodes = [c for n in wanted.nodes if (c := _child(n, argument, known)) is not None]
                inner = (*_inside(wanted.patterns, argument), *_urls(wanted.nodes, argument))
                wanted = _with_patterns(_Wanted(tuple(nodes), inner))
            case "extension":
                found = [e for n in wanted.nodes for e in _extensions(n, argument)]
                wanted = _with_patterns(_Wanted(tuple(found)))
            case "resolve":
                targets = tuple(target for node in wanted.nodes for target in node.targets)
                roots = [root for target in targets if (root := known.root(target)) is not None]
                wanted = _Wanted(tuple(roots), targets=targets)
            case _:
                typed = [s for n in wanted.nodes for s in n.slices if argument in _codes(s)]
                wanted = _Wanted(tuple(typed) or wanted.nodes, wanted.patterns)
    return wanted


def _urls(nodes: tuple[Node, ...], name: str) -> Iterator[str]:
    """Yield the urls that slices of extensions have: those of the profiles they name."""
    for node in nodes if name == "url" else ():
        if "url" not in node.children and "Extension" in _codes(node):
            yield from (split(profile)[0] for profile in node.profiles)


def _child(node: Node, name: str, known: Known) -> Node | None:
    if (child := node.children.get(name)) is not None:
        return child
    if "Extension" in _codes(node) and name == "url":
        return None
    for profile in node.profiles:
        root = known.root(profile)
        if root is not None and name in root.children:
            return root.children[name]
    return None


def _extensions(node: Node, url: str) -> Iterator[Node]:
    extension = node.children.get("extension")
    for each in extension.slices if extension is not None else ():
        named = each.children.get("url")
        told = None if named is None else values.told(named.element, "fixed")
        if url in (told, *(split(profile)[0] for profile in each.profiles)):
            yield each


def _with_patterns(wanted: _Wanted) -> _Wanted:
    own = [
        told
        for node in wanted.nodes
        for prefix in ("fixed", "pattern")
        if (told := values.told(node.element, prefix)) is not None
    ]
    return _Wanted(wanted.nodes, (*wanted.patterns, *own), wanted.targets)


def _inside(patterns: tuple[Any, ...], name: str) -> Iterator[Any]:
    for pattern in patterns:
        for each in pattern if isinstance(pattern, list) else [pattern]:
            if isinstance(each, dict) and name in each:
                yield each[name]


def _codes(node: Node) -> frozenset[str]:
    return frozenset(read_type(each).code for each in node.element.get("type", ()))


Found = tuple[Callable[[list[Item], Run], bool], str]


def _by_value(wanted: _Wanted, known: Known) -> Found | None:
    tests = [test for node in wanted.nodes if (test := says(node, known)) is not None]
    if tests:
        said = " or ".join(words for node in wanted.nodes if (words := _in_words(node)))
        return _any_of(tests), said or "as the slice says"
    patterns = wanted.patterns
    if not patterns:
        return None
    return (
        lambda found, _: any(values.has_pattern(i.value, p) for i in found for p in patterns),
        f"= {' or '.join(map(values.spelt, patterns))}",
    )


def _any_of(tests: list[Fits]) -> Callable[[list[Item], Run], bool]:
    return lambda found, run: any(test(item, run) for item in found for test in tests)


def says(node: Node, known: Known) -> Fits | None:
    """Compile what an element and those below it say of values: fixed, pattern, required binding."""
    own = _own(node.element, known)
    below = [
        (child.name, test)
        for child in node.children.values()
        for each in (child, *(s for s in child.slices if s.min > 0))
        if (test := says(each, known)) is not None
    ]
    if own is None and not below:
        return None

    def fits(item: Item, run: Run) -> bool:
        return (own is None or own(item.value)) and all(
            any(test(each, run) for each in children(item, name)) for name, test in below
        )

    return fits


def _own(element: Resource, known: Known) -> values.Holds | None:
    if (wanted := values.wanted(element)) is not None:
        return wanted
    binding = element.get("binding", {})
    if binding.get("strength") != "required" or "valueSet" not in binding:
        return None
    url = binding["valueSet"]
    return lambda value: bindings.is_member(known.terminology, value, url) is not False


def _in_words(node: Node) -> str:
    for prefix in ("fixed", "pattern"):
        if (told := values.told(node.element, prefix)) is not None:
            return f"= {values.spelt(told)}"
    inner = (
        f"{child.name} {words}" for child in node.children.values() if (words := _in_words(child))
    )
    if below := " and ".join(inner):
        return f"with {below}"
    binding = node.element.get("binding", {})
    required = binding.get("strength") == "required"
    return f"from {binding.get('valueSet')}" if required else ""


def _by_existence(wanted: _Wanted, _: Known) -> Found | None:
    for node in wanted.nodes:
        if node.max == "0":
            return lambda found, _: not found, "absent"
        if node.min > 0:
            return lambda found, _: bool(found), "present"
    return None


def _by_type(wanted: _Wanted, known: Known) -> Found | None:
    targets = {known.type_of(target) for target in wanted.targets}
    codes = frozenset(t for t in targets if t) or frozenset(
        code for node in wanted.nodes for code in _codes(node)
    )
    if not codes:
        return None
    return (
        lambda found, _: any(item.code in codes for item in found),
        f"of type {' or '.join(sorted(codes))}",
    )


def _by_profile(wanted: _Wanted, known: Known) -> Found | None:
    profiles = wanted.targets or tuple(p for node in wanted.nodes for p in node.profiles)
    if not profiles:
        return None
    return (
        lambda found, run: any(
            known.conforms(item.value, profile, run) for item in found for profile in profiles
        ),
        f"conforming to {' or '.join(profiles)}",
    )


_KINDS: dict[str, Callable[[_Wanted, Known], Found | None]] = {
    "value": _by_value,
    "pattern": _by_value,
    "exists": _by_existence,
    "type": _by_type,
    "profile": _by_profile,
}
