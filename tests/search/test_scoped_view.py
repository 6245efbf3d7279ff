"""Whoever has scopes with queries finds what would be found in a registry without what these do not find."""

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from fhir_server.access import scopes
from fhir_server.context import Context, Principal
from fhir_server.interactions.entries import Entry
from fhir_server.interactions.transaction import execute
from fhir_server.store.index import rows
from fhir_server.store.scoped import criteria, finds
from fhir_server.store.seen import Seen, used
from fhir_server.store.uses import READING
from r4.issue import FhirError
from r4.json import Resource
from tests.search.conftest import Registry
from tests.search.test_hospital_view import QUERIES, pages, stored
from tests.support.objections import consent
from tests.support.wards import World, seen, world

SYSTEM = "urn:wards"


def asked_by(made: Context, *listed: str) -> Context:
    return made.asked_by(
        Principal("lab", frozenset({"registry"}), scoped=scopes.scoped(tuple(listed)))
    )


def is_found(resource: Resource, asked: dict[str, set[str]]) -> bool:
    """Tell, without the index, whether an Observation has one of the values of each of what is asked."""
    codings = resource.get("code", {}).get("coding", [])
    held = {
        "code": {each["code"] for each in codings} | {f"{SYSTEM}|{e['code']}" for e in codings},
        "subject": {resource.get("subject", {}).get("reference")},
        "date": {str(resource.get("effectiveDateTime", ""))[:7]},
    }
    return all(values & held[name] for name, values in asked.items())


def queries(random: Random, made: World) -> list[dict[str, set[str]]]:
    """Return what the scopes of one client ask, each one's parameters with their alternatives."""
    children = [f"Patient/{each}" for each in made.of("Patient")]
    values = {
        "code": ["a", "b", f"{SYSTEM}|b", f"{SYSTEM}|c"],
        "subject": children,
        "date": [f"2024-0{month}" for month in range(1, 10)],
    }
    return [
        {
            name: set(random.sample(values[name], random.randint(1, 2)))
            for name in random.sample(sorted(values), random.randint(1, 2))
        }
        for _ in range(random.randint(1, 3))
    ]


def written(asked: dict[str, set[str]]) -> str:
    pairs = (f"{n}={quote(','.join(sorted(v)), safe=',')}" for n, v in sorted(asked.items()))
    return "&".join(pairs)


def compared(registry: Registry, folder: Path, seed: int) -> int:
    """Compare what each of some clients is answered with what a registry without the rest answers."""
    random = Random(seed)  # noqa: S311 - fictitious children
    made: World = world(random)
    matches = 0
    with stored(registry, folder / "all", made.writes) as everything:
        for number in range(2):
            asked = queries(random, made)
            own: list[tuple[str, Resource | None]] = [
                (place, each)
                for place, each in made.standing.items()
                if each["resourceType"] != "Observation" or any(is_found(each, q) for q in asked)
            ]
            listed = [f"system/Observation.rs?{written(each)}" for each in asked]
            with stored(registry, folder / str(number), own) as alone:
                narrowed = asked_by(everything, *listed)
                for query in QUERIES:
                    assert pages(narrowed, query) == pages(alone, query), (seed, listed, query)
                for each in made.standing.values():
                    if each["resourceType"] == "Observation":
                        matches += agree(each, asked)
    return matches


def test_a_hospitals_client_finds_of_what_it_sees_what_its_scopes_find(
    registry: Registry, tmp_path: Path
) -> None:
    made = world(Random(1))  # noqa: S311 - fictitious children
    asked: dict[str, set[str]] = {"code": {"a", "b"}}
    own = [each for each in seen(made, "RA1") if each["resourceType"] != "Observation"]
    own = [e for e in seen(made, "RA1") if e in own or is_found(e, asked)]
    listed = ("system/Observation.rs?code=a,b",)
    who = Principal("epr", frozenset({"hospital"}), hospitals=frozenset({"RA1"}))
    with stored(registry, tmp_path / "all", made.writes) as everything:
        narrowed = everything.asked_by(replace(who, scoped=scopes.scoped(listed)))
        writes: list[tuple[str, Resource | None]]
        writes = [(f"{e['resourceType']}/{e['id']}", e) for e in own]
        with stored(registry, tmp_path / "own", writes) as alone:
            for query in QUERIES[::3]:
                assert pages(narrowed, query) == pages(alone, query), query


def test_what_somebody_objects_to_is_left_out_of_what_scopes_find(registry: Registry) -> None:
    """A reading for a use keeps the queries, and the queries keep the use."""
    child = {"reference": "Patient/objecting"}
    registry.put({"resourceType": "Patient", "id": "objecting"})
    registry.put({**RESOURCE, "id": "theirs", "subject": child}, {**RESOURCE, "id": "other"})
    registry.put({**RESOURCE, "id": "draft", "status": "preliminary"})
    narrowed = asked_by(registry.context, "system/Observation.rs?status=final")
    assert isinstance(narrowed.database, Seen)

    def ids(made: Context) -> set[str]:
        asked = pages(made, "Observation?_id=theirs,other,draft")
        return {each["id"] for each in asked[0][2]}

    assert ids(narrowed) == {"theirs", "other"}
    view = msgspec.structs.replace(narrowed.database.view, use=READING)
    told = consent("objects", "objecting")
    registry.put(told)
    try:
        assert ids(replace(narrowed, database=Seen(narrowed.database.whole, view))) == {"other"}
        assert ids(replace(narrowed, database=used(narrowed.database, READING))) == {"other"}
    finally:
        registry.put({**told, "status": "inactive"})


def agree(resource: Resource, asked: list[dict[str, set[str]]]) -> bool:
    """Say whether a resource is found; what is to be stored is told apart as what is there."""
    found = any(is_found(resource, each) for each in asked)
    assert finds("Observation", [written(each) for each in asked], rows(resource)) == found
    return found


@pytest.mark.postgresql_slow
@pytest.mark.parametrize("seed", [1])
def test_a_client_is_answered_as_if_there_were_nothing_else(
    registry: Registry, tmp_path: Path, seed: int
) -> None:
    assert compared(registry, tmp_path, seed) > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 14))
def test_and_so_it_is_in_many_registries(registry: Registry, tmp_path: Path, seed: int) -> None:
    assert compared(registry, tmp_path, seed) > 0


DAY, SYSTOLIC = (
    "2024-05-01T10:00:00Z",
    {"coding": [{"system": SYSTEM, "code": "bp", "display": "Pressure"}]},
)
RESOURCE: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "1",
    "status": "final",
    "code": SYSTOLIC,
    "subject": {"reference": "Patient/1"},
    "effectiveDateTime": DAY,
    "valueString": "Näher am Rand",
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=final", True),
        ("status=final,amended", True),
        ("status=amended", False),
        ("code=urn:wards|bp", True),
        ("code=urn:wards|", True),
        ("code=|bp", False),
        ("subject=Patient/1", True),
        ("subject=Patient/2", False),
        ("patient=1", True),
        ("date=2024-05-01", True),
        ("date=ge2024-05-01T09:00:00Z", True),
        ("date=lt2024-05", False),
        ("value-string=naher", True),
        ("value-string=Rand", False),
        ("status=final&date=2024", True),
        ("status=final&date=2023", False),
    ],
)
def test_what_is_stored_and_what_is_to_be_stored_are_found_alike(
    registry: Registry, query: str, found: bool
) -> None:
    registry.put(RESOURCE)
    narrowed = asked_by(registry.context, f"system/Observation.rs?{query}")
    assert bool(pages(narrowed, "Observation?_id=1")[0][2]) is found
    assert finds("Observation", (query,), rows(RESOURCE)) is found
    assert criteria("Observation", query)


def carried_out(
    runner: asyncio.Runner, made: Context, asked: tuple[str, str, Resource | None], **more: Any
) -> int:
    """Carry out a write; returns the status that it, or its refusal, has."""
    method, key, resource = asked
    entry = Entry(method, "Observation", key or None, resource=resource, **more)
    try:
        return runner.run(made.database.driven(execute(made, [entry])))[0].status
    except FhirError as refusal:
        return refusal.status


def test_what_is_written_is_found_before_and_after(registry: Registry) -> None:
    """On both databases, by words and by rows of the index; conditions find what the queries find."""
    final = {
        each: RESOURCE[each] for each in ("resourceType", "status", "code", "effectiveDateTime")
    }
    draft = {**final, "status": "preliminary"}
    registry.put({**final, "id": "f"}, {**draft, "id": "d"})
    made = asked_by(registry.context, "system/Observation.cruds?status=final&date=2024-05")

    def done(method: str, key: str, resource: Resource | None, **more: Any) -> int:
        return carried_out(registry.runner, made, (method, key, resource), **more)

    assert done("POST", "", final) == 201
    assert done("POST", "", draft) == 403
    assert done("POST", "", {**final, "effectiveDateTime": "2023-05-01"}) == 403
    assert done("PUT", "f", {**draft, "id": "f"}) == 403
    assert done("PUT", "d", {**final, "id": "d"}) == 404
    assert done("PUT", "f", {**final, "id": "f", "valueString": "a"}) == 200
    once = {"query": "value-string=a"}
    assert done("PUT", "", {**final, "valueString": "a", "issued": DAY}, **once) == 200
    assert done("DELETE", "d", None) == 204
    assert registry.ids("Observation", "_id=d,f") == {"d", "f"}
    assert done("DELETE", "f", None) == 204
    assert registry.ids("Observation", "_id=d,f") == {"d"}


def test_as_many_and_as_long_queries_as_a_client_may_have_are_asked(registry: Registry) -> None:
    registry.put({**RESOURCE, "id": "long"})
    values = "&".join(f"value-string={','.join(['n'] * 20)}" for _ in range(2))
    listed = [f"system/Observation.rs?{values}&code=bp&date=20{each}" for each in range(20, 30)]
    narrowed = asked_by(registry.context, *scopes.registered(" ".join(listed)))
    assert pages(narrowed, "Observation?_id=long&_sort=date")[0][2][0]["id"] == "long"
