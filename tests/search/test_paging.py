"""Pages are of one snapshot: writing between two pages neither repeats, skips nor changes a match."""

from typing import Any

import pytest

from tests.search.conftest import Registry, entries, link

MANY = 10


def child(number: int, **more: Any) -> dict[str, Any]:
    born = f"20{number:02}-01-01"
    return {
        "resourceType": "Patient",
        "id": f"c{number}",
        "gender": "female",
        "birthDate": born,
        **more,
    }


def page(bundle: Any) -> list[str]:
    return [entry["resource"]["id"] for entry in entries(bundle, "match")]


@pytest.mark.parametrize("order", ["", "_sort=_lastUpdated&", "_sort=birthdate&", "_sort=-gender&"])
@pytest.mark.parametrize(
    "criteria", ["", "gender=female&", "birthdate=gt1990&", "gender:not=male&"]
)
def test_pages_are_stable_under_writes(registry: Registry, order: str, criteria: str) -> None:
    registry.put(*(child(number) for number in range(MANY)))
    registry.put(*(child(number) for number in range(MANY, 99)), deleted=True)
    whole = registry.found("Patient", f"{criteria}{order}")
    assert len(whole) == MANY
    bundle = registry.bundle("Patient", f"{criteria}{order}_count=3&_total=accurate")
    seen = page(bundle)
    number = MANY
    while url := link(bundle, "next"):
        registry.put(child(0, gender="male"), child(number), child(5, birthDate="1950-01-01"))
        registry.put(child(7), deleted=True)
        number += 1
        bundle = registry.follow("Patient", url)
        assert bundle["total"] == MANY
        seen += page(bundle)
    assert seen == whole
    assert page(registry.follow("Patient", link(bundle, "first") or "")) == whole[:3]


def test_previous_leads_back_through_the_same_pages(registry: Registry) -> None:
    registry.put(*(child(number) for number in range(MANY)))
    for order in ("", "_sort=birthdate&"):
        forth, back = [], []
        bundle = registry.bundle("Patient", f"{order}_count=4")
        forth.append(page(bundle))
        assert link(bundle, "previous") is None
        while url := link(bundle, "next"):
            bundle = registry.follow("Patient", url)
            forth.append(page(bundle))
        back.append(page(bundle))
        while url := link(bundle, "previous"):
            bundle = registry.follow("Patient", url)
            back.append(page(bundle))
        assert back[::-1] == forth


def test_last_leads_to_the_end_and_previous_back_from_there(registry: Registry) -> None:
    registry.put(*(child(number) for number in range(MANY)))
    for order in ("", "_sort=_lastUpdated&", "_total=accurate&_sort=birthdate&"):
        whole = registry.found("Patient", order)
        first = registry.bundle("Patient", f"{order}_count=4")
        last = registry.follow("Patient", link(first, "last") or "")
        assert page(last) == whole[-len(page(last)) :]
        assert (link(last, "next"), link(last, "last")) == (None, None)
        seen = page(last)
        while url := link(last, "previous"):
            last = registry.follow("Patient", url)
            seen = page(last) + seen
        assert seen == whole
    assert link(registry.bundle("Patient", "_sort=birthdate&_count=4"), "last") is None
    assert link(registry.bundle("Patient", "_count=400"), "last") is None
