"""What a value means to a search: the texts of a token, reference or uri; ranges; folded strings.

Both sides use it: the index for what is stored, a composite criterion for what is asked.
https://hl7.org/fhir/R4/search.html#ptypes
"""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from fhir_server.store.search.keys import bounds, storable
from r4.quantity import canonical
from r4.reference import Literal, literal
from terminology.systems import ALIASES, UCUM

FOREVER = (-(1 << 62), 1 << 62)
INFINITE = (-1.7e308, 1.7e308)
_CURRENCIES = "urn:iso:std:iso:4217"
_NO_TEXT = frozenset({"use", "type", "period", "extension", "id"})
_MARKUP = re.compile(r"<[^>]*>")
_TECHNICAL = frozenset({
    "system", "reference", "url", "id", "resourceType", "versionId", "lastUpdated", "data", "hash",
    "contentType", "linkId", "profile", "extension", "fullUrl",
})  # fmt: skip

Range = tuple[float, float]
Measure = tuple[str, str, str, Decimal | None, Decimal | None]


def tokens(value: Any, value_type: str) -> Iterator[tuple[str, str]]:
    """Yield system and code of each coding of a value, "" for one that is not there."""
    if isinstance(value, dict):
        if value_type == "CodeableConcept":
            for coding in value.get("coding", ()):
                yield known(coding.get("system")), coding.get("code", "")
        elif value_type in ("Identifier", "ContactPoint"):
            yield known(value.get("system")), value.get("value", "")
        elif value_type == "Extension":
            for held, kind in extended(value):
                yield from tokens(held, kind)
        else:
            yield known(value.get("system")), value.get("code", "")
    elif isinstance(value, bool):
        yield "", "true" if value else "false"
    else:
        yield "", str(value)


def extended(extension: Any) -> Iterator[tuple[Any, str]]:
    """Yield the value of an extension with its type."""
    for name, value in extension.items():
        if name.startswith("value"):
            kind = name.removeprefix("value")
            yield value, kind if isinstance(value, dict) else kind[0].lower() + kind[1:]


def forms(system: str, code: str, implied: str = "") -> tuple[str, ...]:
    """List the texts by which a coding is asked for: `*|code`, `system|code`, `|code`, `system|`.

    A code without a system may imply one (https://hl7.org/fhir/R4/search.html#token).
    """
    if not code:
        return (f"{system}|",) if system else ()
    if not system:
        own = f"*|{code}", f"|{code}"
        return (*own, f"{implied}|{code}", f"{implied}|") if implied else own
    return f"*|{code}", f"{system}|{code}", f"{system}|"


def asked(system: str | None, code: str) -> str:
    """Return the text that asks for a code: of a system, of none (""), or of any (None)."""
    return f"*|{code}" if system is None else f"{known(system)}|{code}"


def known(system: str | None) -> str:
    """Return the canonical uri of a system that may be an alias; "" for none."""
    return ALIASES.get(system, system) if system else ""


def displays(concept: Any) -> Iterator[str]:
    """Yield the text of a CodeableConcept, and the displays of its codings."""
    if "text" in concept:
        yield concept["text"]
    for coding in concept.get("coding", ()):
        if "display" in coding:
            yield coding["display"]


def target(value: Any) -> Literal | None:
    """Read the literal reference of a value, of a resource itself too; None for any other."""
    text = points_at(value) if isinstance(value, dict) else value
    return literal(text) if isinstance(text, str) else None


def points_at(value: Any) -> Any:
    """Return the text by which a Reference refers, or by which others refer to a resource."""
    if "resourceType" in value and "id" in value:
        return f"{value['resourceType']}/{value['id']}"
    return value.get("reference")


def uris(value: Any) -> Iterator[str]:
    """Yield a uri or canonical as it is and without its version."""
    if isinstance(value, str):
        yield value
        if "|" in value:
            yield value.partition("|")[0]


def names(canonical: str) -> Iterator[str]:
    """Yield the versions above a canonical's own (`url|1` of `url|1.2`), or `url|` where it has none."""
    url, bar, version = canonical.partition("|")
    yield from (f"{url}|{each}" for each in versions_above(version))
    if not bar:
        yield f"{url}|"


def versions_above(version: str) -> Iterator[str]:
    """Yield the versions that a version belongs to, without itself: 1.2 and 1 of 1.2.3."""
    while "." in version:
        version = version.rpartition(".")[0]
        yield version


def ancestors(uri: str) -> Iterator[str]:
    """Yield the uris above a uri, by its version and its path, itself first."""
    yield uri
    uri, _, version = uri.partition("|")
    yield from (f"{uri}|{each}" for each in versions_above(version))
    least = uri.find("://") + 3 if "://" in uri else 0
    while (end := uri.rfind("/")) >= least:
        uri = uri[:end]
        yield uri


def strings(value: Any, value_type: str = "") -> list[str]:
    """List the texts of a string, or of a HumanName's or Address's parts."""
    if value.__class__ is str:
        return [value]
    if value_type == "Extension":
        return [text for held, kind in extended(value) for text in strings(held, kind)]
    found: list[str] = []
    for part, text in value.items() if value.__class__ is dict else ():
        if part not in _NO_TEXT and part[:1] != "_":
            if text.__class__ is str:
                found.append(text)
            elif text.__class__ is list:
                found += [each for each in text if each.__class__ is str]
    return found


def periods(value: Any) -> Iterator[tuple[int, int]]:
    """Yield the inclusive bounds, in microseconds, of a date, dateTime, instant, Period or Timing."""
    if isinstance(value, str):
        if period := _interval(value):
            yield period
    elif isinstance(value, dict) and ("start" in value or "end" in value):
        start, end = _interval(value.get("start")), _interval(value.get("end"))
        yield (start[0] if start else FOREVER[0], end[1] if end else FOREVER[1])
    elif isinstance(value, dict):
        for event in value.get("event", ()):
            yield from periods(event)
        if bound := value.get("repeat", {}).get("boundsPeriod"):
            yield from periods(bound)


def _interval(text: str | None) -> tuple[int, int] | None:
    if not text:
        return None
    try:
        return bounds(text)
    except ValueError:
        return None


def numbers(value: Any) -> Iterator[Range]:
    """Yield the bounds of a number or Range."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        yield float(value), float(value)
    elif isinstance(value, dict) and ("low" in value or "high" in value):
        low, high = value.get("low", {}).get("value"), value.get("high", {}).get("value")
        yield (
            INFINITE[0] if low is None else float(low),
            INFINITE[1] if high is None else float(high),
        )


def quantities(value: Any) -> list[Measure]:
    """List system, code, unit text, least and greatest value (None: without end) of a quantity."""
    if value.__class__ is not dict:
        return []
    if "currency" in value:
        return [(_CURRENCIES, value["currency"], "", value.get("value"), value.get("value"))]
    if "value" in value:
        least = greatest = value["value"]
        if "comparator" in value:
            least, greatest = _compared(least, value["comparator"])
        return [(*_unit(value), least, greatest)]
    if "low" in value or "high" in value:
        low, high = value.get("low", {}), value.get("high", {})
        return [(*_unit(low or high), low.get("value"), high.get("value"))]
    return _sampled(value) if "origin" in value else []


def _unit(quantity: Any) -> tuple[str, str, str]:
    return quantity.get("system", ""), quantity.get("code", ""), quantity.get("unit", "")


def _compared(number: Decimal, comparator: str) -> tuple[Decimal | None, Decimal | None]:
    if comparator in ("<", "<="):
        return None, number
    return (number, None) if comparator in (">", ">=") else (number, number)


def _sampled(value: Any) -> list[Measure]:
    points = [Decimal(t) for t in value.get("data", "").split() if re.fullmatch(r"-?[\d.]+", t)]
    if not points:
        return []
    zero, factor = value["origin"].get("value", 0), value.get("factor", 1)
    ends = sorted((zero + factor * min(points), zero + factor * max(points)))
    return [(*_unit(value["origin"]), ends[0], ends[1])]


def unit_text(system: str, code: str) -> str:
    """Return the text of a coded unit: the base unit of its kind for UCUM, as written for others."""
    if system == UCUM and (one := canonical(1, code)) is not None:
        return f"ucum|{one[1]}"
    return f"{system}|{code}"


def scaled(system: str, code: str, value: Decimal) -> Decimal:
    """Return a value in the unit of `unit_text`."""
    found = canonical(value, code) if system == UCUM else None
    return value if found is None else found[0]


def bounded(low: Decimal | None, high: Decimal | None) -> Range:
    """Return the bounds as floats, infinite where they are open."""
    if low is high and low is not None:
        return (float(low),) * 2
    return (
        INFINITE[0] if low is None else float(low),
        INFINITE[1] if high is None else float(high),
    )


def words(resource: Any) -> str:
    """Join the texts of a resource that a person would look for; markup is left out."""
    found: list[str] = []
    nodes = [resource]
    for node in nodes:  # it grows while it is walked
        if node.__class__ is dict:
            for name, child in node.items():
                if name not in _TECHNICAL:
                    kind = child.__class__
                    if kind is str:
                        found.append(child)
                    elif kind is list:
                        nodes += child
                    elif kind is dict:
                        nodes.append(child)
        elif node.__class__ is str:
            found.append(node)
    text = " ".join(found)
    return unmarked(found) if "<" in text else storable(text)


def unmarked(texts: Iterable[str]) -> str:
    """Join texts, those that are markup without it."""
    kept = [_MARKUP.sub(" ", text) if text[:1] == "<" else text for text in texts]
    return storable(" ".join(kept))
