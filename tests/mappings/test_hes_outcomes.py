"""Spells and what followed, on a few stays: the cases that a reader of the rules asks about."""

from datetime import date, timedelta

import pytest

from mappings.hes.episodes import Episode, Operation
from mappings.hes.outcomes import Codes, died, readmissions, reoperations
from mappings.hes.spells import ContinuousSpell, continuous, spells

CODES = Codes({"H411"}, {"T301"}, {"Y703"})
FIRST = date(2021, 3, 1)


def episode(key: str, start: int, end: int, **given: object) -> Episode:
    """Return an episode by the days after the first one."""
    first, last = FIRST + timedelta(days=start), FIRST + timedelta(days=end)
    values: dict[str, object] = {
        "person": "P1", "epikey": key, "epistat": "3", "epistart": first, "epiend": last,
        "epiorder": 1, "admidate": first, "disdate": last, "admimeth": "11", "admisorc": "19",
        "dismeth": "1", "disdest": "19", "classpat": "1", "provider": "RTH",
    }  # fmt: skip
    return Episode(**{**values, **given})  # type: ignore[arg-type]


def stays(*episodes: Episode) -> list[ContinuousSpell]:
    (found,) = continuous(spells(sorted(episodes, key=lambda each: each.place)))
    return found


def operated(key: str, day: int, *codes: str) -> Episode:
    done = tuple(Operation(code, FIRST + timedelta(days=day)) for code in codes)
    return episode(key, day, day, operations=done)


@pytest.mark.parametrize(
    ("second", "joined"),
    [
        (episode("2", 9, 12, admidate=FIRST), True),
        (episode("2", 0, 12), True),
        (episode("2", 5, 12), False),
        (episode("2", 5, 12, provider="RHM"), False),
    ],
)
def test_an_episode_is_of_the_spell_before_it(second: Episode, joined: bool) -> None:
    (*_, found) = stays(episode("1", 0, 5), second)
    assert (len(found.spells[0].episodes) == 2) is joined


@pytest.mark.parametrize(("method", "joined"), [("8", True), ("9", True), ("1", False)])
def test_who_was_not_discharged_is_still_there(method: str, joined: bool) -> None:
    found = stays(episode("1", 0, 5, dismeth=method), episode("2", 5, 9))
    assert (len(found) == 1) is joined


@pytest.mark.parametrize(("gap", "joined"), [(-1, True), (0, True), (3, True), (4, False)])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"disdest": "51"}, {}), ({}, {"admisorc": "53"}),
        ({}, {"admimeth": "2B"}), ({}, {"admimeth": "81"}),
    ],
)  # fmt: skip
def test_a_transfer_within_three_days_goes_on(
    gap: int, joined: bool, before: dict[str, str], after: dict[str, str]
) -> None:
    found = stays(episode("1", 0, 5, **before), episode("2", 5 + gap, 9, provider="RHM", **after))
    assert (len(found) == 1) is joined


def test_a_transfer_is_no_readmission() -> None:
    found = stays(
        episode("1", 0, 5, disdest="51"), episode("2", 6, 9, provider="RHM", admimeth="21")
    )
    assert list(readmissions(found)) == []


def test_a_planned_return_and_a_birth_are_no_readmissions() -> None:
    found = stays(episode("1", 0, 5), *(episode(m, 7, 8, admimeth=m) for m in ("11", "82", "83")))
    assert list(readmissions(found)) == []


def test_a_readmission_is_held_against_the_last_discharge() -> None:
    found = stays(
        episode("1", 0, 1), episode("2", 3, 4, admimeth="21"), episode("3", 6, 7, admimeth="21")
    )
    assert [(each.before.spells[0].first.epikey, each.days) for each in readmissions(found)] == [
        ("1", 2), ("2", 2)
    ]  # fmt: skip


@pytest.mark.parametrize("known", [{"dismeth": "4"}, {"dismeth": "5"}, {"disdate": None}])
def test_nothing_follows_a_death_or_an_unknown_discharge(known: dict[str, object]) -> None:
    found = stays(episode("1", 0, 1, **known), episode("2", 3, 4, admimeth="21"))
    assert list(readmissions(found)) == []


@pytest.mark.parametrize(("day", "expected"), [(-1, False), (0, True), (5, True), (6, False)])
def test_a_day_of_death_within_the_stay_is_a_death_in_hospital(day: int, expected: bool) -> None:
    (stay,) = stays(episode("1", 0, 5))
    assert not died(stay)
    assert died(stay, FIRST + timedelta(days=day)) is expected


def test_the_last_episode_says_whether_somebody_died() -> None:
    first = episode("1", 0, 5, dismeth="8", disdate=None)
    (stay,) = stays(first, episode("2", 5, 9, admidate=FIRST, dismeth="4"))
    assert died(stay)


@pytest.mark.parametrize(("day", "count"), [(0, 0), (1, 1), (30, 1), (31, 0)])
def test_a_reoperation_is_on_a_later_day_within_thirty(day: int, count: int) -> None:
    found = stays(operated("1", 0, "H411"), operated("2", day, "T301", "Z941"))
    assert len(list(reoperations(found, CODES))) == count


@pytest.mark.parametrize("codes", [("T301", "Y703"), ("H154",), ("U051",)])
def test_what_was_planned_or_is_no_operation_of_the_list_is_none(codes: tuple[str, ...]) -> None:
    found = stays(operated("1", 0, "H411"), operated("2", 9, *codes))
    assert list(reoperations(found, CODES)) == []
