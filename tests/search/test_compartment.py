"""Compartments and $everything: https://hl7.org/fhir/R4/compartmentdefinition.html."""

from typing import Any

import pytest

from fhir_server.interactions.compartment import Owner, compartment
from fhir_server.interactions.everything import everything
from r4.issue import FhirError
from r4.json import decode
from tests.search.conftest import Registry, entries, link


@pytest.fixture(scope="module", autouse=True)
def _stored(registry: Registry) -> None:
    child = {"reference": "Patient/heron"}
    registry.put(
        {"resourceType": "Organization", "id": "ward"},
        {
            "resourceType": "Patient",
            "id": "heron",
            "managingOrganization": {"reference": "Organization/ward"},
        },
        {"resourceType": "Patient", "id": "wren"},
        {"resourceType": "Encounter", "id": "e", "subject": child},
        {
            "resourceType": "Observation",
            "id": "o",
            "subject": child,
            "encounter": {"reference": "Encounter/e"},
        },
        {"resourceType": "Observation", "id": "other", "subject": {"reference": "Patient/wren"}},
        {"resourceType": "Basic", "id": "b", "author": {"reference": "Patient/heron"}},
    )


def places(bundle: Any, mode: str) -> set[str]:
    return {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in entries(bundle, mode)}


def of(registry: Registry, owner: Owner, kind: str, *pairs: tuple[str, str]) -> Any:
    return decode(compartment(registry.context, owner, kind, list(pairs)))


HERON = Owner("Patient", "heron")


@pytest.mark.parametrize(
    ("owner", "kind", "expected"),
    [
        (HERON, "Observation", {"Observation/o"}),
        (HERON, "Patient", {"Patient/heron"}),
        (HERON, "Basic", {"Basic/b"}),
        (HERON, "*", {"Patient/heron", "Encounter/e", "Observation/o", "Basic/b"}),
        (Owner("Encounter", "e"), "Observation", {"Observation/o"}),
        (Owner("Encounter", "e"), "*", {"Encounter/e", "Observation/o"}),
    ],
)
def test_a_compartment_holds_what_refers_to_its_owner(
    registry: Registry, owner: Owner, kind: str, expected: set[str]
) -> None:
    assert places(of(registry, owner, kind), "match") == expected


def test_a_compartment_is_searched_like_a_type(registry: Registry) -> None:
    assert of(registry, HERON, "Observation", ("code:missing", "false"))["total"] == 0
    bundle = of(registry, HERON, "Observation", ("_include", "Observation:encounter"))
    assert places(bundle, "include") == {"Encounter/e"}
    base = registry.context.base_url
    assert (link(bundle, "self") or "").startswith(f"{base}/Patient/heron/Observation?_include=")


@pytest.mark.parametrize(
    ("owner", "kind"),
    [
        (Owner("Patient", "nobody"), "Observation"),
        (Owner("Organization", "ward"), "Observation"),
        (HERON, "Organization"),
    ],
)
def test_what_is_no_compartment_is_not_found(registry: Registry, owner: Owner, kind: str) -> None:
    with pytest.raises(FhirError) as refusal:
        of(registry, owner, kind)
    assert refusal.value.status == 404


def test_an_operation_that_is_not_of_one_resource_is_named(registry: Registry) -> None:
    with pytest.raises(FhirError, match=r"One Measure has no operation \$evaluate") as refusal:
        of(registry, Owner("Measure", "any"), "$evaluate")
    assert refusal.value.status == 404


def test_everything_is_the_compartment_and_what_it_refers_to(registry: Registry) -> None:
    bundle = decode(everything(registry.context, HERON, []))
    assert places(bundle, "match") == {"Patient/heron", "Encounter/e", "Observation/o", "Basic/b"}
    assert places(bundle, "include") == {"Organization/ward"}


def test_everything_comes_in_pages_and_by_type(registry: Registry) -> None:
    pairs = [("_type", "Observation,Patient"), ("_count", "1")]
    bundle = decode(everything(registry.context, HERON, pairs))
    seen = places(bundle, "match")
    while url := link(bundle, "next"):
        assert "/Patient/heron/$everything?" in url
        page = url.partition("_page=")[2]
        bundle = decode(everything(registry.context, HERON, [*pairs, ("_page", page)]))
        seen |= places(bundle, "match")
    assert seen == {"Patient/heron", "Observation/o"}
    since = decode(everything(registry.context, HERON, [("_since", "2999")]))
    assert since["total"] == 0
    assert "_since=2999" in (link(since, "self") or "")


def test_everything_refuses_what_it_does_not_serve(registry: Registry) -> None:
    with pytest.raises(FhirError) as refusal:
        everything(registry.context, HERON, [("start", "2020")])
    assert refusal.value.status == 400
