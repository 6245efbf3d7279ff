"""Who else cared for a child: shown beside the hospital of its case, and changing no number."""

import pytest

import outcome_engine
from outcome_engine.assessment.care import elsewhere
from tests.outcome_engine.test_measure_examples import example

MEASURE = "https://csor.example/fhir/Measure/appendicectomy-readmission"


def stay(id, hospital, start, end=None, status="finished"):
    period = {"start": start} | ({} if end is None else {"end": end})
    return {
        "resourceType": "Encounter",
        "id": id,
        "status": status,
        "serviceProvider": {"reference": f"Organization/{hospital}"},
        "period": period,
    }


def cared(*stays):
    found = elsewhere(stays, "Organization/own", "2025-03-10", "2025-04-12")
    return [(each.hospital, [stay.reference for stay in each.encounters]) for each in found]


def test_each_hospital_is_named_once_with_its_stays_in_order():
    assert cared(
        stay("1", "b", "2025-04-01", "2025-04-02"),
        stay("2", "own", "2025-03-10", "2025-03-12"),
        stay("3", "a", "2025-03-20T10:00:00+00:00", "2025-03-21T10:00:00+00:00"),
        stay("4", "b", "2025-03-12", "2025-03-13"),
    ) == [
        ("Organization/b", ["Encounter/4", "Encounter/1"]),
        ("Organization/a", ["Encounter/3"]),
    ]


@pytest.mark.parametrize(
    ("given", "counts"),
    [
        (stay("1", "a", "2025-03-01", "2025-03-10"), True),
        (stay("1", "a", "2025-03-01", "2025-03-09"), False),
        (stay("1", "a", "2025-03-01", None, "in-progress"), True),
        (stay("1", "a", "2025-04-12T23:59:00+01:00"), True),
        (stay("1", "a", "2025-04-13"), False),
        (stay("1", "a", "2025-03-20", status="planned"), False),
        ({**stay("1", "a", "2025-03-20"), "period": {}}, False),
        ({**stay("1", "a", "2025-03-20"), "serviceProvider": {"display": "A"}}, False),
    ],
)
def test_what_happened_in_the_time_of_the_measure_counts(given, counts):
    assert bool(cared(given)) is counts


def test_an_individual_report_shows_it_and_counts_the_child_as_before(terminology):
    record, _ = example("appendicectomy-readmission", "bad-after-a-transfer")
    outcome = outcome_engine.assess(MEASURE, record, "2025-06-01", terminology)
    report = outcome_engine.individual_report(
        MEASURE,
        outcome,
        subject={"reference": outcome.patient},
        period=outcome_engine.Period("2025-01-01", "2025-12-31"),
        reporter={"display": "CSOR registry"},
        now="2025-06-01T10:00:00Z",
    )
    (shown,) = [each for each in report["extension"] if each["url"].endswith("/report-care")]
    assert [part["valueReference"]["reference"] for part in shown["extension"]] == [
        "Organization/another",
        "Encounter/nearer-home",
    ]
    assert outcome.hospital == "Organization/hospital"
