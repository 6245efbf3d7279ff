"""A ValueSet's `compose`, compiled once: to sets of codes, and to rules over systems that are loaded.

What cannot be decided (a system that is not held, a filter that is not understood) stays undecided, per
system, and it is remembered why. https://hl7.org/fhir/R4/valueset.html#compositions
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Literal

from r4.json import Resource
from terminology import filters, rules
from terminology.concepts import Concepts
from terminology.rules import Rule
from terminology.sources import Sources, canonical

Coding = dict[str, Any]
Doubt = Literal["not-loaded", "unknown-system", "unsupported-filter"]


@dataclass(frozen=True, slots=True)
class Members:
    """The codes of a value set: by system and code, by rule, and where others may be in it too.

    `rules` hold what is in it of a loaded system besides `codes`; `doubts` says of each system in which
    others may be in the set why that is not known; `is_open`: any system may have some.
    """

    codes: dict[str, dict[str, Coding]] = field(default_factory=dict)
    undecided: frozenset[str] = frozenset()
    is_open: bool = False
    rules: dict[str, Rule] = field(default_factory=dict)
    doubts: dict[str, tuple[Doubt, str]] = field(default_factory=dict)

    def holds(self, system: str | None, code: str) -> bool | None:
        """Tell whether a code is in the set; None where that cannot be decided. No system: any.

        Of a code that a loaded system lacks, which is not there in full, nothing is decided.
        """
        if system is None:
            if any(code in codes for codes in self.codes.values()):
                return True
            if any(rule.holds(code) for rule in self.rules.values()):
                return True
            lacking = any(rule.is_lacking(code) for rule in self.rules.values())
            return None if self.undecided or self.is_open or lacking else False
        if (codes_of_system := self.codes.get(system)) is not None and code in codes_of_system:
            return True
        if (rule := self.rules.get(system)) is not None and rule.holds(code):
            return True
        lacking = rule is not None and rule.is_lacking(code)
        return None if self.is_open or system in self.undecided or lacking else False

    def has(self, system: str) -> bool:
        """Tell whether there are codes of a system that are known to be in the set."""
        return system in self.codes or system in self.rules


OPEN = Members(is_open=True)


def members(sources: Sources, value_set: Resource, above: tuple[str, ...] = ()) -> Members:
    """Compile a ValueSet resource; `above` are the urls that import it (a circle is undecided).

    An expansion that comes with a compose proves codes in, where the compose cannot be decided here; it
    proves none out.
    """
    if "compose" not in value_set:
        return _expanded(value_set) if "expansion" in value_set else OPEN
    path = (*above, value_set.get("url", ""))
    compose = value_set["compose"]
    included = [_include(sources, include, path) for include in compose.get("include", [])]
    excluded = [_include(sources, exclude, path) for exclude in compose.get("exclude", [])]
    found = reduce(_without, excluded, reduce(_union, included, Members()))
    if "expansion" in value_set and (found.undecided or found.is_open):
        listed = _expanded(value_set).codes
        doubtful = {s: held for s, held in listed.items() if found.is_open or s in found.undecided}
        return _union(found, Members(doubtful))
    return found


def _include(sources: Sources, include: Resource, path: tuple[str, ...]) -> Members:
    parts = [_imported(sources, url, path) for url in include.get("valueSet", [])]
    if "system" in include:
        parts.append(_of_system(sources, include))
    return reduce(_intersection, parts) if parts else OPEN


def _imported(sources: Sources, url: str, path: tuple[str, ...]) -> Members:
    value_set = sources.find("ValueSet", url)
    if value_set is None or value_set.get("url") in path:
        return OPEN
    return members(sources, value_set, path)


def _of_system(sources: Sources, include: Resource) -> Members:
    system, version = canonical(include["system"]), include.get("version")
    if "concept" in include:
        concepts = sources.concepts(system, version)
        known = concepts.by_code if concepts else {}
        listed = [{**known.get(each["code"], {}), **each} for each in include["concept"]]
        return Members({system: _codings(system, listed)})
    held = sources.system(system, version)
    if held is None:
        which = f"{system} version {version}" if version else system
        return _doubtful(system, sources.absence(system), f"{which} is not loaded")
    try:
        parts = [filters.rule(held, each) for each in include.get("filter", [])]
    except filters.FilterError as problem:
        return _doubtful(system, "unsupported-filter", str(problem))
    if isinstance(held, Concepts):
        return _listed(system, held, parts)
    chosen = reduce(rules.both, parts) if parts else rules.every(held)
    return Members(rules={system: chosen})


def _doubtful(system: str, doubt: Doubt, text: str) -> Members:
    return Members(undecided=frozenset({system}), doubts={system: (doubt, text)})


def _listed(system: str, concepts: Concepts, parts: list[Rule]) -> Members:
    partly = _doubtful(system, "not-loaded", f"{system} is held here in part")
    if not concepts.is_complete and parts:
        return partly
    kept = [
        concept
        for code, concept in concepts.by_code.items()
        if all(part.holds(code) for part in parts)
    ]
    found = Members({system: _codings(system, kept)})
    return found if concepts.is_complete else _union(found, partly)


def _codings(system: str, concepts: Iterable[Resource]) -> dict[str, Coding]:
    return {concept["code"]: _coding(system, concept) for concept in concepts}


def _coding(system: str, concept: Resource) -> Coding:
    coding = {"system": system, "code": concept["code"]}
    return {**coding, "display": concept["display"]} if "display" in concept else coding


def _expanded(value_set: Resource) -> Members:
    codes: dict[str, dict[str, Coding]] = {}
    pending = list(reversed(value_set["expansion"].get("contains", [])))
    while pending:
        entry = pending.pop()
        pending.extend(reversed(entry.get("contains", [])))
        if "code" in entry and "system" in entry and not entry.get("abstract"):
            system = canonical(entry["system"])
            codes.setdefault(system, {})[entry["code"]] = _coding(system, entry)
    return Members(codes)


def _union(left: Members, right: Members) -> Members:
    codes = {
        system: {**left.codes.get(system, {}), **right.codes.get(system, {})}
        for system in {**left.codes, **right.codes}
    }
    joined = {
        system: rules.either([held[system] for held in (left.rules, right.rules) if system in held])
        for system in {**left.rules, **right.rules}
    }
    return Members(
        codes,
        left.undecided | right.undecided,
        left.is_open or right.is_open,
        joined,
        {**right.doubts, **left.doubts},
    )


def _intersection(left: Members, right: Members) -> Members:
    codes: dict[str, dict[str, Coding]] = {}
    for one, other in ((left, right), (right, left)):
        for system, held in one.codes.items():
            if other.has(system):
                kept = {code: coding for code, coding in held.items() if other.holds(system, code)}
                codes[system] = codes.get(system, {}) | (kept | codes.get(system, {}))
    shared = {
        system: rules.both(rule, right.rules[system])
        for system, rule in left.rules.items()
        if system in right.rules
    }
    undecided = frozenset(
        {s for s in left.undecided if right.is_open or s in right.undecided or right.has(s)}
        | {s for s in right.undecided if left.is_open or left.has(s)}
        | {s for s in (*left.codes, *left.rules) if right.is_open}
        | {s for s in (*right.codes, *right.rules) if left.is_open}
    )
    doubts = {s: why for s, why in {**right.doubts, **left.doubts}.items() if s in undecided}
    return Members(codes, undecided, left.is_open and right.is_open, shared, doubts)


def _without(left: Members, right: Members) -> Members:
    if right.is_open:
        own = frozenset((*left.codes, *left.rules))
        return Members(undecided=left.undecided | own, is_open=left.is_open, doubts=left.doubts)
    codes = {
        system: {code: coding for code, coding in held.items() if not right.holds(system, code)}
        for system, held in left.codes.items()
        if system not in right.undecided
    }
    kept = {
        system: _less(rule, right, system)
        for system, rule in left.rules.items()
        if system not in right.undecided
    }
    doubtful = frozenset(
        system for system in (*left.codes, *left.rules) if system in right.undecided
    )
    doubts = {**{s: right.doubts[s] for s in doubtful if s in right.doubts}, **left.doubts}
    return Members(codes, left.undecided | doubtful, left.is_open, kept, doubts)


def _less(rule: Rule, right: Members, system: str) -> Rule:
    if not right.has(system):
        return rule
    return rules.without(rule, lambda code: right.holds(system, code) is True)
