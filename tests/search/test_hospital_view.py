"""A hospital's searches find what they would find in a registry that holds nothing but what it sees."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from fhir_server.context import Context, Principal
from fhir_server.interactions.compartment import Owner
from fhir_server.interactions.compartment import compartment as of_compartment
from fhir_server.interactions.everything import everything
from fhir_server.interactions.search import search
from fhir_server.operations.document import document
from fhir_server.store import verify
from fhir_server.store.commit import commit
from fhir_server.store.database import open_database
from fhir_server.store.renewal import announce, renew
from fhir_server.store.write import Commit, Write
from r4.issue import FhirError
from r4.json import Resource, decode, encode
from tests.search.conftest import Registry
from tests.support.databases import new_database
from tests.support.wards import HOSPITALS, ODS, World, seen, world

QUERIES = """
Observation?code=a
Observation?subject:Patient.family=wren
Observation?code:not=b
Observation?patient.organization.name=hospital
Observation?encounter.status=finished
Observation?patient._has:Encounter:patient:status=finished
Observation?value-quantity=gt20
Observation?_sort=-date&_count=3
Observation?_sort=value-quantity,_id&_count=4
Observation?_include=*&_count=5
Observation?_revinclude=*&_count=7
Observation?_include=Observation:has-member&_include:iterate=Observation:subject
Observation?_filter=code eq a or subject.gender eq female
Observation?has-member.code=b
Observation?_has:Observation:has-member:code=a
Observation?_has:Provenance:target:_id=n1,n2,n3
Observation?subject:missing=true
Observation?_text=x
Observation?_content=kg
Observation?performer.name=surgeon&_total=accurate&_count=2
Observation?date=ge2024-05
Patient?_count=3
Patient?family=wren
Patient?gender=female&_summary=count
Patient?_has:Observation:patient:code=a
Patient?_has:Encounter:patient:service-provider=RA1
Patient?_has:Observation:patient:_has:Provenance:target:agent=s1
Patient?link.family=heron
Patient?_has:Group:member:_id=g
Patient?_revinclude=Observation:subject&_sort=birthdate
Patient?_revinclude=Group:member
Patient?_list=n5
Patient?_sort=family&_count=2
Patient?organization:below=RA1
Patient?general-practitioner=s1&_revinclude=*
Patient?_filter=family sw s or birthdate gt 2021
Patient?_id=c0,c1,c2,c3
Patient?_has:CarePlan:patient:instantiates-canonical.name=a
Patient?birthdate=lt2023&_total=estimate
Encounter?status=finished&_include=Encounter:subject
Encounter?service-provider.partof.name=hospital
Encounter?subject.family:contains=e
Encounter?_sort=-_lastUpdated&_count=2
EpisodeOfCare?organization=RA1&_include=*
CarePlan?instantiates-canonical.name=a
CarePlan?instantiates-canonical:below=https://wards.example
CarePlan?subject.gender=male
Practitioner?_has:Observation:performer:code=a
Practitioner?_has:Patient:general-practitioner:gender=female
Practitioner?_revinclude=Observation:performer
Organization?_has:Encounter:service-provider:status=finished
Organization?_revinclude=Encounter:service-provider
Location?organization.name=hospital
PlanDefinition?_has:CarePlan:instantiates-canonical:subject.gender=female
PlanDefinition?_revinclude=CarePlan:instantiates-canonical
List?item.code=a
List?_include=List:item
List?subject=c1
Provenance?target:Observation.code=a
Provenance?agent.name=surgeon
Group?member=c1
Group?_summary=count
QuestionnaireResponse?subject=c1
QuestionnaireResponse?_summary=count
MeasureReport?_sort=_id
MeasureReport?subject=Organization/RB2
?_type=Patient,Observation,Encounter&_count=9
?_type=Observation,Group&_lastUpdated=gt2000
?_id=c1,n1,n2,g
""".strip().splitlines()
"""What is asked: every way in which a search leads from one resource to another."""


DRAWN = 40
"""So many more queries are drawn for each hospital."""
_WITH = (
    "_count=2", "_sort=-_lastUpdated", "_sort=_id", "_summary=count", "_total=accurate", "_include=*",
    "_revinclude=*", "_elements=id", "_lastUpdated=gt2000", "_has:Provenance:target:agent.name=surgeon",
)  # fmt: skip


def drawn(random: Random) -> Iterator[str]:
    """Yield queries at random: criteria of those above, of one type, and what else may stand beside."""
    pools: dict[str, list[str]] = {}
    for query in QUERIES:
        kind, _, criteria = query.partition("?")
        pools.setdefault(kind, []).extend(criteria.split("&"))
    for _ in range(DRAWN):
        kind = random.choice(sorted(pools))
        criteria = random.choices(pools[kind], k=random.randint(1, 3))
        beside = random.sample(_WITH, random.randint(0, 2))
        yield f"{kind}?{'&'.join(dict.fromkeys([*criteria, *beside]))}"


@contextmanager
def stored(
    registry: Registry, folder: Path, writes: list[tuple[str, Resource | None]]
) -> Iterator[Context]:
    """Yield the context of a database that holds what was written, in order."""
    made = registry.context
    kind = made.database.dialect.name
    database = open_database(new_database(kind, folder))
    numbers: dict[str, int] = {}
    listed = []
    for order, (place, resource) in enumerate(writes):
        numbers[place] = numbers.get(place, 0) + 1
        name, _, key = place.partition("/")
        body = b"" if resource is None else encode(resource)
        moment = 1_700_000_000_000_000 + order
        listed.append(Write(name, key, numbers[place], moment, body, deleted=resource is None))
    try:
        for each in listed:
            registry.runner.run(commit(database, Commit([each])))
        yield replace(made, database=database)
    finally:
        database.close()


def asked_by(made: Context, *hospitals: str) -> Context:
    return made.asked_by(Principal("epr", frozenset({"hospital"}), hospitals=frozenset(hospitals)))


def pages(made: Context, query: str) -> list[Any]:
    """Return what each page of a search shows, but for what tells rows: entries, total, relations."""
    kind, _, criteria = query.partition("?")
    found = []
    pairs = parse_qsl(criteria, keep_blank_values=True)
    while True:
        try:
            bundle = decode(search(made, kind, pairs))
        except FhirError as refusal:
            return [*found, refusal.status, [each.diagnostics for each in refusal.issues]]
        found.append(shown(bundle))
        following = [each["url"] for each in bundle["link"] if each["relation"] == "next"]
        if not following:
            return found
        pairs = parse_qsl(urlsplit(following[0]).query, keep_blank_values=True)


def shown(bundle: Any) -> Any:
    matches = [e["resource"] for e in bundle.get("entry", ()) if e["search"]["mode"] == "match"]
    others = [e["resource"] for e in bundle.get("entry", ()) if e["search"]["mode"] != "match"]
    relations = sorted(each["relation"] for each in bundle["link"])
    return bundle.get("total"), relations, matches, sorted(others, key=lambda e: str(e.get("id")))


def compared(registry: Registry, folder: Path, seed: int) -> int:
    """Compare what each hospital is answered with what its own registry answers; returns how much."""
    made: World = world(Random(seed))  # noqa: S311 - fictitious children
    matches = 0
    with stored(registry, folder / "all", made.writes) as everybody:
        for hospital in HOSPITALS:
            own = [(f"{e['resourceType']}/{e['id']}", e) for e in seen(made, hospital)]
            with stored(registry, folder / hospital, own) as alone:  # type: ignore[arg-type]
                narrowed = asked_by(everybody, hospital)
                more = drawn(Random(f"{seed} {hospital}"))  # noqa: S311 - fictitious queries
                for query in (*QUERIES, *more):
                    theirs, wanted = pages(narrowed, query), pages(alone, query)
                    assert theirs == wanted, (seed, hospital, query)
                    matches += sum(len(page[2]) for page in wanted if isinstance(page, tuple))
                for child in made.of("Patient"):
                    assert record(narrowed, child) == record(alone, child), (seed, hospital, child)
        before = held(everybody)
        registry.runner.run(everybody.database.driven(anew(everybody)))
        assert held(everybody) == before
        with everybody.database.snapshot() as read:
            steps = list(verify.verify(read, everybody.database.dialect))
    owned = ("is not whose its body tells", "follows from nothing", "is not there")
    assert [e for step in steps for e in step.problems if e.what in owned] == []
    return matches


async def anew(made: Context) -> None:
    await made.database.write(announce)
    await renew(made.database)


def held(made: Context) -> list[Any]:
    """Return whose everything is that stands, and which organisation has whom."""
    read = made.database.read
    current = "SELECT type, id, whose FROM resource WHERE superseded IS NULL ORDER BY rid"
    tables = (read(f"SELECT * FROM {table}") for table in ("custody", "site"))  # noqa: S608 - ours
    return [[tuple(row) for row in read(current)], *(sorted(map(tuple, rows)) for rows in tables)]


def record(made: Context, child: str) -> Any:
    """Return $everything of a child and a compartment of it, or how they are refused."""
    owner = Owner("Patient", child)
    try:
        return (
            shown(decode(everything(made, owner, [("_count", "100")]))),
            shown(decode(of_compartment(made, owner, "Observation", [("code", "a")]))),
        )
    except FhirError as refusal:
        return refusal.status, [each.diagnostics for each in refusal.issues]


def test_a_signed_document_is_shown_to_whom_its_composition_is(
    registry: Registry, tmp_path: Path
) -> None:
    """A document names nobody outside of itself: it follows the Provenance of its signature."""
    child = {"reference": "Patient/c"}
    when = "2024-05-01T00:00:00Z"
    signed = {"resourceType": "Composition", "id": "n", "date": when, "subject": child}
    sealed = {
        "resourceType": "Bundle", "id": "d", "type": "document",
        "entry": [{"resource": {**signed, "subject": {"reference": "urn:uuid:1"}}}],
    }  # fmt: skip
    targets = [{"reference": "Composition/n"}, {"reference": "Bundle/d"}]
    number = [{"system": ODS, "value": "RA1"}]
    listed: list[Resource] = [
        {"resourceType": "Organization", "id": "o", "identifier": number},
        {
            "resourceType": "Patient",
            "id": "c",
            "managingOrganization": {"reference": "Organization/o"},
        },
        sealed,
        {"resourceType": "Provenance", "id": "p", "recorded": when, "target": targets},
        signed,
    ]
    writes = [Write(e["resourceType"], e["id"], 1, 1, encode(e)) for e in listed]
    with stored(registry, tmp_path, []) as made:
        registry.runner.run(commit(made.database, Commit(writes)))
        for _ in range(2):
            assert decode(document(asked_by(made, "RA1"), "n"))["id"] == "d"
            assert search(asked_by(made, "RB2"), "Bundle", [("_id", "d")]).count(b"fullUrl") == 0
            with pytest.raises(FhirError, match="not known"):
                document(asked_by(made, "RB2"), "n")
            registry.runner.run(made.database.driven(anew(made)))


@pytest.mark.postgresql_slow
@pytest.mark.parametrize("seed", [1])
def test_a_hospital_is_answered_as_if_there_were_nothing_else(
    registry: Registry, tmp_path: Path, seed: int
) -> None:
    assert compared(registry, tmp_path, seed) > 100


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 14))
def test_and_so_it_is_in_many_registries(registry: Registry, tmp_path: Path, seed: int) -> None:
    assert compared(registry, tmp_path, seed) > 100
