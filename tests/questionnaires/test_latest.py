"""What $populate takes from Observations: the newest of a code, in the question's unit."""

from typing import Any

import pytest

from questionnaires.population import Populated
from r4.json import Resource
from tests.questionnaires.populating import CORE, SDC, Asked, form, populated, question, values

KG = {"system": "http://unitsofmeasure.org", "code": "kg", "unit": "kg"}
WEIGHT = {"system": "http://loinc.org", "code": "29463-7"}


def observation(value: Any, when: str, **more: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "id": f"o{value}",
        "status": "final",
        "code": {"coding": [WEIGHT]},
        "subject": {"reference": "Patient/c1"},
        "effectiveDateTime": when,
        "valueQuantity": {"value": value, **KG},
        **more,
    }


def weighed(*found: Resource, **more: Any) -> tuple[Populated, Asked]:
    period = {"url": SDC + "observationLinkPeriod", "valueDuration": {"value": 30, "code": "d"}}
    unit = {"url": CORE + "questionnaire-unit", "valueCoding": {**KG, "display": "kg"}}
    asked = Asked(Observation=list(found))
    made = populated(form(question("w", "decimal", period, unit, code=[WEIGHT], **more)), asked)
    return made, asked


def test_the_newest_observation_of_the_code_within_the_period_answers() -> None:
    made, asked = weighed(
        observation(1, "2026-11-01"),
        observation(2, "2026-11-20"),
        observation(3, "2026-11-22", status="entered-in-error"),
        observation(4, "2026-11-22", focus=[{"reference": "Patient/mother"}]),
        observation(5, "2026-11-22", code={"coding": [{"code": "other"}]}),
        observation(6, "2026-10-20"),
        {k: v for k, v in observation(7, "2026-11-22").items() if k != "valueQuantity"},
    )
    assert values(made, "w") == [2]
    assert asked == [
        "Observation?subject=Patient/c1&code=http%3A%2F%2Floinc.org%7C29463-7"
        "&status=final,amended,corrected&date=ge2026-10-24T10%3A00%3A00.000Z&_sort=-date"
    ]


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ({"value": 3450, "system": KG["system"], "code": "g"}, "3.45"),
        ({"value": 3, "comparator": "<", **KG}, None),
        ({"value": 3, "system": KG["system"], "code": "cm"}, None),
    ],
)
def test_a_measurement_is_said_in_the_unit_of_the_question_or_not_at_all(
    quantity: Resource, expected: str | None
) -> None:
    made, _ = weighed({**observation(1, "2026-11-20"), "valueQuantity": quantity})
    assert [str(value) for value in values(made, "w")] == ([expected] if expected else [])
    assert len(made.issues) == (0 if expected else 1)


def test_below_a_panel_only_its_own_components_and_members_answer() -> None:
    panel_code = {"system": "http://loinc.org", "code": "85354-9"}
    quantity = {"valueQuantity": {"value": 80, **KG}}
    panel = {
        **observation(0, "2026-11-20", code={"coding": [panel_code]}),
        "component": [{"code": {"coding": [WEIGHT]}, **quantity}],
    }
    period = {"url": SDC + "observationLinkPeriod", "valueDuration": {"value": 1, "code": "a"}}
    child = question("w", "quantity", code=[WEIGHT])
    group = question("panel", "group", period, code=[panel_code], item=[child])
    asked = Asked(Observation=[panel, observation(9, "2026-11-22")])
    assert values(populated(form(group), asked), "w") == [quantity["valueQuantity"]]
