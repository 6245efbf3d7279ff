"""Every report that the engine makes keeps the rules of uv.deqm; HL7's own examples are their measure."""

import os
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest

import outcome_engine
from outcome_engine import NotAssessable, Period
from outcome_engine.reports.groups import stratum_of
from profiles.validate import validate
from r4.json import decode
from tests.profiles.unloaded import beyond
from tests.support.deqm import LINK_ID, SCORING, violations

YEARS = Period("2015-01-01", "2018-12-31")
NOW = "2024-07-01T09:00:00Z"
REGISTRY = {"display": "CSOR registry"}
HOSPITAL = {"reference": "Organization/hospital"}
MADE = {"period": YEARS, "reporter": REGISTRY, "now": NOW}
EXAMPLES = os.environ.get("DEQM_EXAMPLES", "")
CLAIMED = ("-individualmeasurereport", "-subjectlistmeasurereport", "-summarymeasurereport")
KNOWN = {"MeasureReport-attestation-boolean.json"}
"""Examples that HL7 publishes without the linkIds that its profile requires."""


@pytest.fixture(scope="module")
def children(record, assess):
    """Give the outcomes of forty children: of two hospitals, three years, and every class."""
    good, missing = assess(record("good")), assess(record("due-survey-missing"))
    bad, early = assess(record("bad-death")), assess(record("bad-death"), "2020-01-01")
    kinds = [good, bad, good, missing, early]
    return [
        replace(
            kinds[number % 5],
            patient=f"Patient/{number}",
            case_date=f"{2015 + number % 3}-05-01",
            hospital="Organization/hospital" if number < 30 else "Organization/elsewhere",
        )
        for number in range(40)
    ]


@pytest.fixture(scope="module")
def made(children, core):
    """Give one report of each kind."""
    outcomes = [*children, NotAssessable("EpisodeOfCare/c", "Organization/hospital", "no date")]
    places = {each.patient: f"MeasureReport/of-{each.patient[8:]}" for each in children}
    return {
        "national": outcome_engine.summary_report(core, outcomes, hospital=None, **MADE),
        "hospital": outcome_engine.summary_report(core, outcomes, hospital=HOSPITAL, **MADE),
        "group": outcome_engine.group_report(
            core,
            outcomes[10:40:2],
            outcomes,
            period=YEARS,
            who={"subject": {"reference": "Group/some"}, "date": NOW, "reporter": REGISTRY},
        ),
        "subject-list": outcome_engine.subject_list_report(core, outcomes, places, **MADE),
        "individual": outcome_engine.individual_report(
            core, children[0], subject={"reference": children[0].patient}, **MADE
        ),
    }


KINDS = ("national", "hospital", "group", "subject-list", "individual")


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_keeps_the_rules_of_deqm(made, kind):
    assert violations(made[kind]) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_is_valid(made, kind, terminology):
    assert beyond(validate(made[kind], terminology, now=NOW)) == []


def strata(report, code):
    (found,) = [
        each
        for each in report["group"][0]["stratifier"]
        if each["code"][0]["coding"][0]["code"] == code
    ]
    return {stratum_of(each): each for each in found["stratum"]}


def count(scored, code):
    (found,) = [each for each in scored["population"] if each["code"]["coding"][0]["code"] == code]
    return found.get("count", "masked")


def test_the_strata_of_each_stratifier_add_up_to_the_nation(made, children):
    report = made["national"]
    assert set(strata(report, "condition")) == {"hirschsprung"}
    years = strata(report, "year")
    assert set(years) == {"2015", "2016", "2017"}
    for population in ("denominator", "numerator", "denominator-exception"):
        whole = count(report["group"][0], population)
        assert sum(count(each, population) for each in years.values()) == whole
    of_2015 = [each for each in children if each.case_date.startswith("2015")]
    assert count(years["2015"], "denominator") == len(of_2015)
    good = sum("numerator" in each.populations for each in of_2015)
    assert years["2015"]["measureScore"]["value"] == pytest.approx(
        good / sum(each.due and each.outcome_class != "not-yet-known" for each in of_2015), abs=5e-5
    )


def test_what_a_national_report_says_of_a_hospital_is_disclosed(made):
    hospitals = strata(made["national"], "hospital")
    assert set(hospitals) == {"Organization/elsewhere", "Organization/hospital"}
    assert count(hospitals["Organization/hospital"], "denominator") == 30
    assert count(hospitals["Organization/elsewhere"], "denominator") == 10
    assert count(hospitals["Organization/elsewhere"], "numerator") == "masked"
    assert "measureScore" not in hospitals["Organization/elsewhere"]
    (applied,) = [e for e in made["national"]["extension"] if e["url"].endswith("-disclosure")]
    assert applied["extension"][2] == {"url": "scoreMasked", "valueBoolean": True}


@pytest.mark.parametrize("kind", ["hospital", "group"])
def test_the_strata_of_a_hospital_and_of_a_group_are_disclosed(made, kind):
    exact = {0, *range(10, 100, 5), "masked"}
    for stratifier in made[kind]["group"][0]["stratifier"]:
        for stratum in stratifier["stratum"]:
            assert {count(stratum, p) for p in ("denominator", "numerator")} <= exact


def test_a_hospitals_stratum_masks_what_is_small(made):
    assert count(strata(made["hospital"], "year")["2015"], "numerator") == "masked"


def test_a_group_has_no_strata_that_tell_of_fewer_than_eight_children(made):
    """Five of its children a year."""
    codes = [e["code"][0]["coding"][0]["code"] for e in made["group"]["group"][0]["stratifier"]]
    assert codes == ["condition"]


def test_a_subject_list_names_the_children_of_each_population(made, children):
    report = made["subject-list"]
    lists = {f"#{each['id']}": each for each in report["contained"]}
    assert len(lists) == len(report["contained"])
    for scored in (report["group"][0], *strata(report, "year").values()):
        for population in scored["population"]:
            listed = lists[population["subjectResults"]["reference"]].get("entry", [])
            assert len(listed) == population["count"]
    numerator = report["group"][0]["population"][4]
    items = lists[numerator["subjectResults"]["reference"]]["entry"]
    good = [each for each in children if "numerator" in each.populations]
    assert [each["item"]["reference"] for each in items] == [
        f"MeasureReport/of-{each.patient[8:]}" for each in good
    ]


BROKEN = {
    "deqm-0": lambda r: r.update(measure=r["measure"].partition("|")[0]),
    "deqm-1": lambda r: r["period"].update(start="2015"),
    "deqm-2": lambda r: r.pop("improvementNotation"),
    "deqm-3": lambda r: r.update(
        extension=[each for each in r["extension"] if each["url"] != SCORING]
    ),
    "deqm-4": lambda r: r["group"][0]["extension"].append(r["extension"][0]),
    "deqm-5": lambda r: r["group"][0].update(population=[]),
    "deqm-6": lambda r: r["group"][0]["measureScore"].update(value=2),
    "deqm-7": lambda r: r["group"][0]["stratifier"][0].pop("code"),
    "deqm-8": lambda r: r["group"][0]["population"][0].pop("count"),
    "cardinality: date": lambda r: r.pop("date"),
    "cardinality: reporter": lambda r: r.pop("reporter"),
    "cardinality: linkId": lambda r: r["group"][0].update(extension=[]),
    "cardinality: stratifier.linkId": lambda r: r["group"][0]["stratifier"][1]["extension"].clear(),
    "cardinality: stratifier.stratum.population.linkId": lambda r: r["group"][0]["stratifier"][0][
        "stratum"
    ][0]["population"][0].update(extension=[{"url": LINK_ID + "linkId", "valueString": "x"}]),
    "cardinality: a report of many": lambda r: r.update(evaluatedResource=[HOSPITAL]),
    "cardinality: a list of subjects": lambda r: r["group"][0]["population"][0].update(
        subjectResults={"reference": "#a"}
    ),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_report_that_breaks_a_rule_is_caught(made, rule):
    report = deepcopy(made["national"])
    BROKEN[rule](report)
    assert any(each.startswith(rule) for each in violations(report))


def claims(resource):
    profiles = resource.get("meta", {}).get("profile", ())
    return any(profile.endswith(CLAIMED) for profile in profiles)


def test_hl7s_examples_keep_the_rules_as_they_are_read_here():
    if not EXAMPLES:
        pytest.skip("DEQM_EXAMPLES names no folder of the examples of HL7/davinci-deqm")
    files = sorted(Path(EXAMPLES).glob("MeasureReport-*.json"))
    read = {file.name: decode(file.read_bytes()) for file in files if file.name not in KNOWN}
    found = {name: violations(each) for name, each in read.items() if claims(each)}
    assert len(found) >= 20
    assert set(map(tuple, found.values())) == {()}
