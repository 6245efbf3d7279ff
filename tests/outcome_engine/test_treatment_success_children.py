"""The Treatment Success Score of children's records, by the fictitious parameters and by hand.

With them the score is (utility + 4) / 10; the horizon is a year from the case: 2019-01-23, 365 days.
"""

from copy import deepcopy
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from typing import Any

import pytest

import outcome_engine
from outcome_engine.definitions.definition import definition, outline
from r4.issue import FhirError
from r4.json import decode
from tests.outcome_engine.signing import TSS, measure, parameters, signed

EXAMPLES = files("outcome_engine") / "examples" / "treatment-success-score"
NAMES = sorted(each.name.removesuffix(".bundle.json") for each in EXAMPLES.iterdir())
PARAMETERS = parameters(signed())
AFTER = "2024-06-30"
ILLUSTRATIVE = (
    "Illustrative only: the parameters (version 0.0.1) are fictitious, and this result says nothing "
    "about the child."
)


def child(name: str) -> list[dict[str, Any]]:
    bundle = decode((EXAMPLES / f"{name}.bundle.json").read_bytes())
    return deepcopy([entry["resource"] for entry in bundle["entry"]])


@pytest.fixture
def told(terminology):
    """Tell a record's outcome, by the fictitious parameters or by changed ones."""

    def of(resources, as_of=AFTER, change=None):
        known = PARAMETERS if change is None else parameters(signed(change))
        return outcome_engine.assess(TSS, resources, as_of, terminology, known)

    return of


def values(outcome):
    return {each.id: each.value for each in outcome.attributes}


@pytest.mark.parametrize(
    ("name", "score", "light", "kind"),
    [
        # 3 (quality of life from 75) + 3 (survival) - 0.2 (a planned major operation) = 5.8
        ("green", "0.98", "green", "good"),
        # 1 + 3 - 0.2 - 0.4 (an emergency major operation) - 1 (two infections) = 2.4
        ("amber", "0.64", "amber", "good"),
        # 0 + 3 - 0.2 - 0.8 - 1.5 = 0.5
        ("red", "0.45", "red", "bad"),
        # 0 + 3 - 0.2 - 0.8 = 2: exactly 0.6
        ("tie-at-the-cut", "0.6", "amber", "good"),
        # 2 (50 is assumed) + 3 - 0.2 = 4.8
        ("quality-of-life-missing", "0.88", "green", "good"),
        # 0 + 3 * 10/365 - 0.2 = -0.117808…
        ("death", "0.388219", "red", "bad"),
        ("death-registered-only", "0.388219", "red", "bad"),
        # 0 + 3 * 20/365 - 0.2 = -0.035616…
        ("death-by-the-registered-date", "0.396438", "red", "bad"),
    ],
)
def test_a_record_gives_its_score(told, name, score, light, kind):
    outcome = told(child(name))
    assert (outcome.score.value, outcome.score.light) == (Decimal(score), light)
    assert outcome.outcome_class == kind
    assert outcome.observation == outcome.score.micro
    assert outcome.facts["score-light"] == light
    assert outcome.facts["score-good"] is (kind == "good")
    assert outcome.populations == {"initial-population", "measure-population"}
    assert outcome.reason == ("score-reaches-cut" if kind == "good" else "score-below-cut")
    assert outcome.statement.endswith(ILLUSTRATIVE)
    assert outcome.parameters.digest == PARAMETERS.of(measure(), AFTER).digest


def test_each_example_is_told():
    named = test_a_record_gives_its_score.pytestmark[0].args[1]
    assert sorted(each[0] for each in named) == NAMES


def test_a_tie_is_read_as_a_surgeon_would(told):
    outcome = told(child("tie-at-the-cut"))
    assert outcome.statement == (
        "Treatment Success Score 0.600000: good (0.6 and over is good), amber; exactly at the cut of "
        f"good. Of 1000 draws of the preferences {float(outcome.score.probabilities.good):.1%} are "
        "good, and "
        f"{float(outcome.score.probabilities.red):.1%} red, "
        f"{float(outcome.score.probabilities.amber):.1%} amber, "
        f"{float(outcome.score.probabilities.green):.1%} green. Made of: days of survival after the "
        "case opened, up to the horizon 365, planned minor operations 0, planned major operations 1, "
        "emergency minor operations 0, emergency major operations 2, infections treated in hospital "
        f"0, quality of life 10. {ILLUSTRATIVE}"
    )
    assert 0.4 < outcome.score.probabilities.good < 0.6


def test_the_evidence_is_what_the_attributes_were_read_from(told):
    outcome = told(child("amber"))
    assert set(outcome.evidence) == {
        "Procedure/pull-through",
        "Procedure/reopening",
        "Observation/episode-1",
        "Observation/episode-2",
        "Observation/quality-of-life",
    }
    assert set(outcome.evidence) < set(outcome.used)
    assert "below the cut of green" not in outcome.statement
    assert outcome.score.nearest.name == "good"
    assert outcome.score.nearest.distance == Decimal("0.04")


def test_what_was_assumed_is_said(told):
    outcome = told(child("quality-of-life-missing"))
    assert dict(outcome.score.assumed) == {"quality-of-life": 50}
    said = "Not recorded, and assumed by the missing data rule: quality of life (50)."
    assert said in outcome.statement


def not_known(file):
    rule = file["parameters"]["missing-data-rule"][5]
    rule.pop("value")
    rule["rule"] = "not-known"


def test_where_nothing_may_be_assumed_the_outcome_is_not_known(told):
    outcome = told(child("quality-of-life-missing"), change=not_known)
    assert (outcome.outcome_class, outcome.reason) == ("not-yet-known", "information-missing")
    assert outcome.score is None
    assert outcome.observation is None
    assert outcome.populations == {"initial-population"}
    assert (
        outcome.statement == f"Due since 23 January 2019. Missing: quality of life. {ILLUSTRATIVE}"
    )


@pytest.mark.parametrize(
    ("start", "kind"), [("2023-07-01", "not-yet-known"), ("2023-06-30", "good")]
)
def test_nothing_is_told_before_the_horizon(told, start, kind):
    resources = child("green")
    resources[1]["period"]["start"] = start
    outcome = told(resources)
    assert outcome.outcome_class == kind
    if kind == "not-yet-known":
        assert outcome.reason == "not-yet-due"
        assert outcome.statement == f"Not due before 1 July 2024. {ILLUSTRATIVE}"
        assert outcome.score is None
        assert outcome.populations == {"initial-population", "measure-population-exclusion"}


def test_a_death_beyond_the_horizon_does_not_count(told):
    resources = child("green")
    resources[0]["deceasedDateTime"] = "2019-01-24"
    assert told(resources).score.value == Decimal("0.98")
    resources[0]["deceasedDateTime"] = "2019-01-23"
    assert values(told(resources))["survival"] == 365
    assert values(told(resources))["quality-of-life"] == 0


@pytest.mark.parametrize(
    "death",
    [{"deceasedBoolean": True}, {"deceasedDateTime": "2018-05"}, {"deceasedDateTime": "2018"}],
)
def test_a_death_on_a_day_that_is_not_known_leaves_the_outcome_unknown(told, death):
    resources = child("green")
    resources[0].update(death)
    outcome = told(resources)
    assert outcome.outcome_class == "not-yet-known"
    assert "Missing: planned minor operations" in outcome.statement
    assert "days of survival" in outcome.statement


def test_a_death_after_the_report_is_not_known_yet(told):
    resources = child("green")
    resources[0]["deceasedDateTime"] = "2024-07-01"
    assert told(resources).score.value == Decimal("0.98")


class TestOperations:
    def test_those_of_one_day_are_one_operation(self, told):
        resources = child("amber")
        again = deepcopy(next(each for each in resources if each["id"] == "reopening"))
        resources.append(again | {"id": "again"})
        assert values(told(resources))["emergency-major"] == 1

    def test_or_each_is_one_where_the_parameters_say_so(self, told):
        resources = child("amber")
        again = deepcopy(next(each for each in resources if each["id"] == "reopening"))
        resources.append(again | {"id": "again"})

        def procedures(file):
            file["parameters"]["minor-major-definition"]["counted-by"] = "procedure"

        assert values(told(resources, change=procedures))["emergency-major"] == 2

    @pytest.mark.parametrize(
        ("element", "value"),
        [
            ("status", "not-done"),
            ("status", "entered-in-error"),
            ("performedDateTime", "2018-01-22"),
            ("performedDateTime", "2019-01-24"),
        ],
    )
    def test_one_that_did_not_take_place_within_the_horizon_is_none(self, told, element, value):
        resources = child("amber")
        next(each for each in resources if each["id"] == "reopening")[element] = value
        assert values(told(resources))["emergency-major"] == 0

    def test_one_whose_code_is_in_neither_list_is_none(self, told):
        resources = child("amber")
        found = next(each for each in resources if each["id"] == "reopening")
        found["code"]["coding"][0]["code"] = "X00.0"
        assert values(told(resources))["emergency-major"] == 0

    def test_a_minor_one_is_minor_unless_it_has_a_major_code_too(self, told):
        minor = {"system": "https://fhir.hl7.org.uk/CodeSystem/OPCS-4", "code": "N09.2"}
        resources = child("amber")
        found = next(each for each in resources if each["id"] == "reopening")
        major = found["code"]["coding"][0]
        found["code"]["coding"] = [minor]
        read = values(told(resources))
        assert (read["emergency-minor"], read["emergency-major"]) == (1, 0)
        found["code"]["coding"] = [minor, major]
        read = values(told(resources))
        assert (read["emergency-minor"], read["emergency-major"]) == (0, 1)

    @pytest.mark.parametrize(
        ("rule", "planned", "emergency"),
        [("planned", 2, 0), ("emergency", 1, 1), ("not-known", None, None)],
    )
    def test_an_urgency_that_is_not_recorded_is_what_the_parameters_say(
        self, told, rule, planned, emergency
    ):
        resources = child("amber")
        next(each for each in resources if each["id"] == "reopening").pop("extension")

        def so(file):
            file["parameters"]["minor-major-definition"]["urgency-not-recorded"] = rule

        outcome = told(resources, change=so)
        read = values(outcome)
        assert (read["planned-major"], read["emergency-major"]) == (planned, emergency)
        assert (outcome.outcome_class == "not-yet-known") is (rule == "not-known")


class TestInfections:
    def test_an_episode_that_was_not_one_does_not_count(self, told):
        resources = child("amber")
        next(each for each in resources if each["id"] == "episode-1")["valueBoolean"] = False
        assert values(told(resources))["infections"] == 1

    def test_a_diagnosis_counts_once_a_stay(self, told):
        code = {"system": "http://hl7.org/fhir/sid/icd-10", "code": "Q43.1"}  # no infection: a test

        def diagnoses(file):
            file["parameters"]["infection-definition"]["diagnoses"]["codes"] = [code]

        def diagnosis(number, **more):
            return {
                "resourceType": "Condition",
                "id": f"diagnosis-{number}",
                "code": {"coding": [code]},
                "subject": {"reference": "Patient/child"},
                "recordedDate": "2018-05-05",
                **more,
            }

        refuted = {"coding": [{"code": "refuted"}]}
        resources = [
            *child("green"),
            diagnosis(1, encounter={"reference": "Encounter/a"}),
            diagnosis(2, encounter={"reference": "Encounter/a"}),
            diagnosis(3, encounter={"reference": "Encounter/b"}),
            diagnosis(4, encounter={"reference": "Encounter/c"}, verificationStatus=refuted),
            diagnosis(5),
        ]
        assert values(told(resources, change=diagnoses))["infections"] == 2


class TestQualityOfLife:
    def test_the_last_result_within_the_horizon_counts(self, told):
        resources = child("green")
        first = deepcopy(resources[-1]) | {"id": "first", "effectiveDateTime": "2018-06-01"}
        late = deepcopy(resources[-1]) | {"id": "late", "effectiveDateTime": "2019-02-01"}
        first["valueInteger"], late["valueInteger"] = 10, 20
        assert values(told([*resources, first, late]))["quality-of-life"] == 80_000_000

    @pytest.mark.parametrize(
        ("earlier", "later", "counts"),
        [
            ({"valueQuantity": {"value": Decimal("10.5")}}, {"valueInteger": 60}, 60_000_000),
            ({"valueInteger": 60}, {"valueQuantity": {"value": Decimal("10.5")}}, 10_500_000),
        ],
    )
    def test_the_last_counts_as_a_quantity_or_as_an_integer(self, told, earlier, later, counts):
        *others, life = child("green")
        life.pop("valueInteger")
        first = {**deepcopy(life), "id": "first", "effectiveDateTime": "2018-06-01", **earlier}
        last = {**deepcopy(life), "id": "last", "effectiveDateTime": "2018-07-01", **later}
        outcome = told([*others, last, first])
        assert values(outcome)["quality-of-life"] == counts
        [known] = [each for each in outcome.attributes if each.id == "quality-of-life"]
        assert [each.reference for each in known.evidence] == ["Observation/last"]

    def test_a_quantity_counts_with_its_decimals(self, told):
        resources = child("green")
        resources[-1].pop("valueInteger")
        resources[-1]["valueQuantity"] = {"value": Decimal("74.999999")}
        outcome = told(resources)
        assert values(outcome)["quality-of-life"] == 74_999_999
        assert outcome.score.value == Decimal("0.88")

    def test_a_quantity_that_is_not_exact_is_no_measurement(self, told):
        resources = child("green")
        resources[-1].pop("valueInteger")
        resources[-1]["valueQuantity"] = {"value": Decimal(75), "comparator": "<"}
        outcome = told(resources)
        assert values(outcome)["quality-of-life"] is None
        assert dict(outcome.score.assumed) == {"quality-of-life": 50}

    def test_what_was_measured_before_death_counts_where_the_parameters_say_nothing(self, told):
        def nothing(file):
            file["parameters"]["quality-of-life-scaling"]["after-death"] = None

        resources = child("green")
        resources[0]["deceasedDateTime"] = "2019-01-02"
        assert values(told(resources, change=nothing))["quality-of-life"] == 80_000_000


class TestAlive:
    def seen(self, file):
        file["parameters"]["survival-horizon"]["alive"] = "seen"

    def test_whoever_is_not_seen_after_the_horizon_is_not_known(self, told):
        outcome = told(child("green"), change=self.seen)
        assert values(outcome)["survival"] is None
        assert outcome.outcome_class == "not-yet-known"

    @pytest.mark.parametrize("day", ["2019-01-23", "2022-05-05"])
    def test_a_later_record_shows_the_child_alive(self, told, day):
        late = deepcopy(child("green")[-1]) | {"id": "late", "effectiveDateTime": day}
        outcome = told([*child("green"), late], change=self.seen)
        assert values(outcome)["survival"] == 365

    def test_so_does_a_later_death(self, told):
        resources = child("green")
        resources[0]["deceasedDateTime"] = "2020-01-01"
        assert values(told(resources, change=self.seen))["survival"] == 365


def test_without_parameters_the_definition_can_be_read_and_scores_nobody():
    with pytest.raises(FhirError, match="absent"):
        definition(TSS)
    found = outline(TSS)
    assert found.observation is not None
    assert [each.id for each in found.facts if each.role == "attribute"] == [
        "survival",
        "planned-minor",
        "planned-major",
        "emergency-minor",
        "emergency-major",
        "infections",
        "quality-of-life",
    ]


def test_the_integers_of_the_definition_are_those_of_the_file(told):
    for name in NAMES:
        outcome = told(child(name))
        scored = outcome.parameters.content.scored(values(outcome))
        facts = outcome.facts
        assert (scored.utility, scored.micro) == (facts["utility"], facts["score"])
        exact = Fraction(scored.utility, outcome.parameters.content.compiled().scale)
        assert outcome.score.value == round((exact + 4) / 10 * 10**6) / Decimal(10**6)
