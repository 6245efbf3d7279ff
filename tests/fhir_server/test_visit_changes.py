"""What events leave of a stay, in any order: sound FHIR, and the same however often they come."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.interactions.merge import merge
from fhir_server.interactions.visits import UNFINISHED, Change
from profiles import validate
from terminology import Terminology

TERMINOLOGY = Terminology.load()
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
STATUS = {
    **dict.fromkeys(("admit", "transfer", "reclassify", "track", "update"), "in-progress"),
    **dict.fromkeys(("cancel-transfer", "cancel-discharge"), "in-progress"),
    **dict.fromkeys(("cancel-pending-transfer", "return"), "in-progress"),
    **dict.fromkeys(("cancel-admit", "cancel-preadmit"), "cancelled"),
    "preadmit": "planned",
    "discharge": "finished",
    "leave": "onleave",
    "delete": "entered-in-error",
}


def at(day: int) -> str:
    return f"2025-05-{day:02}T12:00:00+01:00"


def place(name: str, status: str = "active", start: int | None = None) -> dict[str, Any]:
    known = {"identifier": {"system": "https://example.org/place", "value": name}}
    period = {"period": {"start": at(start)}} if start else {}
    return {"location": known, "status": status, **period}


def told(kind: str, day: int, ward: str = "", code: str = "IMP") -> tuple[dict[str, Any], Change]:
    """What an event of a kind tells of the visit, and how it is merged."""
    visit: dict[str, Any] = {
        "resourceType": "Encounter",
        "status": STATUS[kind],
        "class": {"system": ACT, "code": code},
    }
    if kind in ("admit", "preadmit"):
        visit["period"] = {"start": at(1)}
    if kind == "discharge":
        visit["period"] = {"end": at(day)}
    if ward:
        status = {"preadmit": "planned", "discharge": "completed", "leave": "reserved"}
        start = day if kind in ("admit", "transfer") else None
        visit["location"] = [place(ward, status.get(kind, "active"), start)]
    return visit, Change(kind, at(day))


def after(*events: tuple[dict[str, Any], Change]) -> dict[str, Any]:
    (stored, _), *rest = events
    for visit, change in rest:
        stored = merge(stored, visit, (), change)
    return stored


EVENTS = st.tuples(
    st.sampled_from(sorted(STATUS)),
    st.integers(2, 28),
    st.sampled_from(["", "W1", "W2", "W3"]),
    st.sampled_from(["IMP", "AMB"]),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(EVENTS, min_size=2, max_size=10))
def test_whatever_comes_in_whatever_order_is_sound_and_the_same_once_more(listed):
    events = [told(*event) for event in [("admit", 2, "W1", "IMP"), *listed]]
    stored = after(*events)
    assert merge(stored, *events[-1][:1], (), events[-1][1]) == stored
    patient = {"subject": {"display": "Testchild"}}
    issues = validate({**stored, **patient}, TERMINOLOGY, now="2026-11-23T12:00:00Z")
    assert [issue for issue in issues if issue.is_error] == []
    open_places = [each for each in stored.get("location", []) if each["status"] == "active"]
    assert len(open_places) <= 1
    assert stored["status"] != "finished" or not open_places


def test_a_leave_from_another_ward_keeps_that_wards_bed_alone():
    stored = after(told("admit", 2, "W1"), told("leave", 3, "W2"))
    assert [each["status"] for each in stored["location"]] == ["completed", "reserved"]
    returned = after((stored, Change("leave", at(3))), told("return", 4))
    assert [each["status"] for each in returned["location"]] == ["completed", "active"]


def test_nothing_handed_in_is_changed():
    stored = after(told("admit", 2, "W1"), told("transfer", 3, "W2"))
    told_of, change = told("discharge", 4, "W2")
    before = str(stored), str(told_of)
    merge(stored, told_of, (), change)
    assert (str(stored), str(told_of)) == before


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("cancel-admit", {*UNFINISHED, "unknown"}),
        ("cancel-preadmit", {"planned", "unknown"}),
        ("cancel-discharge", {"finished"}),
        ("leave", {"planned", "arrived", "triaged", "in-progress", "unknown"}),
        ("return", {"planned", "arrived", "triaged", "onleave", "unknown"}),
        ("delete", {*UNFINISHED, "finished", "cancelled", "unknown"}),
        ("update", {"planned", "arrived", "triaged", "unknown"}),
        ("admit", {"planned", "arrived", "triaged", "unknown"}),
        ("preadmit", {"unknown"}),
        ("discharge", {*UNFINISHED, "unknown"}),
    ],
)
def test_an_event_changes_a_status_only_from_where_it_can_stand(kind, changes):
    every = (*UNFINISHED, "finished", "cancelled", "entered-in-error", "unknown")
    visit, change = told(kind, 9)
    stored = {"resourceType": "Encounter", "class": visit["class"], "period": {"start": at(2)}}
    changed = {
        status
        for status in every
        if merge({**stored, "status": status}, visit, (), change)["status"] != status
    }
    assert changed == changes


def test_a_place_that_was_stored_without_a_status_is_where_the_child_was():
    stored, _ = told("admit", 2)
    older = {**stored, "location": [{"location": place("W1")["location"]}]}
    moved = merge(older, *told("transfer", 5, "W2")[:1], (), Change("transfer", at(5)))
    assert [each["status"] for each in moved["location"]] == ["completed", "active"]
    assert moved["location"][0]["period"] == {"end": at(5)}


def test_another_place_in_an_update_is_a_move_at_a_time_that_is_not_known():
    stored = after(told("admit", 2, "W1"), told("update", 5, "W2"))
    assert stored["location"] == [
        {**place("W1", "completed", 2)},
        place("W2"),
    ]
    known = merge(stored, *told("transfer", 4, "W2")[:1], (), Change("transfer", at(5)))
    assert known["location"][1] == place("W2", "active", 4)


def test_an_event_without_a_time_is_never_late():
    stored = after(told("admit", 2), told("discharge", 4))
    visit, _ = told("cancel-discharge", 5)
    reopened = merge(stored, visit, (), Change("cancel-discharge"))
    assert reopened["status"] == "in-progress"
