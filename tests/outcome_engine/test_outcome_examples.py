"""The golden pairs: a child's record, and the report that a reviewer has read line by line."""

from importlib.resources import files

import pytest

import outcome_engine
from outcome_engine import Period
from r4.json import decode, pretty

EXAMPLES = files("outcome_engine") / "examples" / "hirschsprung-core-outcome"
NAMES = sorted(
    file.name.removesuffix(".bundle.json")
    for file in EXAMPLES.iterdir()
    if file.name.endswith(".bundle.json")
)
RESULT = "https://csor.example/fhir/StructureDefinition/outcome-result"


@pytest.mark.parametrize("name", NAMES)
def test_a_record_gives_its_report(name, record, core, terminology):
    expected = decode((EXAMPLES / f"{name}.report.json").read_bytes())
    outcome = outcome_engine.assess(core, record(name), result(expected)["asOf"], terminology)
    report = outcome_engine.individual_report(
        core,
        outcome,
        subject=expected["subject"],
        period=Period(**expected["period"]),
        reporter=expected["reporter"],
        now=expected["date"],
    )
    assert pretty(report) == pretty(expected)


@pytest.mark.parametrize(
    ("name", "outcome_class", "rule"),
    [
        ("good", "good", "every-outcome-known"),
        ("good-temporary-stoma", "good", "every-outcome-known"),
        ("enterocolitis-score-below-threshold", "good", "every-outcome-known"),
        ("bad-death", "bad", "death"),
        ("bad-death-by-the-registered-date", "bad", "death"),
        ("bad-death-registered-only", "bad", "death"),
        ("bad-unplanned-reoperation", "bad", "unplanned-reoperation"),
        ("bad-faecal-incontinence", "bad", "faecal-incontinence"),
        ("bad-permanent-stoma", "bad", "permanent-stoma"),
        ("bad-enterocolitis-score", "bad", "enterocolitis"),
        ("bad-enterocolitis-admission", "bad", "enterocolitis"),
        ("incontinence-before-minimum-age", "not-yet-known", "otherwise"),
        ("not-yet-due", "not-yet-known", "otherwise"),
        ("due-survey-missing", "not-yet-known", "otherwise"),
        ("due-survey-incomplete", "not-yet-known", "otherwise"),
    ],
)
def test_the_pairs_say_what_their_names_say(name, outcome_class, rule):
    report = decode((EXAMPLES / f"{name}.report.json").read_bytes())
    assert result(report)["class"]["code"] == outcome_class
    assert result(report)["rule"] == rule


def test_every_record_has_a_report():
    reports = {
        file.name.removesuffix(".report.json")
        for file in EXAMPLES.iterdir()
        if file.name.endswith(".report.json")
    }
    assert reports == set(NAMES)


def result(report):
    extension = next(each for each in report["extension"] if each["url"] == RESULT)
    return {
        part["url"]: next(value for key, value in part.items() if key != "url")
        for part in extension["extension"]
    }
