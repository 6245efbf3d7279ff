"""String and uri search: https://hl7.org/fhir/R4/search.html#string, #uri."""

import pytest

from fhir_server.store.index import rows
from tests.search.conftest import Registry


@pytest.fixture(scope="module", autouse=True)
def _stored(registry: Registry) -> None:
    registry.put(
        {
            "resourceType": "Patient",
            "id": "a",
            "name": [{"family": "Ångström", "given": ["Eve", "Ann  Marie"]}],
        },
        {
            "resourceType": "Patient",
            "id": "b",
            "name": [{"text": "Mangst, Adam"}],
            "address": [{"city": "Höör"}],
        },
        {"resourceType": "ValueSet", "id": "c", "url": "http://acme.example/fhir/ValueSet/123"},
        {"resourceType": "ValueSet", "id": "d", "url": "http://acme.example/fhir"},
        {"resourceType": "ValueSet", "id": "e", "url": "urn:oid:1.2.3"},
    )


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("name=ang", {"a"}),
        ("name=ANGSTROM", {"a"}),
        ("name=ann marie", {"a"}),
        ("name=marie", set()),
        ("given=eve,adam", {"a"}),
        ("name:contains=ngst", {"a", "b"}),
        ("name:exact=Ångström", {"a"}),
        ("name:exact=ångström", set()),
        ("name=mangst\\, a", {"b"}),
        ("name=mangst,x", {"b"}),
        ("phonetic=mangst", {"b"}),
        ("address=hoor", {"b"}),
        ("address-city:missing=true", {"a"}),
        ("family:missing=false", {"a"}),
    ],
)
def test_strings(registry: Registry, query: str, ids: set[str]) -> None:
    assert registry.ids("Patient", query) == ids


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("url=http://acme.example/fhir", {"d"}),
        ("url=http://acme.example", set()),
        ("url:below=http://acme.example/fhir", {"c", "d"}),
        ("url:below=http://acme.example/fhir/", {"c", "d"}),
        ("url:below=http://acme.example/fh", set()),
        ("url:above=http://acme.example/fhir/ValueSet/123/_history/5", {"c", "d"}),
        ("url=urn:oid:1.2.3", {"e"}),
        ("url:missing=true", set()),
    ],
)
def test_uris(registry: Registry, query: str, ids: set[str]) -> None:
    assert registry.ids("ValueSet", query) == ids


@pytest.mark.parametrize("refused", ["\x00", "\ud800"])
def test_no_text_of_the_index_holds_what_a_database_refuses(refused: str) -> None:
    text = f"A{refused}b é"
    found = rows(
        {
            "resourceType": "Patient",
            "id": "n",
            "text": {"status": "generated", "div": f"<div>{text}</div>"},
            "name": [{"family": text}],
            "maritalStatus": {"text": text, "coding": [{"code": "x", "display": text}]},
            "identifier": [{"value": text, "type": {"text": text}}],
        }
    )
    texts = [found.narrative, found.content, *(folded for _, folded in found.strings)]
    assert len(texts) >= 5
    for each in texts:
        each.encode("utf-8")
        assert "\x00" not in each
        assert "\ufffd" in each


def test_what_was_replaced_is_found_by_what_was_written(registry: Registry) -> None:
    registry.put({"resourceType": "Person", "id": "n", "name": [{"family": "A\x00b"}]})
    assert registry.ids("Person", "name=a\x00B") == {"n"}
    assert registry.ids("Person", "name:exact=A\x00b") == {"n"}
