"""A measurement counts in whatever unit of its kind it came, where that is exact; otherwise it is said."""

from decimal import Decimal

import pytest

import outcome_engine
from outcome_engine.assessment.explain import explain
from tests.outcome_engine.flattened import many, one_by_one
from tests.outcome_engine.test_outcome_batch import golden

MEASURE = "https://csor.example/fhir/Measure/"
GASTROSCHISIS = f"{MEASURE}gastroschisis-survival"
BIRTH_WEIGHT, GESTATION = "364589006", "412726003"
MEASURES = [GASTROSCHISIS, f"{MEASURE}oesophageal-atresia-survival",
            f"{MEASURE}necrotising-enterocolitis-survival-1-year"]  # fmt: skip
AS_OF = "2026-06-30"


def measured(code, value, unit, day="2018-01-23"):
    return {
        "resourceType": "Observation",
        "id": f"measured-{code}-{unit.strip('[]')}-{day}",
        "status": "final",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": code}]},
        "subject": {"reference": "Patient/child"},
        "effectiveDateTime": day,
        "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": unit},
    }


def record_with(measure, *observations):
    """Give a worked example's record with these observations in the place of its own measurements."""
    wanted = {BIRTH_WEIGHT, GESTATION}
    return [
        each
        for each in golden(measure)[0]
        if each.get("code", {}).get("coding", [{}])[0].get("code") not in wanted
    ] + list(observations)


def factors(outcome):
    return {each.id: each.value for each in outcome.factors}


@pytest.mark.parametrize(
    ("measurement", "factor", "value"),
    [
        (measured(BIRTH_WEIGHT, 2500, "g"), "birth-weight", 2_500_000_000),
        (measured(BIRTH_WEIGHT, Decimal("2.5"), "kg"), "birth-weight", 2_500_000_000),
        (measured(BIRTH_WEIGHT, 2_500_000, "mg"), "birth-weight", 2_500_000_000),
        (measured(GESTATION, 37, "wk"), "gestation", 37_000_000),
        (measured(GESTATION, 259, "d"), "gestation", 37_000_000),
    ],
)
def test_a_measurement_counts_in_the_unit_that_the_factor_has(
    measurement, factor, value, terminology
):
    record = record_with(GASTROSCHISIS, measurement)
    outcome = outcome_engine.assess(GASTROSCHISIS, record, AS_OF, terminology)
    assert factors(outcome)[factor] == value
    assert not any(each.unread for each in outcome.factors)


def test_the_first_that_can_be_read_counts(terminology):
    record = record_with(
        GASTROSCHISIS,
        measured(BIRTH_WEIGHT, 88, "[oz_av]", "2018-01-23"),
        measured(BIRTH_WEIGHT, Decimal("2.6"), "kg", "2018-01-24"),
        measured(BIRTH_WEIGHT, 2700, "g", "2018-01-25"),
    )
    outcome = outcome_engine.assess(GASTROSCHISIS, record, AS_OF, terminology)
    assert factors(outcome)["birth-weight"] == 2_600_000_000
    assert "cannot be converted" not in explain(outcome, record, terminology).text()


@pytest.mark.parametrize(
    ("measurement", "said"),
    [
        (
            measured(BIRTH_WEIGHT, 88, "[oz_av]"),
            "Birth weight (g) is not known: Observation/measured-364589006-oz_av-2018-01-23 "
            "(Birth weight (364589006): 88 [oz_av]) cannot be converted exactly.",
        ),
        (
            measured(GESTATION, 270, "d"),
            "Gestation (weeks) is not known: Observation/measured-412726003-d-2018-01-23 "
            "(Length of gestation at birth (412726003): 270 d) cannot be converted exactly.",
        ),
    ],
)
def test_what_cannot_be_converted_stays_unknown_and_is_said(measurement, said, terminology):
    display = said.split("(")[2].rstrip()
    measurement["code"]["coding"][0]["display"] = display
    record = record_with(GASTROSCHISIS, measurement)
    outcome = outcome_engine.assess(GASTROSCHISIS, record, AS_OF, terminology)
    assert factors(outcome)["birth-weight"] is None
    assert factors(outcome)["gestation"] is None
    assert said in explain(outcome, record, terminology).sentences


@pytest.mark.parametrize("measure", MEASURES)
def test_many_at_once_read_units_alike(measure, terminology):
    units = [(BIRTH_WEIGHT, 2500, "g"), (BIRTH_WEIGHT, Decimal("2.5"), "kg"), (GESTATION, 266, "d"),
             (GESTATION, 270, "d"), (BIRTH_WEIGHT, 88, "[oz_av]"),
             (BIRTH_WEIGHT, Decimal("1E+400"), "kg")]  # fmt: skip
    those = [
        [each | {"id": f"{number}-{each['id']}"} for each in record_with(measure, measured(*unit))]
        for number, unit in enumerate(units)
    ]
    rows, refused = one_by_one(those, measure, AS_OF, terminology)
    assert (many(those, measure, AS_OF, terminology), refused) == (rows, {})
