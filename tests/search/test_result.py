"""Includes, order, counts and parts: https://hl7.org/fhir/R4/search.html#2.21.1.5."""

from typing import Any

import pytest

from fhir_server.interactions.search import search
from fhir_server.store import include
from r4.issue import FhirError
from tests.search.conftest import Registry, entries, link, resource


@pytest.fixture(scope="module", autouse=True)
def _stored(registry: Registry) -> None:
    registry.put(
        {"resourceType": "Organization", "id": "trust"},
        {
            "resourceType": "Organization",
            "id": "ward",
            "partOf": {"reference": "Organization/trust"},
        },
        {"resourceType": "Measure", "id": "m", "url": "http://x.example/Measure/m", "version": "1"},
        {"resourceType": "MeasureReport", "id": "r", "measure": "http://x.example/Measure/m|1"},
        *(
            {
                "resourceType": "Patient",
                "id": i,
                "active": True,
                "birthDate": born,
                "gender": gender,
                "text": {"status": "generated", "div": f"<div>likes {i}s and bread</div>"},
                "meta": {
                    "tag": [{"system": "t", "code": i[0]}],
                    "profile": ["http://p.example/child|2"],
                    "source": "urn:hospital#1",
                },
                "name": [{"family": family}],
                "photo": [{"title": "me"}],
                "contact": [{"name": {"family": "Contact"}}],
                "managingOrganization": {"reference": "Organization/ward"},
            }
            for i, born, gender, family in (
                ("heron", "2020-03-01", "female", "Beak"),
                ("wren", "2019", "male", "Beak"),
                ("dove", "2021-01-01", "female", "Claw"),
            )
        ),
        {"resourceType": "Patient", "id": "unknown"},
        resource(
            '{"resourceType":"Observation","id":"o1","subject":{"reference":"Patient/heron"},"valueQuantity":{"value":1.50}}'
        ),
        {"resourceType": "Provenance", "id": "p1", "target": [{"reference": "Observation/o1"}]},
    )


def included(bundle: Any) -> set[str]:
    return {
        f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in entries(bundle, "include")
    }


@pytest.mark.parametrize(
    ("kind", "query", "expected"),
    [
        ("Patient", "_id=heron&_include=Patient:organization", {"Organization/ward"}),
        ("Patient", "_id=heron&_include=Patient:organization:Organization", {"Organization/ward"}),
        ("Patient", "_id=heron&_include=Patient:general-practitioner", set()),
        (
            "Patient",
            "_id=heron&_include=Patient:organization&_include:iterate=Organization:partof",
            {"Organization/ward", "Organization/trust"},
        ),
        ("Patient", "_id=heron&_include=*", {"Organization/ward"}),
        ("Patient", "_id=heron&_include:iterate=*", {"Organization/ward", "Organization/trust"}),
        ("Patient", "_id=heron&_revinclude=Observation:patient", {"Observation/o1"}),
        (
            "Patient",
            "_id=heron&_revinclude=Observation:patient&_revinclude:iterate=Provenance:target",
            {"Observation/o1", "Provenance/p1"},
        ),
        ("Patient", "_id=heron&_revinclude=*", {"Observation/o1"}),
        ("Patient", "_id=wren&_revinclude=Observation:subject", set()),
        ("Observation", "_include=Observation:subject:Group", set()),
        (
            "Observation",
            "_include=Observation:patient&_include:recurse=Patient:organization",
            {"Patient/heron", "Organization/ward"},
        ),
        ("MeasureReport", "_include=MeasureReport:measure", {"Measure/m"}),
        ("Patient", "_include=Patient:organization", {"Organization/ward"}),
    ],
)
def test_includes(registry: Registry, kind: str, query: str, expected: set[str]) -> None:
    assert included(registry.bundle(kind, query)) == expected


@pytest.mark.parametrize("limit", ["MOST", "MOST_STEPS"])
def test_an_answer_says_when_it_does_not_include_everything(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(include, limit, 1)
    query = "_id=heron&_include=Patient:organization&_include:iterate=Organization:partof"
    bundle = registry.bundle("Patient", query)
    assert len(entries(bundle, "include")) == 1
    (outcome,) = entries(bundle, "outcome")
    assert outcome["resource"]["issue"][0]["code"] == "incomplete"


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("_id", ["dove", "heron", "unknown", "wren"]),
        ("-_id", ["wren", "unknown", "heron", "dove"]),
        ("_lastUpdated", ["heron", "wren", "dove", "unknown"]),
        ("-_lastUpdated", ["unknown", "dove", "wren", "heron"]),
        ("birthdate", ["wren", "heron", "dove", "unknown"]),
        ("-birthdate", ["dove", "heron", "wren", "unknown"]),
        ("family,birthdate", ["wren", "heron", "dove", "unknown"]),
        ("-family,-birthdate", ["dove", "heron", "wren", "unknown"]),
        ("gender,-birthdate", ["dove", "heron", "wren", "unknown"]),
        ("-gender,family,_id", ["wren", "heron", "dove", "unknown"]),
        ("organization,_id", ["dove", "heron", "wren", "unknown"]),
    ],
)
def test_sorts_by_any_parameter_and_what_has_no_value_comes_last(
    registry: Registry, order: str, ids: list[str]
) -> None:
    assert registry.found("Patient", f"_sort={order}") == ids
    paged: list[str] = []
    bundle = registry.bundle("Patient", f"_sort={order}&_count=1")
    paged += [e["resource"]["id"] for e in entries(bundle, "match")]
    while url := link(bundle, "next"):
        bundle = registry.follow("Patient", url)
        paged += [e["resource"]["id"] for e in entries(bundle, "match")]
    assert paged == ids


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("_tag=t|h", {"heron"}),
        ("_tag:not=t|h", {"wren", "dove", "unknown"}),
        ("_profile=http://p.example/child", {"heron", "wren", "dove"}),
        ("_profile=http://p.example/child|2", {"heron", "wren", "dove"}),
        ("_profile:below=http://p.example", {"heron", "wren", "dove"}),
        ("_source=urn:hospital#1", {"heron", "wren", "dove"}),
        ("_security:missing=false", set()),
        ("_text=bread herons", {"heron"}),
        ("_text=wrens,doves", {"wren", "dove"}),
        ("_text=Claw", set()),
        ("_content=claw bread", {"dove"}),
        ("_id=heron,wren", {"heron", "wren"}),
        ("_id=heron,wren&_id=wren", {"wren"}),
        ("_lastUpdated=gt2000", {"heron", "wren", "dove", "unknown"}),
        ("_lastUpdated=lt2000", set()),
        ("_lastUpdated=lt2000,gt2000&gender=male", {"wren"}),
        ("_filter=gender eq female and birthdate ge 2021", {"dove"}),
    ],
)
def test_parameters_of_every_type(registry: Registry, query: str, ids: set[str]) -> None:
    assert registry.ids("Patient", query) == ids


def test_total_is_exact_where_it_is_known_or_asked_for(registry: Registry) -> None:
    assert "total" not in registry.bundle("Patient", "_count=1")
    assert registry.bundle("Patient", "_count=4")["total"] == 4
    assert registry.bundle("Patient", "_count=1&_total=accurate")["total"] == 4
    assert "total" not in registry.bundle("Patient", "_count=1&_total=none")
    for query in ("_summary=count", "_count=0"):
        bundle = registry.bundle("Patient", query)
        assert (bundle["total"], "entry" in bundle) == (4, False)


def part(registry: Registry, query: str) -> dict[str, Any]:
    (entry,) = entries(registry.bundle("Patient", f"_id=heron&{query}"), "match")
    return entry["resource"]


def test_a_part_of_a_resource_is_marked_as_one(registry: Registry) -> None:
    for query in ("_summary=true", "_summary=text", "_summary=data", "_elements=name"):
        tags = part(registry, query)["meta"]["tag"]
        assert [tag["code"] for tag in tags] == ["h", "SUBSETTED"]
    assert [tag["code"] for tag in part(registry, "_summary=false")["meta"]["tag"]] == ["h"]


@pytest.mark.parametrize(
    ("query", "there", "gone"),
    [
        ("_summary=true", {"name", "birthDate", "active"}, {"text", "photo", "contact"}),
        ("_summary=text", {"text", "meta", "id"}, {"name", "birthDate"}),
        ("_summary=data", {"name", "photo", "contact"}, {"text"}),
        (
            "_elements=name,Patient.birthDate",
            {"name", "birthDate", "id", "active"},
            {"gender", "text"},
        ),
        ("_elements=Observation.value", {"id"}, {"name"}),
    ],
)
def test_parts(registry: Registry, query: str, there: set[str], gone: set[str]) -> None:
    found = set(part(registry, query))
    assert there <= found
    assert not gone & found


def test_decimals_of_a_part_keep_their_digits(registry: Registry) -> None:
    raw = search(registry.context, "Observation", [("_elements", "value")])
    assert b'"value":1.50' in raw


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("_sort=near", "no search parameter near"),
        ("_sort=-genderr", "Did you mean gender"),
        ("_include=Patient", "no search parameter"),
        ("_include=Patient:gender", "no reference"),
        ("_include=Observation:patient", "use :iterate"),
        ("_summary=most", "not supported"),
        ("_total=some", "accurate"),
        ("_count=-1", "whole number"),
        ("_page=x", "_page"),
        ("_contained=true", "_contained"),
        ("_query=x", "no search parameter _query"),
        ("_type=Patient", "no search parameter _type"),
        ("_id:not=heron", "modifier"),
    ],
)
def test_refuses(registry: Registry, query: str, says: str) -> None:
    with pytest.raises(FhirError, match=says) as refusal:
        registry.bundle("Patient", query)
    assert refusal.value.status == 400


def test_lenient_handling_leaves_out_what_is_unknown_and_says_so_in_self(
    registry: Registry,
) -> None:
    bundle = registry.bundle("Patient", "genderr=x&gender=male", lenient=True)
    assert bundle["total"] == 1
    assert "genderr" not in (link(bundle, "self") or "")
    with pytest.raises(FhirError):
        registry.bundle("Patient", "gender:exact=x", lenient=True)


def test_a_search_of_several_types(registry: Registry) -> None:
    bundle = registry.bundle("", "_type=Patient,Organization&_count=100")
    kinds = {entry["resource"]["resourceType"] for entry in bundle["entry"]}
    assert (kinds, bundle["total"]) == ({"Patient", "Organization"}, 6)
    assert registry.bundle("", "_tag=t|h")["total"] == 1
    assert registry.bundle("", "_id=heron")["total"] == 1
    with pytest.raises(FhirError, match="A search of several types"):
        registry.bundle("", "gender=male")
