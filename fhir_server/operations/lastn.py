"""Observation/$lastn: the last observations of each code, newest first.

https://hl7.org/fhir/R4/observation-operation-lastn.html
"""

from collections.abc import Iterable, Iterator

from fhir_server.context import Context
from fhir_server.interactions.permitted import asked
from fhir_server.interactions.search import Pairs, entry, searchset
from fhir_server.store import read as store
from fhir_server.store.read import Stored
from fhir_server.store.search import values
from fhir_server.store.search.refusal import bad
from fhir_server.store.search.results import is_result
from fhir_server.store.told import tells
from r4.json import Resource, decode

MOST = 10_000
"""Most matches that are read for their codes and times."""
_SUBJECT = frozenset({"subject", "patient"})
_CODED = ("category", "code", "combo-code", "component-code")
_LONGEST = 9
"""Most digits of `max`."""

Key = tuple[str, ...]
Observed = tuple[int, Stored, Resource]
"""When it was, in microseconds; as it is stored; and decoded."""


def lastn(context: Context, pairs: Pairs) -> bytes:
    """Return the searchset of the last `max` (1) observations of each code, as JSON.

    The other pairs are criteria of a search: a subject or patient, and a category or code, among them.
    Raises FhirError 400 where these are missing, for a result parameter, or for more than MOST matches.
    """
    most, criteria = _read(pairs)
    query = asked(context, "Observation", criteria)
    found = store.first(context.database, query, MOST + 1)
    if len(found) > MOST:
        raise bad("$lastn", f"$lastn reads at most {MOST} observations: narrow the search.")
    kept = _last(_timed(found), most)
    place = f"{context.base_url}/Observation/$lastn"
    tells(stored for _, stored, _ in kept)
    entries = (entry(context, stored, stored.body, b"match") for _, stored, _ in kept)
    return searchset(len(kept), place, pairs, entries)


def _read(pairs: Pairs) -> tuple[int, Pairs]:
    """Take `max` from the pairs, and check that what must be asked for is."""
    most, criteria = 1, []
    for name, value in pairs:
        if name == "max":
            if not (value.isascii() and value.isdecimal() and int(value[:_LONGEST])):
                raise bad("max", f"max is a whole number above 0, not {value!r}.")
            most = int(value[:_LONGEST])
        elif name in ("_format", "_pretty"):
            continue
        elif is_result(name):
            raise bad(name, f"$lastn does not take {name}: it has an order and a limit of its own.")
        else:
            criteria.append((name, value))
    names = {name.partition(":")[0].partition(".")[0] for name, _ in criteria}
    if not names & _SUBJECT:
        raise bad("subject", "$lastn asks for one subject: add subject or patient.")
    if not any(name in _CODED or name.startswith(("code-", "combo-code-")) for name in names):
        raise bad("code", "$lastn asks for a category or a code: add category or code.")
    return most, criteria


def _timed(found: Iterable[Stored]) -> list[Observed]:
    """Decode observations and order them by the time they are of, newest first; without one, last."""
    listed = [(_moment(body), stored, body) for stored in found for body in (decode(stored.body),)]
    return sorted(listed, key=lambda each: (-each[0], -each[1].rid))


def _moment(observation: Resource) -> int:
    """Return when an observation began, in microseconds; of one with an end alone, that."""
    for name, value in observation.items():
        if name.startswith("effective"):
            ends = [end for period in values.periods(value) for end in period]
            known = [end for end in ends if end not in values.FOREVER]
            if known:
                return min(known)
    return values.FOREVER[0]


def _last(ordered: list[Observed], most: int) -> list[Observed]:
    """Keep `most` of each group of codes, and those that are of the same time as the last of them."""
    group = _groups(body for _, _, body in ordered)
    taken: dict[Key, int] = {}
    last: dict[Key, int] = {}
    kept = []
    for each in ordered:
        own = group[_codes(each[2])[0]]
        if taken.get(own, 0) < most or last[own] == each[0]:
            taken[own] = taken.get(own, 0) + 1
            last[own] = each[0]
            kept.append(each)
    return kept


def _groups(observations: Iterable[Resource]) -> dict[Key, Key]:
    """Map each code to one that stands for all that are the same, directly or by way of others."""
    above: dict[Key, Key] = {}

    def top(key: Key) -> Key:
        above.setdefault(key, key)
        while above[key] != key:
            above[key] = above[above[key]]
            key = above[key]
        return key

    for observation in observations:
        first, *others = _codes(observation)
        for other in others:
            above[top(other)] = top(first)
        top(first)
    return {key: top(key) for key in above}


def _codes(observation: Resource) -> list[Key]:
    """List an observation's codes, or its text where it has none."""
    concept = observation.get("code", {})
    codes = list(dict.fromkeys(_coded(concept)))
    return codes or [(concept.get("text", ""),)]


def _coded(concept: Resource) -> Iterator[Key]:
    for coding in concept.get("coding", ()):
        if "code" in coding:
            yield values.known(coding.get("system")), coding["code"]
