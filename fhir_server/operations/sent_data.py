"""Which resources that a caller has sent along a search finds, as far as that can be told of them.

https://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-populate (parameter `data`)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.store.search import expressions
from fhir_server.store.search.parameters import Parameter, parameters
from fhir_server.store.search.parse import split, unescape
from fhir_server.store.search.results import is_result
from r4 import dates, fhirpath
from r4.issue import Issue
from r4.json import Resource

Pairs = Sequence[tuple[str, str]]

_OF_THE_CHILD = ("patient", "subject")
_BEYOND_ID = ("_sort", "_count")
_ORDERS: dict[str, Callable[[tuple[int, int], tuple[int, int]], bool]] = {
    "ge": lambda held, asked: held[1] > asked[0],
    "gt": lambda held, asked: held[1] > asked[1],
    "le": lambda held, asked: held[0] < asked[1],
    "lt": lambda held, asked: held[0] < asked[0],
    "eq": lambda held, asked: asked[0] <= held[0] and held[1] <= asked[1],
    "ne": lambda held, asked: not (asked[0] <= held[0] and held[1] <= asked[1]),
}
_ALWAYS = (-(2**62), 2**62)


@dataclass(frozen=True, slots=True)
class Sent:
    """The resources that a caller sent, which are about one child unless several Patients are among them."""

    entries: tuple[tuple[str, Resource], ...] = ()
    """The fullUrl, or "", and the resource of each entry."""

    def read(self, reference: str) -> Resource | None:
        """Return the resource that a reference names by its fullUrl, or by its type and id."""
        for url, resource in self.entries:
            if reference in (url, f"{resource['resourceType']}/{resource.get('id')}"):
                return resource
        return None

    def has(self, resource_type: str) -> bool:
        """Tell whether a resource of a type was sent."""
        return any(each["resourceType"] == resource_type for _, each in self.entries)

    def search(self, resource_type: str, pairs: Pairs) -> tuple[list[Resource], list[Issue]]:
        """Return the resources of a type that pairs find, and which pairs could not be held to them.

        Tokens, references, dates and texts are compared; modifiers and chains are not. What was sent
        speaks of its one child by an id of another server: the child's parameters find all of it.
        """
        found = [each for _, each in self.entries if each["resourceType"] == resource_type]
        known = parameters(resource_type)
        issues: list[Issue] = []
        for name, value in pairs:
            if name in _BEYOND_ID or (name in _OF_THE_CHILD and self._is_of_one_child()):
                continue
            test = None if is_result(name) else _test(known.get(name), name, value)
            if test is None:
                text = f"{name}={value} was not applied to the data that were sent along."
                issues.append(Issue("information", "informational", text, None, "populate"))
            else:
                found = [each for each in found if test(each)]
        return _first(_sorted(found, dict(pairs), known), dict(pairs)), issues

    def _is_of_one_child(self) -> bool:
        return len([1 for _, each in self.entries if each["resourceType"] == "Patient"]) <= 1


def _test(parameter: Parameter | None, name: str, value: str) -> Callable[[Resource], bool] | None:
    """Return whether a resource has one of the values of a parameter; None where that is not told."""
    wanted = [unescape(each) for each in split(value, ",")]
    if name == "_id":
        return lambda resource: str(resource.get("id")) in wanted
    compare = None if parameter is None else _COMPARED.get(parameter.type)
    if parameter is None or compare is None:
        return None

    def has_one(resource: Resource) -> bool:
        held = _held(parameter, resource)
        return any(compare(value, each) for value in held for each in wanted)

    return has_one


def _held(parameter: Parameter, resource: Resource) -> list[Any]:
    compiled = fhirpath.compile(parameter.expression)
    return compiled(resource, expressions.environment(resource))


def _token(held: Any, wanted: str) -> bool:
    system, bar, code = wanted.rpartition("|")
    return any(
        code in ("", held_code) and (not bar or system == held_system)
        for held_system, held_code in _codes(held)
    )


def _codes(held: Any) -> Iterator[tuple[str, str]]:
    """Yield the systems and codes of a concept, a coding, an identifier, a contact or a plain value."""
    if not isinstance(held, dict):
        yield "", str(held).lower() if isinstance(held, bool) else str(held)
        return
    for each in held.get("coding", [held]):
        yield each.get("system", ""), str(each.get("code", each.get("value", "")))


def _reference(held: Any, wanted: str) -> bool:
    text = held.get("reference", "") if isinstance(held, dict) else str(held)
    return bool(text) and (text == wanted or text.endswith(f"/{wanted}"))


def _string(held: Any, wanted: str) -> bool:
    texts = [held] if isinstance(held, str) else _texts(held)
    return any(text.lower().startswith(wanted.lower()) for text in texts)


def _texts(held: Any) -> list[str]:
    if isinstance(held, dict):
        return [text for each in held.values() for text in _texts(each)]
    if isinstance(held, list):
        return [text for each in held for text in _texts(each)]
    return [held] if isinstance(held, str) else []


def _date(held: Any, wanted: str) -> bool:
    prefix, text = (wanted[:2], wanted[2:]) if wanted[:2] in _ORDERS else ("eq", wanted)
    try:
        return _ORDERS[prefix](_interval(held), dates.interval(text))
    except ValueError:
        return False


def _interval(held: Any) -> tuple[int, int]:
    """Return the time that a date or a Period covers, in microseconds; raises ValueError for neither."""
    if not isinstance(held, dict):
        return dates.interval(str(held))
    start, end = held.get("start"), held.get("end")
    low = dates.interval(start)[0] if start else _ALWAYS[0]
    return low, dates.interval(end)[1] if end else _ALWAYS[1]


_COMPARED: dict[str, Callable[[Any, str], bool]] = {
    "token": _token,
    "reference": _reference,
    "string": _string,
    "date": _date,
    "uri": lambda held, wanted: held == wanted,
}


def _sorted(
    found: list[Resource], asked: dict[str, str], known: Mapping[str, Parameter]
) -> list[Resource]:
    """Sort by the dates or texts of one parameter; what has none comes last."""
    code = asked.get("_sort", "").removeprefix("-")
    if code not in known:
        return found
    is_down = asked["_sort"].startswith("-")
    keyed = [(_key(known[code], each), each) for each in found]
    there = sorted((pair for pair in keyed if pair[0]), key=lambda pair: pair[0], reverse=is_down)
    return [each for _, each in there] + [each for key, each in keyed if not key]


def _key(parameter: Parameter, resource: Resource) -> tuple[Any, ...]:
    for held in _held(parameter, resource):
        try:
            return (_interval(held),) if parameter.type == "date" else (str(held),)
        except ValueError:
            continue
    return ()


def _first(found: list[Resource], asked: dict[str, str]) -> list[Resource]:
    count = asked.get("_count", "")
    return found[: int(count)] if count.isascii() and count.isdecimal() else found
