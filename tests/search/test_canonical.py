"""References by canonical url, and hierarchies: https://hl7.org/fhir/R4/search.html#chaining."""

import pytest

from fhir_server.store import resolve
from fhir_server.store.commit import commit
from fhir_server.store.search.parse import parse
from fhir_server.store.write import Commit, ConflictError, Guard
from r4.issue import FhirError
from tests.search.conftest import Registry, entries

M, L = "http://x.example/Measure/m", "http://x.example/Library/l"


def part(kind: str, key: str, whole: str = "") -> dict[str, object]:
    found: dict[str, object] = {"resourceType": kind, "id": key, "name": key}
    return found | {"partOf": {"reference": f"{kind}/{whole}"}} if whole else found


@pytest.fixture(scope="module", autouse=True)
def _stored(registry: Registry) -> None:
    registry.put(
        {"resourceType": "Measure", "id": "m1", "url": M, "version": "1", "name": "one"},
        {"resourceType": "Measure", "id": "m12", "url": M, "version": "1.2", "name": "two",
         "library": [L]},
        {"resourceType": "Measure", "id": "bare", "url": f"{M}-bare", "name": "bare, x|y"},
        {"resourceType": "Measure", "id": "none", "name": "none"},
        {"resourceType": "Library", "id": "l", "url": L, "version": "7", "name": "library"},
        {"resourceType": "Patient", "id": "p", "name": [{"family": "Heron"}]},
        *(
            {"resourceType": "MeasureReport", "id": key, "status": status, "measure": canonical,
             "subject": {"reference": "Patient/p"}}
            for key, status, canonical in (
                ("any", "complete", M),
                ("v1", "pending", f"{M}|1"),
                ("v12", "complete", f"{M}|1.2"),
                ("v123", "complete", f"{M}|1.2.3"),
                ("v2", "error", f"{M}|2"),
                ("bare", "complete", f"{M}-bare"),
                ("bare9", "error", f"{M}-bare|9"),
            )
        ),
        part("Location", "site"),
        part("Location", "wing", "site"),
        part("Location", "room", "wing"),
        part("Location", "other"),
        part("Organization", "trust", "loop"),
        part("Organization", "loop", "trust"),
        *(
            {"resourceType": "Encounter", "id": f"in-{place}",
             "location": [{"location": {"reference": f"Location/{place}"}}]}
            for place in ("site", "wing", "room", "other")
        ),
        {"resourceType": "Patient", "id": "q",
         "managingOrganization": {"reference": "Organization/loop"}},
        {"resourceType": "Basic", "id": "b",
         "meta": {"profile": ["http://x.example/profile/a|1.2"]}},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "query", "ids"),
    [
        ("MeasureReport", "measure.name=one", {"any", "v1"}),
        ("MeasureReport", "measure.name=two", {"any", "v12"}),
        ("MeasureReport", "measure:Measure.name=two", {"any", "v12"}),
        ("MeasureReport", "measure.name=bare", {"bare"}),
        ("MeasureReport", "measure.name=none", set()),
        ("MeasureReport", "measure.name=nothing", set()),
        ("MeasureReport", "measure.name=one,two&status=pending", {"v1"}),
        ("MeasureReport", "measure._id=m12", {"any", "v12"}),
        ("MeasureReport", "measure.depends-on.name=library", {"any", "v12"}),
        ("Patient", "_has:MeasureReport:subject:measure.name=two", {"p"}),
        ("Measure", "_has:MeasureReport:measure:status=complete", {"m1", "m12", "bare"}),
        ("Measure", "_has:MeasureReport:measure:status=pending", {"m1"}),
        ("Measure", "_has:MeasureReport:measure:status=error", set()),
        ("Measure", "_has:MeasureReport:measure:patient.name=heron", {"m1", "m12", "bare"}),
        ("Measure", "_has:MeasureReport:measure:measure.name=two&version=1.2", {"m12"}),
        ("MeasureReport", "_filter=measure.name eq one or status eq error",
         {"any", "v1", "v2", "bare9"}),
        ("MeasureReport", "_filter=not (measure.name sw b)", {"any", "v1", "v12", "v123", "v2",
         "bare9"}),
        ("MeasureReport", f"measure={M}|1.2", {"v12"}),
        ("MeasureReport", f"measure={M}", {"any", "v1", "v12", "v123", "v2"}),
        ("MeasureReport", f"measure:below={M}|1", {"v1", "v12", "v123"}),
        ("MeasureReport", f"measure:below={M}|1.2", {"v12", "v123"}),
        ("MeasureReport", f"measure:below={M}", {"any", "v1", "v12", "v123", "v2"}),
        ("MeasureReport", f"measure:above={M}|1.2.3", {"v1", "v12", "v123"}),
        ("MeasureReport", f"measure:above={M}|2.0", {"v2"}),
        ("Basic", "_profile:below=http://x.example/profile/a", {"b"}),
        ("Basic", "_profile:below=http://x.example/profile/a|1", {"b"}),
        ("Basic", "_profile:below=http://x.example", {"b"}),
        ("Basic", "_profile:below=http://x.example/profile/a|2", set()),
        ("Basic", "_profile:above=http://x.example/profile/a|1.2.5", {"b"}),
        ("Basic", "_profile:above=http://x.example/profile/a|3", set()),
    ],
)  # fmt: skip
def test_canonicals(registry: Registry, kind: str, query: str, ids: set[str]) -> None:
    assert registry.ids(kind, query) == ids


@pytest.mark.parametrize(
    ("kind", "query", "ids"),
    [
        ("Encounter", "location:below=Location/site", {"in-site", "in-wing", "in-room"}),
        ("Encounter", "location:below=wing", {"in-wing", "in-room"}),
        ("Encounter", "location:below=wing,other", {"in-wing", "in-room", "in-other"}),
        ("Encounter", "location:above=Location/wing", {"in-site", "in-wing"}),
        ("Encounter", "location:below=Location/nowhere", set()),
        ("Encounter", "location:below=http://elsewhere.example/Location/site", set()),
        ("Location", "partof:below=site", {"wing", "room"}),
        ("Location", "partof:above=wing", {"wing", "room"}),
        ("Patient", "organization:below=trust", {"q"}),
        ("Patient", "organization:above=Organization/trust", {"q"}),
        ("Location", "_has:Encounter:location:location:below=wing", {"wing", "room"}),
    ],
)
def test_hierarchies(registry: Registry, kind: str, query: str, ids: set[str]) -> None:
    assert registry.ids(kind, query) == ids


def test_includes_back_by_canonical(registry: Registry) -> None:
    bundle = registry.bundle("Measure", "_id=m12&_revinclude=MeasureReport:measure")
    assert {e["resource"]["id"] for e in entries(bundle, "include")} == {"any", "v12"}
    every = registry.bundle("Measure", "_id=bare&_revinclude=*")
    assert {e["resource"]["id"] for e in entries(every, "include")} == {"bare"}


def test_a_later_page_goes_by_what_was_named_when_the_first_was_read(registry: Registry) -> None:
    first = registry.bundle("MeasureReport", "measure.name=one&_count=1")
    registry.put({"resourceType": "Measure", "id": "m1", "url": M, "version": "1", "name": "new"})
    following = next(each["url"] for each in first["link"] if each["relation"] == "next")
    second = registry.follow("MeasureReport", following)
    ids = [e["resource"]["id"] for bundle in (first, second) for e in entries(bundle, "match")]
    assert sorted(ids) == ["any", "v1"]
    assert registry.ids("MeasureReport", "measure.name=one") == set()


def test_a_guard_holds_as_long_as_the_same_is_named(registry: Registry) -> None:
    query = parse("MeasureReport", "measure.name=two&_count=20")
    held = Commit([], guards=(Guard(query, ("any", "v12")),))
    registry.runner.run(commit(registry.context.database, held))
    broken = Commit([], guards=(Guard(query, ("any",)),))
    with pytest.raises(ConflictError):
        registry.runner.run(commit(registry.context.database, broken))


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("MeasureReport", "measure.name=two,bare"),
        ("Measure", "_has:MeasureReport:measure:status=complete"),
        ("Encounter", "location:below=site"),
    ],
)
def test_refuses_more_than_is_followed(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, kind: str, query: str
) -> None:
    monkeypatch.setattr(resolve, "MOST", 1)
    with pytest.raises(FhirError, match="more than 1") as refusal:
        registry.found(kind, query)
    assert refusal.value.status == 422


@pytest.mark.parametrize(
    ("kind", "query"),
    [("Observation", "patient:below=p"), ("MeasureReport", "measure:below.name=x")],
)
def test_refuses(registry: Registry, kind: str, query: str) -> None:
    with pytest.raises(FhirError) as refusal:
        registry.found(kind, query)
    assert refusal.value.status == 400
