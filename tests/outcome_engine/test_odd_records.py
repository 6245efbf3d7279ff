"""Records that are valid and odd: one child and many are told alike, and nothing fails."""

from copy import deepcopy

import pytest

import outcome_engine
from outcome_engine.assessment.explain import explain
from tests.outcome_engine.flattened import many, numbered, one_by_one
from tests.outcome_engine.test_outcome_batch import golden

MEASURE = "https://csor.example/fhir/Measure/"
READMISSION = f"{MEASURE}appendicectomy-readmission"
AGE = f"{MEASURE}undescended-testis-age"
AS_OF = "2026-06-30"


def of_type(record, resource_type):
    return [each for each in record if each["resourceType"] == resource_type]


def told(measure, records, terminology):
    """Give each outcome, which the batch tells as well."""
    those = numbered(records)
    rows, refused = one_by_one(those, measure, AS_OF, terminology)
    assert (many(those, measure, AS_OF, terminology), refused) == (rows, {})
    outcomes = [outcome_engine.assess(measure, each, AS_OF, terminology) for each in records]
    for outcome, record in zip(outcomes, records, strict=True):
        assert explain(outcome, record, terminology).sentences
    return outcomes


@pytest.mark.parametrize(
    ("named", "hospital"),
    [
        ({"reference": "Organization/a/_history/2"}, "Organization/a"),
        ({"reference": "https://other.example/fhir/Organization/1"}, None),
        ({"reference": "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7"}, None),
        ({"reference": "#organization"}, None),
        ({"identifier": {"value": "RX1"}}, None),
    ],
)
def test_a_hospital_is_an_organization_of_this_server(named, hospital, terminology):
    record = golden(AGE)[0]
    of_type(record, "EpisodeOfCare")[0]["managingOrganization"] = named
    stay = {
        "resourceType": "Encounter",
        "id": "own",
        "status": "finished",
        "period": {"start": of_type(record, "EpisodeOfCare")[0]["period"]["start"]},
        "serviceProvider": {"reference": "Organization/a"},
    }
    outcome = outcome_engine.assess(AGE, [*record, stay], AS_OF, terminology)
    assert outcome.hospital == hospital
    assert [each.hospital for each in outcome.care] == ([] if hospital else ["Organization/a"])
    those = [record]
    assert many(those, AGE, AS_OF, terminology) == one_by_one(those, AGE, AS_OF, terminology)[0]


def test_a_stay_that_ends_at_the_end_of_the_calendar_is_due_never(terminology):
    records = golden(READMISSION)
    for record in records:
        for stay in of_type(record, "Encounter"):
            stay["period"]["end"] = "9999-12-31"
    for outcome in told(READMISSION, records, terminology):
        assert outcome.due_on is None or outcome.due_on < "9999"


def test_an_age_is_not_reached_beyond_the_calendar(terminology):
    record = deepcopy(golden(AGE)[0])
    of_type(record, "Patient")[0]["birthDate"] = "9999-12-31"
    (outcome,) = told(AGE, [record], terminology)
    assert outcome.outcome_class == "not-yet-known"
