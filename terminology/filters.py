"""The filters of a ValueSet's `compose`: each a rule over one code system.

https://hl7.org/fhir/R4/valueset-filter-operator.html
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from r4.json import Resource
from terminology import ecl, rules
from terminology.grammars import GRAMMARS
from terminology.loaded import LoadedSystem
from terminology.rules import Rule
from terminology.systems import SNOMED_CT

LONGEST_PATTERN = 200
"""Most characters of a regular expression, and MOST_REPEATS of its repetitions."""
MOST_REPEATS = 3
_LONGEST_TEXT = 500
_CODE = ("code", "concept")


class FilterError(ValueError):
    """The filter is not one that is understood here; the message says what of it."""


def rule(system: LoadedSystem, each: Resource) -> Rule:
    """Return the codes of a system that a filter takes; raises FilterError."""
    name, operator, value = (str(each.get(key, "")) for key in ("property", "op", "value"))
    if system.url == SNOMED_CT and (found := _of_snomed(system, name, operator, value)) is not None:
        return found
    if system.url in GRAMMARS and name not in _CODE:
        raise FilterError(f"The filter {name} {operator} of {system.url} is not supported here.")
    if operator in _HIERARCHY:
        return _HIERARCHY[operator](system, value)
    if operator not in _TESTS:
        raise FilterError(f"The filter {name} {operator} is not supported here.")
    accepts = _TESTS[operator](value)
    return rules.those(system, lambda code: accepts(_values(system, code, name)))


def _of_snomed(system: LoadedSystem, name: str, operator: str, value: str) -> Rule | None:
    """Return what only SNOMED CT has; https://hl7.org/fhir/R4/snomedct.html#filters."""
    if (name, operator) == ("constraint", "="):
        try:
            return ecl.rule(system, value)
        except ecl.EclError as problem:
            raise FilterError(str(problem)) from None
    if (name, operator) == ("concept", "in"):
        return rules.members(system, value.lstrip("^ ").partition("|")[0].strip())
    return None


def _is_a(system: LoadedSystem, value: str) -> Rule:
    return rules.either([rules.some(system, [value]), rules.below(system, value)])


def _is_not_a(system: LoadedSystem, value: str) -> Rule:
    return rules.those(system, lambda code: not system.subsumes(value, code))


def _generalizes(system: LoadedSystem, value: str) -> Rule:
    return rules.either([rules.some(system, [value]), rules.above(system, value)])


_HIERARCHY: dict[str, Callable[[LoadedSystem, str], Rule]] = {
    "is-a": _is_a,
    "descendent-of": rules.below,
    "is-not-a": _is_not_a,
    "generalizes": _generalizes,
    "child-of": rules.children,
}


def _equals(value: str) -> Callable[[list[str]], bool]:
    return lambda held: value in held


def _one_of(value: str) -> Callable[[list[str]], bool]:
    named = {each.strip() for each in value.split(",")}
    return lambda held: any(each in named for each in held)


def _none_of(value: str) -> Callable[[list[str]], bool]:
    is_one = _one_of(value)
    return lambda held: not is_one(held)


def _exists(value: str) -> Callable[[list[str]], bool]:
    if value not in ("true", "false"):
        raise FilterError(f"The filter exists takes true or false, not {value!r}.")
    return lambda held: bool(held) == (value == "true")


def _matches(value: str) -> Callable[[list[str]], bool]:
    pattern = compiled(value)
    return lambda held: any(
        len(each) <= _LONGEST_TEXT and pattern.fullmatch(each) is not None for each in held
    )


_TESTS: dict[str, Callable[[str], Callable[[list[str]], bool]]] = {
    "=": _equals,
    "in": _one_of,
    "not-in": _none_of,
    "exists": _exists,
    "regex": _matches,
}


def _values(system: LoadedSystem, code: str, name: str) -> list[str]:
    """Return the texts of a code's property; `parent` and `child` are those of the hierarchy."""
    if name in _CODE:
        return [code]
    concept = system.concept(code)
    if concept is None:
        return []
    if name == "display":
        return [] if concept.display is None else [concept.display]
    held = [_text(value) for has, value in concept.properties if has == name]
    if name == "parent" and not held:
        held += rules.parents(system, code).codes()
    if name == "child" and not held:
        held += rules.children(system, code).codes()
    return held


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("code", ""))
    return str(value).lower() if isinstance(value, bool) else str(value)


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a regular expression that is certain to be answered soon; raises FilterError.

    Whoever sends a value set sends its expressions: repetitions inside a repetition, more than a few of
    them, references back and look-around may take for ever, and are refused.
    """
    if len(pattern) > LONGEST_PATTERN:
        raise FilterError(f"A regular expression has at most {LONGEST_PATTERN} characters.")
    try:
        expression = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as problem:
        raise FilterError(f"{pattern!r} is not a regular expression: {problem}.") from None
    groups, repeats = [False], 0
    for kind in _parts(pattern):
        if kind == "(":
            groups.append(False)
        elif kind == "repeat":
            repeats += 1
            groups[-1] = True
        elif kind == "|":
            groups[-1] = True
        elif kind in (")", "repeated"):
            varies = groups.pop()
            groups[-1] = groups[-1] or varies
            if kind == "repeated" and varies:
                raise FilterError(f"{pattern!r} repeats what repeats or varies.")
            repeats += kind == "repeated"
    if repeats > MOST_REPEATS:
        raise FilterError(f"{pattern!r} has more than {MOST_REPEATS} repetitions.")
    return expression


_PART = re.compile(
    r"\\(?P<back>[1-9])|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(?P<look>\(\?(?!:))|(?P<open>\((?:\?:)?)"
    r"|(?P<repeated>\)(?:[*+]|\{\d*,?\d*\}))|(?P<close>\))|(?P<option>\?)"
    r"|(?P<repeat>[*+]|\{\d*,\d*\}|\{\d{3,}\})|(?P<or>\|)|.",
    re.DOTALL,
)
_NAMES = {"open": "(", "close": ")", "or": "|", "repeated": "repeated", "repeat": "repeat"}


def _parts(pattern: str) -> Iterator[str]:
    """Yield what a pattern has of groups, repetitions and alternatives."""
    for found in _PART.finditer(pattern):
        kind = found.lastgroup or ""
        if kind in ("back", "look"):
            raise FilterError(f"{pattern!r} refers back or looks around: that is not supported.")
        if kind == "option":
            yield "|"
        elif kind in _NAMES:
            yield _NAMES[kind]
