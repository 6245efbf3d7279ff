"""A ValueSet's `compose`, compiled once to sets of codes, as far as its systems are held here.

What cannot be enumerated (SNOMED CT, ECL, a system that is not held) stays undecided, per system.
https://hl7.org/fhir/R4/valueset.html#compositions
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from r4.json import Resource
from terminology.concepts import Concepts, properties
from terminology.sources import Sources, canonical

Coding = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Members:
    """The codes of a value set: by system and code, with the systems where others may be in it too.

    `undecided` names those systems; `is_open` says that any system may have some.
    """

    codes: dict[str, dict[str, Coding]] = field(default_factory=dict)
    undecided: frozenset[str] = frozenset()
    is_open: bool = False

    @property
    def is_enumerable(self) -> bool:
        """Tell whether the codes are all of them."""
        return not self.undecided and not self.is_open

    def holds(self, system: str | None, code: str) -> bool | None:
        """Tell whether a code is in the set; None where that cannot be decided. No system: any."""
        if system is None:
            if any(code in codes for codes in self.codes.values()):
                return True
            return False if self.is_enumerable else None
        if (codes_of_system := self.codes.get(system)) is not None and code in codes_of_system:
            return True
        return None if self.is_open or system in self.undecided else False


OPEN = Members(is_open=True)


def members(sources: Sources, value_set: Resource, above: tuple[str, ...] = ()) -> Members:
    """Compile a ValueSet resource; `above` are the urls that import it (a circle is undecided)."""
    if "compose" not in value_set:
        return _expanded(value_set) if "expansion" in value_set else OPEN
    path = (*above, value_set.get("url", ""))
    compose = value_set["compose"]
    included = [_include(sources, include, path) for include in compose.get("include", [])]
    excluded = [_include(sources, exclude, path) for exclude in compose.get("exclude", [])]
    return reduce(_without, excluded, reduce(_union, included, Members()))


def _include(sources: Sources, include: Resource, path: tuple[str, ...]) -> Members:
    parts = [_imported(sources, url, path) for url in include.get("valueSet", [])]
    if "system" in include:
        parts.append(_of_system(sources, include))
    return reduce(_intersection, parts) if parts else OPEN


def _imported(sources: Sources, url: str, path: tuple[str, ...]) -> Members:
    value_set = sources.find("ValueSet", url)
    if value_set is None or value_set["url"] in path:
        return OPEN
    return members(sources, value_set, path)


def _of_system(sources: Sources, include: Resource) -> Members:
    system = canonical(include["system"])
    concepts = sources.concepts(system)
    if "concept" in include:
        known = concepts.by_code if concepts else {}
        listed = [{**known.get(each["code"], {}), **each} for each in include["concept"]]
        return Members({system: _codings(system, listed)})
    if concepts is None:
        return Members(undecided=frozenset({system}))
    if "filter" not in include:
        codes = {system: _codings(system, concepts.by_code.values())}
        return Members(codes, frozenset() if concepts.is_complete else frozenset({system}))
    return _filtered(system, concepts, include["filter"])


def _filtered(system: str, concepts: Concepts, filters: list[Resource]) -> Members:
    if not concepts.is_complete or any(each["op"] not in _FILTERS for each in filters):
        return Members(undecided=frozenset({system}))
    chosen = set(concepts.by_code)
    for each in filters:
        chosen &= _FILTERS[each["op"]](concepts, each["property"], each["value"])
    kept = [concept for code, concept in concepts.by_code.items() if code in chosen]
    return Members({system: _codings(system, kept)})


def _is_a(concepts: Concepts, _: str, value: str) -> frozenset[str]:
    return concepts.below(value) | {value}


def _descendent_of(concepts: Concepts, _: str, value: str) -> frozenset[str]:
    return concepts.below(value)


def _is_not_a(concepts: Concepts, _: str, value: str) -> frozenset[str]:
    return frozenset(concepts.by_code) - _is_a(concepts, _, value)


def _equals(concepts: Concepts, name: str, value: str) -> frozenset[str]:
    return frozenset(
        code
        for code, concept in concepts.by_code.items()
        if (name, value) in (("code", code), ("display", concept.get("display")))
        or any(name == has and value == _text(held) for has, held in properties(concept))
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_FILTERS: dict[str, Callable[[Concepts, str, str], frozenset[str]]] = {
    "is-a": _is_a,
    "descendent-of": _descendent_of,
    "is-not-a": _is_not_a,
    "=": _equals,
}


def _codings(system: str, concepts: Iterable[Resource]) -> dict[str, Coding]:
    return {concept["code"]: _coding(system, concept) for concept in concepts}


def _coding(system: str, concept: Resource) -> Coding:
    coding = {"system": system, "code": concept["code"]}
    return {**coding, "display": concept["display"]} if "display" in concept else coding


def _expanded(value_set: Resource) -> Members:
    codes: dict[str, dict[str, Coding]] = {}
    pending = list(value_set["expansion"].get("contains", []))
    while pending:
        entry = pending.pop(0)
        pending[:0] = entry.get("contains", [])
        if "code" in entry and "system" in entry and not entry.get("abstract"):
            system = canonical(entry["system"])
            codes.setdefault(system, {})[entry["code"]] = _coding(system, entry)
    return Members(codes)


def _union(left: Members, right: Members) -> Members:
    systems = {**left.codes, **right.codes}
    codes = {s: {**left.codes.get(s, {}), **right.codes.get(s, {})} for s in systems}
    return Members(codes, left.undecided | right.undecided, left.is_open or right.is_open)


def _intersection(left: Members, right: Members) -> Members:
    codes = {
        system: {code: coding for code, coding in held.items() if right.codes[system].get(code)}
        for system, held in left.codes.items()
        if system in right.codes
    }
    undecided = frozenset(
        {s for s in left.undecided if right.is_open or s in right.undecided or s in right.codes}
        | {s for s in right.undecided if left.is_open or s in left.codes}
        | {s for s in left.codes if right.is_open}
        | {s for s in right.codes if left.is_open}
    )
    return Members(codes, undecided, left.is_open and right.is_open)


def _without(left: Members, right: Members) -> Members:
    if right.is_open:
        return Members(undecided=left.undecided | frozenset(left.codes), is_open=left.is_open)
    codes = {
        system: {code: coding for code, coding in held.items() if not right.holds(system, code)}
        for system, held in left.codes.items()
        if system not in right.undecided
    }
    doubtful = frozenset(system for system in left.codes if system in right.undecided)
    return Members(codes, left.undecided | doubtful, left.is_open)
