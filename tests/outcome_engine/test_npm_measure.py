"""An engine that others wrote (npm's fqm-execution, on CQL's ELM) comes to the same populations and scores.

The measure is the registry's first with one of its rules, once as a definition of ours and once as ELM.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest

from outcome_engine.assessment.assess import ChildOutcome, assess_by
from outcome_engine.definitions.definition import measure, read
from outcome_engine.extensions import parts
from r4 import artefacts
from terminology import Terminology
from tests.outcome_engine.conftest import CORE
from tests.support import elm
from tests.support.npm import install, run
from tests.support.server import ROOT

AS_OF = "2024-06-30"
PERIOD = {"start": "2012-01-01", "end": "2023-12-31"}
BASE = "https://csor.example/fhir"
RULE = "permanent-stoma"
Record = list[dict[str, Any]]


def child(id: str, born: str, *answers: tuple[str, bool, str]) -> Record:
    """Return a child with answers on a permanent stoma: their dates, what was said, their status."""
    condition = {"system": f"{BASE}/CodeSystem/condition", "code": "hirschsprung"}
    coding = {"system": f"{BASE}/CodeSystem/outcome-observation", "code": RULE}
    case = {
        "resourceType": "EpisodeOfCare", "id": f"case-{id}", "status": "active",
        "type": [{"coding": [condition]}], "patient": {"reference": f"Patient/{id}"},
        "period": {"start": f"{born[:4]}-12-30"},
    }  # fmt: skip
    observations = [
        {
            "resourceType": "Observation", "id": f"{id}-{number}", "status": status,
            "code": {"coding": [coding]}, "subject": {"reference": f"Patient/{id}"},
            "effectiveDateTime": day, "valueBoolean": said,
        }
        for number, (day, said, status) in enumerate(answers)
    ]  # fmt: skip
    return [
        {"resourceType": "Patient", "id": id, "active": True, "birthDate": born}, case, *observations
    ]  # fmt: skip


EDGES = [
    child("five-on-the-day", "2019-06-30", ("2024-06-30", False, "final")),
    child("five-on-the-morrow", "2019-07-01", ("2024-06-30", False, "final")),
    child("answered-on-the-birthday", "2015-03-01", ("2020-03-01", True, "final")),
    child("answered-the-day-before", "2015-03-01", ("2020-02-29", True, "final")),
    child("born-on-a-leap-day", "2016-02-29", ("2021-03-01", False, "amended")),
    child("answered-with-a-time", "2015-03-01", ("2021-03-01T23:30:00+00:00", False, "corrected")),
    child("answered-in-error", "2015-03-01", ("2021-03-01", False, "entered-in-error")),
    child("only-preliminary", "2015-03-01", ("2021-03-01", True, "preliminary")),
    child("both", "2015-03-01", ("2021-03-01", True, "final"), ("2022-03-01", False, "final")),
    child("answered-after-the-report", "2015-03-01", ("2024-07-01", False, "final")),
    child("never-asked", "2015-03-01"),
]


def examples() -> Iterator[Record]:
    """Yield the records of the golden pairs, each as a child of its own."""
    folder = ROOT / "outcome_engine" / "examples" / "hirschsprung-core-outcome"
    for file in sorted(folder.glob("*.bundle.json")):
        name = file.name.partition(".")[0]
        record = [entry["resource"] for entry in json.loads(file.read_bytes())["entry"]]
        for each in record:
            if each["resourceType"] == "Patient":
                each["id"] = name
            for element in {"subject", "patient"} & each.keys():
                each[element] = {"reference": f"Patient/{name}"}
        yield record


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [*examples(), *EDGES]


@pytest.fixture(scope="module")
def ours(records: list[Record]) -> dict[str, ChildOutcome]:
    """Assess each child by the registry's measure with that one rule."""
    found = deepcopy(measure(CORE))
    library = deepcopy(
        artefacts.by_url("outcome_engine", "Library")[found["library"][0].split("|")[0]]
    )
    library["extension"] = [each for each in library["extension"] if is_of_the_toy(each)]
    for each in library["extension"]:
        if (
            each["url"].endswith("/outcome-class-rule")
            and parts(each)["id"] == "any-adverse-outcome"
        ):
            parts(each)["criteria"]["expression"] = f"%`{RULE}` = 'met'"
    rules = read(found, library)
    assert [rule.id for rule in rules.rules] == [RULE]
    terminology = Terminology.load()
    outcomes = (assess_by(rules, record, AS_OF, terminology) for record in records)
    return {each.patient: each for each in outcomes}


def is_of_the_toy(extension: dict[str, Any]) -> bool:
    return not extension["url"].endswith("/outcome-rule") or parts(extension)["id"] == RULE


@pytest.fixture(scope="module")
def theirs(records: list[Record]) -> dict[str, Any]:
    install()
    bundles = [
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in each]}
        for each in records
    ]
    given = {"measure": elm.measure(AS_OF), "patients": bundles, **PERIOD}
    result = run("node", ["measure.cjs"], 60, given=given)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def counts(report: dict[str, Any]) -> dict[str, int]:
    (group,) = report["group"]
    return {each["code"]["coding"][0]["code"]: each["count"] for each in group["population"]}


def test_each_child_is_in_the_same_populations(
    ours: dict[str, ChildOutcome], theirs: dict[str, Any]
) -> None:
    found = {
        report["subject"]["reference"]: {code for code, count in counts(report).items() if count}
        for report in theirs["individual"]
    }
    assert found == {patient: set(outcome.populations) for patient, outcome in ours.items()}
    assert len({frozenset(each) for each in found.values()}) >= 4


def test_the_summary_counts_and_scores_the_same(
    ours: dict[str, ChildOutcome], theirs: dict[str, Any]
) -> None:
    summary = theirs["summary"]
    expected = {
        code: sum(code in outcome.populations for outcome in ours.values())
        for code in counts(summary)
    }
    assert counts(summary) == expected
    base = expected["denominator"] - expected["denominator-exclusion"]
    base -= expected["denominator-exception"]
    score = Decimal(expected["numerator"]) / base
    assert summary["group"][0]["measureScore"]["value"] == pytest.approx(float(score))
