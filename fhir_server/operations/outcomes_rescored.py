"""Finding the outcomes of some children anew: those whom a stretch of the history concerns.

A child is concerned by whatever is stored or deleted about one of its Patients, before and after: what
is moved from one child to another concerns both, and so does a merge, and its being undone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

import outcome_engine
from fhir_server.operations import outcomes_body
from fhir_server.operations.children import KINDS, READ_AT_ONCE, records, survivors
from fhir_server.operations.past import Present, Wanted, child, concerned
from fhir_server.store import objections
from fhir_server.store import outcomes as store
from fhir_server.store.connection import Database
from fhir_server.store.outcomes import Kept
from fhir_server.store.read import Stored, by_rid
from fhir_server.store.seen import used
from fhir_server.store.uses import MEASURING
from outcome_engine import ChildOutcome, NotAssessable
from outcome_engine.parameter_files.parameter_file import Parameters
from r4.issue import FhirError
from r4.json import Resource, decode
from terminology import Terminology

TYPES = ("Patient", *KINDS, "Consent")
"""The types of which an outcome is made, and those by which somebody objects to its being made."""
_CASE = "EpisodeOfCare"
CASES = 100
"""Cases whose children are found anew together."""
_LEFT = 500
"""Outcomes of an earlier generation that are taken away together."""


class Asked(msgspec.Struct, frozen=True):
    """A stretch of the history: behind a row, up to another one; and by which generation, as of when.

    generations: by measure. cases: only the cases that stand, as far as is done at once, and a child who
    had no outcome yet changes nothing; else all that was stored or deleted. moment: microseconds, at
    which it began to be due.
    """

    after: int
    until: int
    generations: Mapping[str, str]
    as_of: str
    cases: bool = False
    moment: int = 0


class Affected(msgspec.Struct, frozen=True):
    """That an outcome of a measure has changed, at which hospital; case_date: empty where not known.

    moment: microseconds, at which the newest of what changed it was stored, or it became due.
    everywhere: that may be so of every hospital's. objected: somebody objects to the use of data of the
    child, so that what counts it is made anew.
    """

    measure: str
    hospital: str | None
    case_date: str
    moment: int
    everywhere: bool = False
    objected: bool = False


class Rescored(msgspec.Struct, frozen=True):
    """What came of it: up to which row, which outcomes go and come, how many children were assessed."""

    until: int
    gone: tuple[tuple[str, str, str], ...] = ()
    found: tuple[Kept, ...] = ()
    affected: tuple[Affected, ...] = ()
    children: int = 0


class Source(NamedTuple):
    """What outcomes are found from."""

    database: Database
    terminology: Terminology
    parameters: Parameters


def is_any(database: Database, asked: Asked) -> bool:
    """Tell whether there may be something to find: before there is a case, there is nothing."""
    if not asked.cases:
        return store.is_any_case(database, asked.until)
    if asked.after < asked.until:
        return bool(store.cases(database, asked.after, asked.until, 1))
    return any(store.of_others(database, *each, 1) for each in asked.generations.items())


async def rescored(source: Source, asked: Asked) -> Rescored:
    """Find the outcomes anew of the children whom a stretch of the history concerns."""
    database = source.database
    if not asked.cases:
        rids = store.changed(database, TYPES, (asked.after, asked.until))
        return await _found(source, asked, _moments(by_rid(database, rids)), asked.until)
    rids = store.cases(database, asked.after, asked.until, CASES)
    until = rids[-1] if len(rids) == CASES else asked.until
    listed = {id: 0 for each in by_rid(database, rids) for id in _about(decode(each.body))}
    return await _found(source, asked, listed, until)


def _about(resource: Resource) -> set[str]:
    """Return whom a resource concerns; a case that names nobody here concerns itself."""
    if found := concerned(resource):
        return found
    return {f"{_CASE}/{resource['id']}"} if resource["resourceType"] == _CASE else set()


def _moments(versions: Iterable[Stored]) -> dict[str, int]:
    """Return whom versions concern, those that they replaced included, and when that was last stored."""
    ids: dict[tuple[str, str], set[str]] = {}
    stored: dict[tuple[str, str], int] = {}
    for each in versions:
        place = (each.type, each.id)
        ids.setdefault(place, set()).update(_about(decode(each.body)) if each.body else ())
        stored[place] = max(stored.get(place, 0), each.updated)
    moments: dict[str, int] = {}
    for place, listed in ids.items():
        for id in listed:
            moments[id] = max(moments.get(id, 0), stored[place])
    return moments


def left_over(database: Database, asked: Asked) -> Rescored:
    """Return, as what goes, outcomes of earlier generations that no child has any more; some at a time."""
    gone = [
        each
        for measure, generation in asked.generations.items()
        for each in store.of_others(database, measure, generation, _LEFT)
    ]
    affected = tuple(Affected(e.measure, e.hospital, e.case_date, asked.moment) for e in gone)
    return Rescored(asked.until, tuple(each.key for each in gone), (), affected)


async def _found(source: Source, asked: Asked, moments: Mapping[str, int], until: int) -> Rescored:
    ids = moments.keys()
    everybody = Present(source.database)
    children = await survivors(everybody, sorted(id for id in ids if "/" not in id))
    present = Present(used(source.database, MEASURING))
    members = {id for patients in children.values() for id in patients}
    before = {
        each.key: each
        for each in store.of_children(source.database, ids | members)
        if each.measure in asked.generations
    }
    after = {
        each.key: each
        for id, record in _records(present, children, ids - members)
        for each in _outcomes(source, asked, until, (id, record))
    }
    same = {key for key, each in after.items() if key in before and _is_same(before[key], each)}
    stored = {
        id: max(moments.get(each, 0) for each in (id, *children.get(id, ())))
        for _, id, _ in before.keys() | after.keys()
    }
    told = before.keys() if asked.cases else before.keys() | after.keys()
    objecting = _objecting(source.database, {id for _, id, _ in told})
    affected = dict.fromkeys(
        Affected(
            each.measure, each.hospital, each.case_date, stored[key[1]] or asked.moment,
            objected=key[1] in objecting,
        )
        for key in told
        for each in _different(before.get(key), after.get(key))
    )  # fmt: skip
    return Rescored(
        until,
        tuple(key for key in before if key not in after),
        tuple(each for key, each in after.items() if key not in same),
        tuple(affected),
        len(children),
    )


def _objecting(database: Database, children: Iterable[str]) -> set[str]:
    """Return those of some children about any of whose data somebody objects."""
    if not database.objections.is_any_now(database.read):
        return set()
    return {each for each in children if objections.objects(database.read, each)}


def _records(
    present: Present, children: Mapping[str, Sequence[str]], strangers: Iterable[str]
) -> Iterator[tuple[str, list[Resource]]]:
    """Yield id and record of each child, and each case of a Patient who is not here by itself."""
    listed = list(children.items())
    for start in range(0, len(listed), READ_AT_ONCE):
        part = listed[start : start + READ_AT_ONCE]
        read = records(present, [patients for _, patients in part])
        yield from zip([id for id, _ in part], read, strict=True)
    for id in sorted(strangers):
        own = id.removeprefix(f"{_CASE}/")
        named = {"patient": f"Patient/{id}"} if own == id else {"_id": own}
        found = present.every(Wanted(_CASE, named, None, bool))
        yield from ((id, [case]) for case in found if own == id or child(case) is None)


def _outcomes(
    source: Source, asked: Asked, position: int, about: tuple[str, list[Resource]]
) -> Iterator[Kept]:
    id, record = about
    for measure, generation in asked.generations.items():
        cases = outcome_engine.cases(measure, record, source.terminology)
        if not cases or cases[0].get("status") == "entered-in-error":
            continue
        found = _assessed(source, measure, record, cases[0], asked.as_of)
        given = {"measure": measure, "child": id, "generation": generation}
        yield outcomes_body.kept(
            found, cases, {**given, "position": position, "as_of": asked.as_of}
        )


def _assessed(
    source: Source, measure: str, record: list[Resource], case: Resource, as_of: str
) -> ChildOutcome | NotAssessable:
    try:
        return outcome_engine.assess(measure, record, as_of, source.terminology, source.parameters)
    except FhirError as refusal:
        return outcome_engine.not_assessable(case, refusal)


def _is_same(one: Kept, other: Kept) -> bool:
    return one.generation == other.generation and one.body == other.body


def _different(before: Kept | None, after: Kept | None) -> list[Kept]:
    """Return both of two outcomes of a child between which a summary tells a difference."""
    both = [each for each in (before, after) if each is not None]
    if len(both) == 2 and outcomes_body.told(both[0]) == outcomes_body.told(both[1]):  # noqa: PLR2004
        return []
    return both
