"""A survey is due from its time point on, for as long as the operator's plan says."""

import tomllib
from datetime import date
from importlib.resources import files
from typing import Any

import pytest

from questionnaires import forms
from questionnaires.letters import KINDS, letter
from questionnaires.schedule import Span, due, plan, reminders, span

CONDITION = "https://csor.example/fhir/CodeSystem/condition"
FORM = "https://csor.example/fhir/Questionnaire/one"


def asked(**more: Any) -> dict[str, Any]:
    return {
        "form": "one", "condition": "hirschsprung", "anchor": "birth", "after": "P1Y",
        "window": "P8W", "remind": ["P7D", "P21D"], "source": "made up", **more,
    }  # fmt: skip


def planned(*surveys: dict[str, Any]) -> Any:
    return plan({"valid": "P14D", "survey": list(surveys or [asked()])})


def case(condition: str = "hirschsprung", opened: str = "2025-03-10") -> dict[str, Any]:
    coding = {"system": CONDITION, "code": condition}
    return {"type": [{"coding": [coding]}], "period": {"start": opened}}


CHILD = {"birthDate": "2025-03-01"}


@pytest.mark.parametrize(
    ("today", "is_due"),
    [("2026-02-28", False), ("2026-03-01", True), ("2026-04-26", True), ("2026-04-27", False)],
)
def test_it_is_due_from_the_first_day_to_the_last(today: str, is_due: bool) -> None:
    found = due(case(), CHILD, planned(), date.fromisoformat(today))
    assert bool(found) == is_due
    for each in found:
        assert each.form == FORM
        assert (each.from_, each.until) == (date(2026, 3, 1), date(2026, 4, 26))
        assert each.remind == (date(2026, 3, 8), date(2026, 3, 22))


def test_it_is_counted_from_birth_or_from_the_case() -> None:
    plans = planned(asked(anchor="case", after="P28D"), asked(after="P4W"))
    found = due(case(opened="2025-03-10T09:00:00Z"), CHILD, plans, date(2025, 4, 8))
    assert [each.from_ for each in found] == [date(2025, 4, 7), date(2025, 3, 29)]


def test_another_condition_is_not_asked() -> None:
    assert due(case("gastroschisis"), CHILD, planned(), date(2026, 3, 1)) == []


@pytest.mark.parametrize("born", ["2025", "2025-03", None])
def test_without_a_whole_date_nothing_is_due(born: str | None) -> None:
    assert due(case(), {"birthDate": born}, planned(), date(2026, 3, 5)) == []


@pytest.mark.parametrize(
    ("text", "day", "later"),
    [
        ("P1M", "2025-01-31", "2025-02-28"),
        ("P1Y", "2024-02-29", "2025-02-28"),
        ("P1Y6M", "2025-08-31", "2027-02-28"),
        ("P2W3D", "2025-12-20", "2026-01-06"),
        ("P12M", "2025-12-01", "2026-12-01"),
    ],
)
def test_months_are_those_of_the_calendar(text: str, day: str, later: str) -> None:
    assert span(text).after(date.fromisoformat(day)).isoformat() == later


@pytest.mark.parametrize("text", ["", "P", "28D", "P1H", "PT1H", "P-1D", "P1D1Y", 28, None])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="no duration"):
        span(text)


@pytest.mark.parametrize(
    "table",
    [
        {"survey": []},
        {"valid": "P1D", "surveys": []},
        {"valid": "P1D", "survey": [asked(anchor="diagnosis")]},
        {"valid": "P1D", "survey": [asked(remind=["soon"])]},
        {"valid": "P1D", "survey": [asked(unknown=1)]},
        {"valid": "P1D", "survey": [{"form": "one"}]},
        {"valid": "P1D", "survey": [asked(), asked(anchor="case")]},
    ],
)
def test_a_plan_that_is_wrong_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        plan(table)


def test_the_reminders_of_a_form_that_is_not_planned_any_more_are_none() -> None:
    number = "9990000018.hirschsprung.one.P1Y"
    assert reminders(number, date(2026, 3, 1), planned()) == (date(2026, 3, 8), date(2026, 3, 22))
    assert reminders("9990000018.hirschsprung.one.P2Y", date(2026, 3, 1), planned()) == ()


def test_the_plan_of_the_demo_names_forms_that_there_are_and_a_source_for_each() -> None:
    text = (files("questionnaires") / "parent_surveys" / "demo-plan.toml").read_text("utf-8")
    table = tomllib.loads(text)
    read = plan(table)
    assert read.valid == Span(0, 14)
    assert read.surveys
    assert {each.form for each in read.surveys} <= forms().keys()
    assert all("precedent, not CSOR's" in each["source"] for each in table["survey"])


@pytest.mark.parametrize("language", ["en", "cy"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_letter_of_a_survey_that_stays_open_names_no_last_day(kind: str, language: str) -> None:
    dated, undated = (letter(kind, language, until).text for until in ("2026-12-31", None))
    [line] = [each for each in dated.splitlines() if "31/12/2026" in each]
    sentence = line.partition(". ")[0] + ". "
    assert undated == dated.replace(sentence, "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_letter_has_one_link_and_says_nothing_of_the_child(kind: str) -> None:
    found = letter(kind, "en", "2026-12-31")
    assert found.text.count("{link}") == 1
    assert "31/12/2026" in found.text
    assert letter(kind, "tlh", "2026-12-31") == found  # in a language that nothing is written in
    said = f"{found.subject} {found.text}".lower()
    assert not [
        each for each in ("hirschsprung", "surgery", "hospital", "operation") if each in said
    ]
