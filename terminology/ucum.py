"""Units of measure, read by a library that knows UCUM's grammar and its units; each unit once.

The library is imported when the first unit is read: it takes a fifth of a second, and a server that is
sent no unit needs none. https://ucum.org/ucum
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

LONGEST = 200
"""Most characters of a unit that is read: the time that reading takes grows with them."""

_TEN = ("10*", "10^")
_BETWEEN = {"annotatable": "^", "component": " "}
_OVER = re.compile(" [*/] ")


@dataclass(frozen=True, slots=True)
class Unit:
    """What a unit is called, in words; None, and why: the text is no unit."""

    name: str | None
    problem: str = ""


@lru_cache(maxsize=8192)
def read(code: str) -> Unit:
    """Read a unit by its case-sensitive code."""
    if len(code) > LONGEST:
        return Unit(None, f"a unit has at most {LONGEST} characters here")
    library = _library()
    try:
        tree = library.parse_ucum(code, _parser())
    except library.InvalidUcumError as refusal:
        return Unit(None, _problem(code, refusal))
    return Unit(_named(tree))


def version() -> str:
    """Return the version of UCUM that is known here."""
    return str(_library().xml_util.root.attrib["version"])


@cache
def _library() -> Any:
    import ucumvert  # noqa: PLC0415 - a server that is sent no unit starts without it

    return ucumvert


@cache
def _parser() -> Any:
    return _library().get_ucum_parser()


def _problem(code: str, refusal: Exception) -> str:
    """Say where reading a text came to its end; what the library reports is the cause's place."""
    place = getattr(refusal.__cause__, "pos_in_stream", None)
    if not isinstance(place, int) or not 0 <= place < len(code):
        return "it ends before the unit does" if code else "it is empty"
    return f"it stops being a unit at {code[place]!r}, its character {place + 1}"


@cache
def _names() -> tuple[dict[str, str], dict[str, str]]:
    """Return the names of prefixes and of units by their codes."""
    table = _library().xml_util.root
    prefixes, bases, units = (
        {
            each.attrib["Code"]: str(each.findtext("{*}name"))
            for each in table.iterfind(f".//{{*}}{kind}")
        }
        for kind in ("prefix", "base-unit", "unit")
    )
    return prefixes, bases | units


def _named(node: Any) -> str:
    """Spell a unit that has been read, from its tree: `kilogram / meter^2`."""
    kind = getattr(node, "type", None)
    if kind is not None:
        spell = _SPELT.get(kind)
        return spell(str(node)) if spell else str(node)
    if node.data == "term":
        first, operator, last = node.children
        left = _named(first) if _data(first) == "term" else _inner(first)
        return f"{left}{_named(operator)}{_inner(last)}"
    if node.data == "main_term" and len(node.children) == 1:
        return _named(node.children[0])
    return _BETWEEN.get(node.data, "").join(map(_inner, node.children))


def _inner(node: Any) -> str:
    """Spell a part of a unit, in brackets where it has several factors."""
    text = _named(node)
    return f"({text})" if _data(node) in ("term", "main_term") and _OVER.search(text) else text


def _data(node: Any) -> str:
    return str(getattr(node, "data", ""))


def _unit(code: str) -> str:
    return "10" if code in _TEN else _names()[1].get(code, code)


_SPELT: dict[str, Callable[[str], str]] = {
    "PREFIX_SHORT": lambda code: _names()[0].get(code, code),
    "PREFIX_LONG": lambda code: _names()[0].get(code, code),
    "UNIT_METRIC": _unit,
    "UNIT_NON_METRIC": _unit,
    "ANNOTATION": lambda text: text[1:-1],
    "OPERATOR": lambda text: " / " if text == "/" else " * ",
    "DIVIDE": lambda _: "1 / ",
}
