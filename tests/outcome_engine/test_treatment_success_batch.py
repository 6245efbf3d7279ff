"""The Treatment Success Score of many at once is that of one by one, ties at the cuts included."""

from copy import deepcopy
from decimal import Decimal
from itertools import product

import pytest

from tests.outcome_engine.flattened import many, one_by_one
from tests.outcome_engine.signing import TSS, parameters, signed
from tests.outcome_engine.simulated import records
from tests.outcome_engine.test_treatment_success_children import AFTER, NAMES, child

pytestmark = pytest.mark.slow  # test_outcome_batch.py holds the golden records in every run

LIFE = [None, 0, 10, 24, 25, 50, Decimal("74.999999"), Decimal("75.000000"), 100]
DEATHS = [{}, {"deceasedDateTime": "2018-02-02"}, {"deceasedDateTime": "2018-03"},
          {"deceasedBoolean": True}, {"deceasedDateTime": "2020-01-01"}]  # fmt: skip
URGENCIES = ["as it is", "not recorded"]


def changed(name, number, life, death, urgency):
    """Change a golden record: another quality of life, another death, without urgencies."""
    resources = [each for each in child(name) if each["id"] != "quality-of-life"]
    resources[0].update(death)
    if life is not None:
        told = (
            {"valueInteger": life} if isinstance(life, int) else {"valueQuantity": {"value": life}}
        )
        example = deepcopy(next(e for e in child("green") if e["id"] == "quality-of-life"))
        resources.append({k: v for k, v in example.items() if k != "valueInteger"} | told)
    for each in resources:
        if each["resourceType"] == "Procedure" and urgency == "not recorded":
            each.pop("extension", None)
    return renamed(resources, number)


def renamed(resources, number):
    """Give a record's resources ids of their own."""
    return [each | {"id": f"{number}-{each['id']}"} for each in resources]


def not_recorded(rule):
    def change(file):
        file["parameters"]["minor-major-definition"]["urgency-not-recorded"] = rule

    return change


def by_procedure(file):
    file["parameters"]["minor-major-definition"]["counted-by"] = "procedure"
    file["parameters"]["survival-horizon"].update(value=8, unit="months", alive="seen")
    file["parameters"]["quality-of-life-scaling"]["after-death"] = None
    file["parameters"]["attributes"][6].update(maximum="243")
    file["checks"] = [file["checks"][0] | {"utility": "1824/365"}]  # 3 + 3 * 243/365


def agree(those, known, terminology, as_of=AFTER):
    found = many(those, TSS, as_of, terminology, parameters=known)
    assert (found, {}) == one_by_one(those, TSS, as_of, terminology, known)
    assert len(found) == len(those)
    return found


def test_changed_golden_records_ties_included(terminology):
    those = [
        changed(name, number, *kind)
        for number, (name, *kind) in enumerate(product(NAMES, LIFE, DEATHS[:3], URGENCIES[:1]))
    ]
    rows = agree(those, parameters(signed()), terminology)
    assert {row["class"] for row in rows.values()} == {"good", "bad", "not-yet-known"}
    ties = [row for row in rows.values() if row["score"] == 600_000]
    assert {row["class"] for row in ties} == {"good"}


@pytest.mark.parametrize("rule", ["planned", "emergency", "not-known"])
def test_urgencies_that_are_not_recorded(terminology, rule):
    those = [
        changed(name, number, *kind)
        for number, (name, *kind) in enumerate(product(NAMES, LIFE, DEATHS, URGENCIES))
    ]
    rows = agree(those, parameters(signed(not_recorded(rule))), terminology)
    assert len({row["score"] for row in rows.values()}) > 10


def test_simulated_children(terminology):
    those = records("hirschsprung", size=0.2)
    rows = agree(those, parameters(signed()), terminology, "2026-06-30")
    assert len({row["score"] for row in rows.values()}) > 3


def test_with_other_ways_of_counting(terminology):
    those = records("hirschsprung", size=0.1)
    agree(those, parameters(signed(by_procedure)), terminology, "2026-06-30")
