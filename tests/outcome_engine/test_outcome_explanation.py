"""What a surgeon reads of one outcome: the rule, the resources, the dates, and care elsewhere."""

from pathlib import Path

import pytest

import outcome_engine
from outcome_engine import civil
from outcome_engine.assessment.explain import explain
from outcome_engine.reports.text import report_text
from r4.fhirpath.narrative import is_safe
from tests.outcome_engine.signing import TSS, parameters, signed
from tests.outcome_engine.test_outcome_batch import golden

DOCUMENT = Path(__file__).parents[2] / "docs" / "outcomes.md"
STAY = {
    "resourceType": "Encounter",
    "id": "second-stay",
    "status": "finished",
    "class": {"code": "IMP"},
    "subject": {"reference": "Patient/child"},
    "period": {"start": "2018-04-12T08:00:00+01:00"},
    "serviceProvider": {"reference": "Organization/another"},
}


@pytest.fixture
def explained(record, core, terminology):
    def of(name, *further, as_of="2024-06-30", change=list):
        resources = [*record(name), *further]
        change(resources)
        outcome = outcome_engine.assess(core, resources, as_of, terminology)
        return explain(outcome, resources, terminology)

    return of


def there(resources):
    """Let the reoperation take place in the stay at the other hospital."""
    reoperation = next(each for each in resources if each["id"] == "reoperation")
    reoperation["encounter"] = {"reference": "Encounter/second-stay"}


def test_the_documented_explanation_is_the_one_that_is_given(explained):
    text = explained("bad-unplanned-reoperation", STAY, change=there).text()
    assert f"```text\n{text}\n```" in DOCUMENT.read_text(encoding="utf-8")


def test_it_links_what_decided_with_date_and_place(explained):
    found = explained("bad-unplanned-reoperation", STAY, change=there)
    (shown,) = found.shown
    assert (shown.reference, shown.date) == ("Procedure/reoperation", "2018-04-13T22:15:00+01:00")
    assert shown.elsewhere == "Organization/another"
    assert "3 days after the index operation, at 11 weeks of age" in found.text()


def test_care_elsewhere_is_shown_and_attributed_to_the_hospital_of_the_case(explained):
    found = explained("good", STAY)
    assert [each.reference for each in found.elsewhere] == ["Encounter/second-stay"]
    assert found.sentences[-1] == (
        "Care at another hospital, attributed to Organization/hospital: "
        "Encounter/second-stay at Organization/another, 12 April 2018."
    )
    assert explained("good").elsewhere == ()
    assert explained("good", STAY, as_of="2018-04-11").elsewhere == ()


def test_it_tells_what_else_is_met_and_what_is_not_known(explained, change):
    def stoma(resources):
        change(resources, "stoma", valueBoolean=True)

    text = explained("bad-unplanned-reoperation", change=stoma).text()
    assert "Also met: Permanent stoma at 5 years or over (14 February 2023)." in text
    text = explained("due-survey-incomplete").text()
    assert "Not known: Urinary incontinence at 5 years or over." in text
    assert "\nNot due before 1 September 2026: Death;" in explained("not-yet-due").text()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("2018-04-13", "13 April 2018"),
        ("2018-04-13T23:30:00+01:00", "13 April 2018"),
        ("2018-04", "April 2018"),
        ("2018", "2018"),
        ("in spring", "in spring"),
        (None, "not dated"),
    ],
)
def test_a_date_is_said_as_one_reads_it_and_as_far_as_it_is_known(written, said):
    assert civil.said(written) == said


def test_of_a_score_it_tells_the_nearest_cut_and_how_sure_the_classes_are(terminology):
    known = parameters(signed())
    for resources in golden(TSS):
        outcome = outcome_engine.assess(TSS, resources, "2024-06-30", terminology, known)
        text = explain(outcome, resources, terminology).text()
        assert outcome.score is None or f"the cut of {outcome.score.nearest.name}" in text
        assert outcome.score is None or "Of 1000 draws of the preferences" in text


def test_a_narrative_holds_nothing_that_xml_cannot(record, core, terminology):
    resources = record("bad-unplanned-reoperation")
    there = next(each for each in resources if each["id"] == "reoperation")
    there["code"]["text"] = "a \x0b & \ufffe <b>"
    outcome = outcome_engine.assess(core, resources, "2024-06-30", terminology)
    div = report_text(outcome, resources, terminology)["div"]
    assert is_safe(div)
    assert "a \ufffd &amp; \ufffd &lt;b&gt;" in div
    assert '<a href="Procedure/reoperation">Procedure/reoperation</a>' in div


def test_nothing_is_told_at_an_age_before_birth(record, core, terminology):
    resources = record("bad-unplanned-reoperation")
    next(each for each in resources if each["resourceType"] == "Patient")["birthDate"] = (
        "2018-04-14"
    )
    outcome = outcome_engine.assess(core, resources, "2024-06-30", terminology)
    assert " of age" not in explain(outcome, resources, terminology).text()


@pytest.mark.parametrize("status", ["planned", "cancelled", "entered-in-error"])
def test_care_that_did_not_take_place_is_not_shown(explained, status):
    assert explained("good", {**STAY, "status": status}).elsewhere == ()
