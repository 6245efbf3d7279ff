"""Search as the specification words it, over resources in memory: what SQL search is compared with.

It shares FHIRPath and dates with the server, and nothing of its index.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from typing import Any

from r4 import dates, definitions, fhirpath
from r4.json import Resource
from r4.quantity import canonical
from r4.reference import literal
from terminology import Terminology
from terminology.systems import ALIASES, UCUM

Values = list[tuple[Any, str]]


def resolve(reference: str) -> Resource | None:
    found = literal(reference)
    return None if found is None else {"resourceType": found.type, "id": found.id}


def around(resource: Resource) -> fhirpath.Environment:
    return fhirpath.Environment(resource=resource, root_resource=resource, resolve=resolve)


def values(expression: str, resource: Resource) -> Values:
    return fhirpath.compile(expression).typed(resource, around(resource))


def codings(value: Any, kind: str) -> Iterator[tuple[str, str]]:
    if kind == "CodeableConcept":
        for coding in value.get("coding", []):
            yield from codings(coding, "Coding")
    elif kind in ("Identifier", "ContactPoint"):
        yield ALIASES.get(value.get("system"), value.get("system", "")), value.get("value", "")
    elif kind == "Coding":
        yield ALIASES.get(value.get("system"), value.get("system", "")), value.get("code", "")
    elif isinstance(value, bool):
        yield "", str(value).lower()
    elif not isinstance(value, dict):
        yield "", str(value)


def fold(text: str) -> str:
    bare = unicodedata.normalize("NFKD", text)
    kept = "".join(
        c for c in bare if unicodedata.category(c) != "Mn" and not unicodedata.combining(c)
    )
    return " ".join(kept.casefold().split())


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key not in ("use", "type", "period", "id", "extension") and key[0] != "_":
                yield from texts(each)


def spans(value: Any) -> Iterator[tuple[float, float]]:
    """Yield the half-open spans of a date, Period or Timing."""
    if isinstance(value, str):
        try:
            yield dates.interval(value)
        except ValueError:
            return
    elif "start" in value or "end" in value:
        start = next(spans(value["start"]), None) if "start" in value else None
        end = next(spans(value["end"]), None) if "end" in value else None
        yield (start[0] if start else float("-inf"), end[1] if end else float("inf"))
    else:
        for event in value.get("event", []):
            yield from spans(event)
        if "boundsPeriod" in value.get("repeat", {}):
            yield from spans(value["repeat"]["boundsPeriod"])


def measure(value: Any) -> tuple[Any, ...] | None:
    """Return (unit, value) of a plain quantity: in the base unit of its kind, if its unit is UCUM."""
    if not isinstance(value, dict) or "value" not in value or "comparator" in value:
        return None
    system, code = value.get("system", ""), value.get("code", "")
    if not code:
        return None
    if system == UCUM and (found := canonical(Decimal(value["value"]), code)):
        return "ucum", found[1], found[0]
    return system, code, Decimal(value["value"])


def precision(text: str) -> tuple[Decimal, Decimal]:
    value = Decimal(text)
    half = Decimal(1).scaleb(int(value.as_tuple().exponent)) / 2
    return value - half, value + half


Predicate = Callable[[Values], bool]
Question = tuple[str, Predicate]


def escaped(text: str) -> str:
    for character in "\\,|$":
        text = text.replace(character, f"\\{character}")
    return text


@cache
def terminology() -> Terminology:
    return Terminology.load()


def implicit(expression: str) -> str:
    """Return the one system that the codes of an expression can have, by their required binding."""
    systems = {
        system for path in re.findall(r"[A-Z]\w+(?:\.\w+)+", expression) for system in bound(path)
    }
    return systems.pop() if len(systems) == 1 else ""


def bound(path: str) -> set[str]:
    """Return the systems of the value set that binds the element at a path, types being stepped into."""
    kind, *steps = path.split(".")
    element: Resource = {}
    for step in steps:
        here = element.get("path") or kind
        elements = definitions.structure(here.partition(".")[0])["snapshot"]["element"]  # type: ignore[index]
        found = [e for e in elements if e["path"] == f"{here}.{step}"]
        if not found:  # not an element of the backbone: of the data type that stands here
            here = element["type"][0]["code"] if element else here
            elements = (definitions.structure(here) or {"snapshot": {"element": []}})["snapshot"][
                "element"
            ]
            found = [e for e in elements if e["path"] == f"{here}.{step}"]
        if not found:
            return set()
        element = found[0]
    binding = element.get("binding", {})
    if element["type"][0]["code"] != "code" or binding.get("strength") != "required":
        return set()
    members = terminology().members(binding["valueSet"])
    return set() if members is None or members.is_open else {*members.codes, *members.undecided}


def coded(found: Values, expression: str) -> Iterator[Question]:
    """Ask for codes by the system that they imply (https://hl7.org/fhir/R4/search.html#token)."""
    system = implicit(expression)
    for value, kind in found:
        if system and kind == "code":
            yield (
                f"{escaped(system)}|{escaped(value)}",
                lambda v, w=value: any(w == each for each, kind in v if kind == "code"),
            )


def token(found: Values) -> Iterator[Question]:
    for value, kind in found:
        for system, code in codings(value, kind):
            if code:
                wanted = (system, code)
                text = f"{escaped(system)}|{escaped(code)}" if system else f"|{escaped(code)}"
                yield text, lambda v, w=wanted: any(w in codings(*each) for each in v)
                yield (
                    escaped(code),
                    lambda v, w=code: any(w == c for each in v for _, c in codings(*each)),
                )


def reference(found: Values) -> Iterator[Question]:
    for value, _ in found:
        place = (
            f"{value['resourceType']}/{value['id']}"
            if isinstance(value, dict) and {"resourceType", "id"} <= set(value)
            else value
            if isinstance(value, str)
            else value.get("reference", "")
        )
        read = literal(place)
        if read and read.base is None:
            wanted = f"{read.type}/{read.id}"
            yield wanted, lambda v, w=wanted: any(refers(each, w) for each, _ in v)
        elif place and not place.startswith("#") and ":" in place:
            yield escaped(place), lambda v, w=place: any(refers(each, w) for each, _ in v)


def refers(value: Any, wanted: str) -> bool:
    if isinstance(value, dict) and "resourceType" in value:
        return f"{value['resourceType']}/{value.get('id')}" == wanted
    text = value if isinstance(value, str) else value.get("reference", "")
    read = literal(text)
    if read and read.base is None:
        return f"{read.type}/{read.id}" == wanted
    return wanted in (text, text.partition("|")[0])


def string(found: Values) -> Iterator[Question]:
    for value, _ in found:
        for text in texts(value):
            if fold(text):
                wanted = fold(text)[:12].strip()
                yield (
                    escaped(wanted),
                    lambda v, w=wanted: any(
                        fold(t).startswith(w) for each, _ in v for t in texts(each)
                    ),
                )


def uri(found: Values) -> Iterator[Question]:
    for value, _ in found:
        if isinstance(value, str):
            yield (
                escaped(value),
                lambda v, w=value: any(
                    w in (e, e.partition("|")[0]) for e, _ in v if isinstance(e, str)
                ),
            )


def date(found: Values) -> Iterator[Question]:
    for value, _ in found:
        text = value if isinstance(value, str) else value.get("start") or value.get("end")
        if not isinstance(text, str) or not list(spans(text)):
            continue
        start, end = dates.interval(text)
        for prefix, meets in (
            ("", lambda s, a=start, b=end: a <= s[0] and s[1] <= b),
            ("ge", lambda s, a=start: s[1] > a),
            ("lt", lambda s, a=start: s[0] < a),
            ("sa", lambda s, b=end: s[0] >= b),
            ("eb", lambda s, a=start: s[1] <= a),
        ):
            yield (
                f"{prefix}{text}",
                lambda v, m=meets: any(m(span) for each, _ in v for span in spans(each)),
            )


def number(found: Values) -> Iterator[Question]:
    for value, _ in found:
        if not isinstance(value, dict):
            low, high = precision(str(value))
            yield (
                str(value),
                lambda v, a=low, b=high: any(
                    a <= Decimal(e) < b for e, _ in v if not isinstance(e, dict)
                ),
            )


def quantity(found: Values) -> Iterator[Question]:
    for value, _ in found:
        wanted = measure(value)
        if wanted is not None:
            text = f"ge{value['value']}|{escaped(value.get('system', ''))}|{escaped(value['code'])}"
            if value.get("system"):
                yield text, lambda v, w=wanted: any(at_least(e, w) for e, _ in v)


def at_least(value: Any, wanted: tuple[Any, ...]) -> bool:
    """Tell whether a quantity reaches another of its kind; Ranges and comparators reach by their end."""
    if not isinstance(value, dict):
        return False
    if "low" in value or "high" in value:
        return "high" not in value or at_least(value["high"], wanted)
    if value.get("comparator") in (">", ">="):
        own = measure({k: v for k, v in value.items() if k != "comparator"})
        return own is not None and own[:2] == wanted[:2]
    own = measure({k: v for k, v in value.items() if k != "comparator"})
    return own is not None and own[:2] == wanted[:2] and own[2] >= wanted[2]


QUESTIONS: dict[str, Callable[[Values], Iterator[Question]]] = {
    "token": token,
    "reference": reference,
    "string": string,
    "uri": uri,
    "date": date,
    "number": number,
    "quantity": quantity,
}
