"""Clavien-Dindo from raw events: each grade of Dindo, Demartines and Clavien, Ann Surg 2004;240:205."""

from itertools import combinations, product

import pytest

import outcome_engine
from outcome_engine.assessment import clavien
from r4 import artefacts
from r4.issue import FhirError
from tests.outcome_engine.test_measure_examples import MEASURE, example

CSOR = "https://csor.example/fhir/CodeSystem"
VALUES = {
    concept["code"]: concept["property"][0]["valueString"]
    for concept in artefacts.by_url("terminology", "CodeSystem")[f"{CSOR}/event-detail-value"][
        "concept"
    ]
}
"""Each value of a detail, and the detail that it belongs to."""

WITHOUT_GENERAL = ("no-anaesthesia", "local-anaesthesia", "sedation", "regional-anaesthesia")
COMPLICATIONS = f"{MEASURE}appendicectomy-complications"
CHILD = {"reference": "Patient/child"}
SECOND = 2
"""Rank of grade II."""

INTERVENTIONS = ("surgical", "endoscopic", "radiological")


def coding(system, code):
    return {"coding": [{"system": f"{CSOR}/{system}", "code": code}]}


def event(*values):
    return {
        "resourceType": "Observation",
        "id": "event",
        "status": "final",
        "code": coding("outcome-observation", "postoperative-event"),
        "valueCodeableConcept": coding("postoperative-event", "wound-infection"),
        "component": [
            {
                "code": coding("event-detail", VALUES[value]),
                "valueCodeableConcept": coding("event-detail-value", value),
            }
            for value in values
        ],
    }


def grade(*values):
    return clavien.clavien_dindo(event(*values)).label


@pytest.mark.parametrize(
    "value", ["no-treatment", "permitted-drug", "physiotherapy", "bedside-wound-opening"]
)
def test_what_grade_i_allows_is_grade_i(value):
    assert grade(value) == "I"


@pytest.mark.parametrize("value", ["other-drug", "transfusion", "parenteral-nutrition"])
def test_other_drugs_transfusion_and_parenteral_nutrition_are_grade_ii(value):
    assert grade(value) == grade("no-treatment", value) == "II"


@pytest.mark.parametrize(
    ("intervention", "anaesthesia"), [*product(INTERVENTIONS, WITHOUT_GENERAL)]
)
def test_an_intervention_without_general_anaesthesia_is_iiia(intervention, anaesthesia):
    assert grade("other-drug", intervention, anaesthesia) == "IIIa"


@pytest.mark.parametrize("intervention", INTERVENTIONS)
def test_an_intervention_under_general_anaesthesia_is_iiib(intervention):
    assert grade("other-drug", intervention, "general-anaesthesia") == "IIIb"


def test_organ_failure_is_iv_and_death_is_v():
    assert grade("other-drug", "single-organ") == "IVa"
    assert grade("surgical", "general-anaesthesia", "multiple-organs") == "IVb"
    assert grade("other-drug", "multiple-organs", "died") == "V"
    assert grade("other-drug", "no-organ-dysfunction", "survived") == "II"


def test_the_suffix_says_that_the_child_still_suffers_from_it_at_discharge():
    assert grade("surgical", "general-anaesthesia", "present") == "IIIbd"
    assert grade("other-drug", "resolved") == "II"


def test_the_grades_are_ordered():
    ascending = [
        ("no-treatment",),
        ("transfusion",),
        ("endoscopic",),
        ("endoscopic", "sedation"),
        ("endoscopic", "general-anaesthesia"),
        ("single-organ",),
        ("multiple-organs",),
        ("died",),
    ]
    grades = [clavien.clavien_dindo(event(*values)) for values in ascending]
    assert [each.display for each in grades] == [
        "I",
        "II",
        "III",
        "IIIa",
        "IIIb",
        "IVa",
        "IVb",
        "V",
    ]
    assert grades == sorted(grades)


def test_an_intervention_whose_anaesthesia_is_not_told_is_iii_of_the_contracted_form():
    assert grade("other-drug", "surgical", "present") == "IIId"
    assert grade("surgical", "single-organ") == "IVa", "what is graver decides without it"


@pytest.mark.parametrize("values", [(), ("survived",), ("general-anaesthesia", "present")])
def test_an_event_of_which_nothing_is_told_has_no_grade(values):
    with pytest.raises(FhirError, match="what was done for it"):
        grade(*values)


def test_another_observation_is_no_event():
    with pytest.raises(FhirError, match="no post-operative event"):
        clavien.clavien_dindo({**event("other-drug"), "code": coding("case-mix", "trisomy-21")})


def test_clavien_madadi_is_refused_by_name():
    with pytest.raises(FhirError, match="Clavien-Madadi") as refusal:
        clavien.clavien_madadi(event("surgical", "general-anaesthesia", "error"))
    (issue,) = refusal.value.issues
    assert (refusal.value.status, issue.code) == (422, "not-supported")
    assert "Observation/event" in issue.diagnostics


@pytest.mark.parametrize(
    "values",
    [
        *combinations(VALUES, 1),
        *(pytest.param(pair, marks=pytest.mark.slow) for pair in combinations(VALUES, 2)),
    ],
)
def test_the_measure_of_complications_counts_grade_ii_and_above(values, terminology):
    """Every single detail and every pair: the rule of the Library and the derived grade agree."""
    record, _ = example("appendicectomy-complications", "good-reviewed")
    happened = {**event(*values), "effectiveDateTime": "2025-03-12", "subject": CHILD}
    outcome = outcome_engine.assess(COMPLICATIONS, [*record, happened], "2025-06-01", terminology)
    try:
        graded = clavien.clavien_dindo(happened).rank >= SECOND
    except FhirError:
        graded = False
    assert (outcome.outcome_class == "bad") == graded
