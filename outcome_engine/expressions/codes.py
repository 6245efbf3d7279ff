"""Codes that definitions name: none without its system, none that its system does not have.

Only what the registry's packages carry is known here; codes of systems that an operator loads are
named through value sets.
"""

from collections.abc import Iterator
from functools import cache

from outcome_engine.expressions.syntax import Column, Constant, Node, Operation, conjuncts
from r4 import artefacts
from terminology.systems import CSOR

_SYSTEM, _CODE = "_system", "_code"


class UnknownCodeError(Exception):
    """What a definition names and nobody defines."""


def known_value_set(url: str) -> None:
    """Raise UnknownCodeError for a value set that the registry does not carry."""
    if url not in artefacts.by_url("terminology", "ValueSet"):
        raise UnknownCodeError(f"there is no value set `{url}`.")


def check(node: Node, systems: tuple[tuple[str, str], ...] = ()) -> None:
    """Raise UnknownCodeError where a code is compared without its system, or is not one of it.

    systems: what the conjunction around the node says of systems: (name of the coding, url).
    """
    if not isinstance(node, Operation):
        return
    if node.operator == "and":
        parts = conjuncts(node)
        found = tuple(pair for part in parts for pair in _systems(part))
        for part in parts:
            check(part, (*systems, *found))
        return
    systems = (*systems, *_systems(node))
    for coding, code in _codes(node):
        _check(coding, code, systems)
    for each in node.operands:
        check(each, systems)


def _systems(node: Node) -> Iterator[tuple[str, str]]:
    for name, value in _named(node, _SYSTEM):
        if value.startswith(CSOR) and value not in _code_systems():
            raise UnknownCodeError(f"there is no code system `{value}`.")
        yield name, value


def _codes(node: Node) -> Iterator[tuple[str, str]]:
    yield from _named(node, _CODE)


def _named(node: Node, suffix: str) -> Iterator[tuple[str, str]]:
    """Yield what a comparison with literals says of a column: its name without suffix, and each."""
    if not isinstance(node, Operation) or node.operator not in ("=", "!=", "in"):
        return
    columns = [each for each in node.operands if isinstance(each, Column)]
    for column in columns:
        if column.name.endswith(suffix):
            for each in node.operands:
                if isinstance(each, Constant):
                    yield column.name.removesuffix(suffix), str(each.value)


def _check(coding: str, code: str, systems: tuple[tuple[str, str], ...]) -> None:
    named = [system for name, system in systems if name == coding]
    if not named:
        raise UnknownCodeError(
            f"the code `{code}` stands without its system: "
            f"`{coding}_system = '...' and {coding}_code = '{code}'`."
        )
    for system in named:
        known = _code_systems().get(system)
        if known is not None and code not in known:
            raise UnknownCodeError(f"the code system `{system}` has no code `{code}`.")


@cache
def _code_systems() -> dict[str, frozenset[str]]:
    return {
        url: frozenset(_all_codes(system))
        for url, system in artefacts.by_url("terminology", "CodeSystem").items()
        if url.startswith(CSOR) and system["content"] == "complete"
    }


def _all_codes(holder: dict[str, object]) -> Iterator[str]:
    for concept in holder.get("concept", []):  # type: ignore[attr-defined]
        yield concept["code"]
        yield from _all_codes(concept)
