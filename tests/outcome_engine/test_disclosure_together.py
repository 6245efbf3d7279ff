"""What reports tell together: no reader who knows all of them can compute a masked count."""

import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

import outcome_engine
from outcome_engine import Period
from outcome_engine.reports.disclosure import HES, disclose, disclose_all, disclose_hospitals, shown
from outcome_engine.reports.measure_score import measure_score, scored

KINDS = ["denominator", "denominator-exclusion", "denominator-exception", "numerator"]
HOSPITAL = "https://csor.example/fhir/StructureDefinition/outcome-hospital"
NOT_ASSESSABLE = "https://csor.example/fhir/StructureDefinition/outcome-not-assessable"
Cases = list[tuple[str, str, str, str]]
"""A child each: hospital, condition, year, and what became of it: one of the last three, or bad."""


def part(cases: Cases) -> dict:
    counts = {
        "initial-population": len(cases),
        "denominator": len(cases),
        **{kind: sum(case[3] == kind for case in cases) for kind in KINDS[1:]},
    }
    made: dict = {
        "population": [
            {"code": {"coding": [{"code": kind}]}, "count": count} for kind, count in counts.items()
        ]
    }
    if base := scored(counts):
        made["measureScore"] = measure_score(counts["numerator"], base, with_interval=True)
    return made


def report(cases: Cases, hospital: str | None = None, left_out: int = 0) -> dict:
    about = [case for case in cases if hospital is None or case[0] == hospital]
    places = {"hospital": 0, "condition": 1, "year": 2}
    if hospital is not None:
        del places["hospital"]
    group = part(about)
    group["stratifier"] = [
        {
            "code": [{"coding": [{"code": code}]}],
            "stratum": [
                {"value": {"text": value}, **part([each for each in about if each[at] == value])}
                for value in sorted({each[at] for each in about})
            ],
        }
        for code, at in places.items()
    ]
    extensions = [{"url": NOT_ASSESSABLE, "valueInteger": left_out}]
    if hospital is not None:
        extensions.append({"url": HOSPITAL, "valueReference": {"reference": hospital}})
    return {"resourceType": "MeasureReport", "extension": extensions, "group": [group]}


def all_reports(cases: Cases) -> list[dict]:
    return [report(cases), *(report(cases, each) for each in sorted({case[0] for case in cases}))]


class Reader:
    """Who knows every published report: what may each count be, by integer programming.

    Written apart from what suppresses: from the published JSON alone. Every child has one hospital,
    condition, year and fate; a count that is shown is known to its rounding, a mask hides anything.
    """

    def __init__(self, published: list[dict], hospitals: list[str]) -> None:
        self.names: dict[tuple, int] = {}
        self.least: list[float] = []
        self.most: list[float] = []
        self.rows: list[tuple[dict[int, float], float, float]] = []
        self.masked: list[tuple] = []
        for at, each in zip(["nation", *hospitals], published, strict=True):
            group = each["group"][0]
            self.read(at, "all", "", group)
            for stratifier in group.get("stratifier", ()):
                code = stratifier["code"][0]["coding"][0]["code"]
                for stratum in stratifier["stratum"]:
                    value = stratum["value"]["text"]
                    place = (value, "all", "") if code == "hospital" else (at, code, value)
                    self.read(*place, stratum)
        self.sums(hospitals)
        matrix = np.zeros((len(self.rows), len(self.least)))
        for at, (row, _, _) in enumerate(self.rows):
            for column, coefficient in row.items():
                matrix[at, column] = coefficient
        ends = [[row[end] for row in self.rows] for end in (1, 2)]
        self.known = LinearConstraint(csr_array(matrix), *ends)

    def cell(self, *name: str) -> int:
        if name not in self.names:
            self.names[name] = len(self.least)
            self.least.append(0)
            self.most.append(5000)
        return self.names[name]

    def read(self, place: str, code: str, value: str, found: dict) -> None:
        whole = {kind: self.cell(place, code, value, kind) for kind in (*KINDS, "bad", "base")}
        parts = [whole[kind] for kind in ("denominator-exclusion", "denominator-exception", "base")]
        self.rows.append(({whole["denominator"]: 1, **dict.fromkeys(parts, -1)}, 0, 0))
        self.rows.append(({whole["base"]: 1, whole["numerator"]: -1, whole["bad"]: -1}, 0, 0))
        for population in found["population"]:
            kind = population["code"]["coding"][0]["code"]
            if kind in whole:
                self.know(place, (place, code, value, kind), population.get("count"))
        if "measureScore" in found:
            numerator = next(
                each["count"] for each in found["population"]
                if each["code"]["coding"][0]["code"] == "numerator"
            )  # fmt: skip
            if numerator and place != "nation":
                # A rounded score is the quotient of a numerator that is shown and a base.
                base = numerator / float(found["measureScore"]["value"])
                self.know(place, (place, code, value, "base"), 5 * round(base / 5))
        for extension in found.get("extension", ()):
            if extension["url"].endswith("outcome-interval"):
                at = self.cell(place, code, value, "numerator")
                self.least[at], self.most[at] = 1, 7  # the interval says that the rule masked it

    def know(self, place: str, name: tuple, count: int | None) -> None:
        at = self.cell(*name)
        if count is None:
            self.masked.append(name)
        elif place == "nation" or count == 0:
            self.least[at] = self.most[at] = count
        else:
            fits = [each for each in range(8, count + 5) if shown(each) == count]
            self.least[at] = max(self.least[at], fits[0])
            self.most[at] = min(self.most[at], fits[-1])

    def sums(self, hospitals: list[str]) -> None:
        for place, code, value, kind in list(self.names):
            if place == "nation":
                of = [self.names.get((each, code, value, kind)) for each in hospitals]
                parts = [each for each in of if each is not None]
                if parts:
                    whole = self.names[place, code, value, kind]
                    self.rows.append(({whole: 1, **dict.fromkeys(parts, -1)}, 0, 0))
            if code == "all":
                for stratifier in ("condition", "year"):
                    of = [
                        at for (p, c, _, k), at in self.names.items()
                        if (p, c, k) == (place, stratifier, kind)
                    ]  # fmt: skip
                    if of:
                        whole = self.names[place, code, value, kind]
                        self.rows.append(({whole: 1, **dict.fromkeys(of, -1)}, 0, 0))

    def values(self, name: tuple) -> tuple[int, int]:
        """Return the least and the greatest number that a count may be."""
        size = len(self.least)
        ends = []
        for sign in (1, -1):
            cost = [0.0] * size
            cost[self.names[name]] = sign
            found = milp(
                cost,
                integrality=[1] * size,
                bounds=Bounds(self.least, self.most),
                constraints=self.known,
            )
            assert found.x is not None, "the reader's picture of the reports has no truth in it"
            ends.append(round(found.x[self.names[name]]))
        return ends[0], ends[1]


def computable(cases: Cases, published: list[dict]) -> list[tuple]:
    reader = Reader(published, sorted({case[0] for case in cases}))
    assert reader.names
    found = []
    for name in dict.fromkeys(reader.masked):
        least, most = reader.values(name)
        if least == most:
            found.append(name)
    return found


def children(hospital: str, condition: str, year: str, **fates: int) -> Cases:
    names = {"excluded": KINDS[1], "excepted": KINDS[2], "good": KINDS[3], "bad": "bad"}
    return [(hospital, condition, year, names[fate]) for fate, n in fates.items() for _ in range(n)]


def count(published: dict, kind: str, code: str = "", value: str = "") -> int | None:
    group = published["group"][0]
    for stratifier in group.get("stratifier", ()):
        if stratifier["code"][0]["coding"][0]["code"] == code:
            group = next(e for e in stratifier["stratum"] if e["value"]["text"] == value)
    return next(
        each.get("count") for each in group["population"]
        if each["code"]["coding"][0]["code"] == kind
    )  # fmt: skip


THREE = [
    *children("A", "hd", "2018", good=20, bad=9, excepted=3),
    *children("B", "hd", "2018", good=30, bad=10),
    *children("C", "hd", "2018", good=12, bad=30),
]


def test_the_rule_alone_would_give_a_count_away() -> None:
    """The reader is one who finds what the rule without secondary suppression leaves open."""
    published = [report(THREE), *(deepcopy(report(THREE, each)) for each in "ABC")]
    alone = [published[0], *(primary(each) for each in published[1:])]
    alone[0]["group"][0]["stratifier"] = []
    assert ("A", "all", "", "denominator-exception") in computable(THREE, alone)


def primary(exact: dict) -> dict:
    text = json.loads(json.dumps(exact, default=float))
    del text["group"][0]["stratifier"]
    text["group"][0].pop("measureScore", None)
    for population in text["group"][0]["population"]:
        number = shown(population.pop("count"))
        population.update({} if number is None else {"count": number})
    return text


def test_another_hospitals_count_is_masked_so_that_the_nation_less_the_others_says_nothing() -> (
    None
):
    published = disclose_all(all_reports(THREE))
    assert count(published[0], "denominator-exception") == 3  # the nation is exact
    hidden = [count(each, "denominator-exception") for each in published[1:]]
    assert hidden[0] is None
    assert hidden[1:].count(None) >= 1
    assert computable(THREE, published) == []


def test_the_nations_strata_by_hospital_are_masked_as_the_hospitals_own_reports() -> None:
    nation, *hospitals = disclose_all(all_reports(THREE))
    for name, own in zip("ABC", hospitals, strict=True):
        for kind in KINDS:
            assert count(nation, kind, "hospital", name) == count(own, kind)


def test_a_condition_of_one_hospital_alone_is_masked_in_the_nation_too() -> None:
    cases = [*THREE, *children("A", "cdh", "2018", good=4, bad=1)]
    published = disclose_all(all_reports(cases))
    assert count(published[0], "denominator", "condition", "cdh") is None
    assert computable(cases, published) == []


def test_without_a_masked_count_nothing_more_is_masked() -> None:
    cases = [*children("A", "hd", "2018", good=20, bad=20), *children("B", "hd", "2018", good=9)]
    published = disclose_all(all_reports(cases))
    assert all(count(each, kind) is not None for each in published for kind in KINDS)


def test_a_national_report_of_one_hospital_has_no_stratum_of_it() -> None:
    exact = report(children("A", "hd", "2018", good=3, bad=2))
    published = disclose_hospitals(exact)
    assert count(published, "denominator") == 5
    codes = [each["code"][0]["coding"][0]["code"] for each in published["group"][0]["stratifier"]]
    assert codes == ["condition", "year"]


def test_children_of_no_hospital_are_not_taken_for_a_hospitals() -> None:
    nation = report([*THREE, *children("?", "hd", "2018", excepted=2)])
    nation["group"][0]["stratifier"][0]["stratum"].pop(0)
    published = disclose_all([nation, *(report(THREE, each) for each in "ABC")])
    assert count(published[0], "denominator-exception") == 5


def test_a_report_alone_hides_its_strata_from_its_total() -> None:
    cases = [*children("A", "hd", "2018", good=1), *children("A", "cdh", "2018", good=8, bad=8)]
    published = disclose(report(cases, "A"))
    assert count(published, "denominator", "condition", "hd") is None
    assert count(published, "denominator", "condition", "cdh") == 15


def test_two_versions_do_not_tell_of_the_child_that_came_between_them() -> None:
    before = [*children("A", "hd", "2018", good=20), *children("B", "hd", "2018", good=30)]
    before += children("C", "hd", "2018", good=40)
    after = [*before, *children("A", "hd", "2018", excepted=1)]
    earlier = disclose_all(all_reports(before))
    assert [count(each, "denominator-exception") for each in earlier] == [0, 0, 0, 0]
    published = disclose_all(all_reports(after), earlier)
    # The nation went from 0 to 1: of the hospitals, more than one may have had that child.
    hidden = [count(each, "denominator-exception") for each in published[1:]]
    assert hidden.count(None) >= 2


def test_a_version_that_was_corrected_downwards_is_no_hindrance() -> None:
    earlier = all_reports([*THREE, *children("B", "hd", "2018", good=40)])
    assert disclose_all(all_reports(THREE), earlier) == disclose_all(all_reports(THREE))


def test_the_number_not_assessable_is_kept_from_the_nations() -> None:
    exact = [
        report(THREE, None, 4),
        report(THREE, "A", 4),
        report(THREE, "B", 0),
        report(THREE, "C", 0),
    ]
    nation, *hospitals = disclose_all(exact)
    numbers = [each["extension"][0].get("valueInteger") for each in hospitals]
    assert nation["extension"][0]["valueInteger"] == 4
    assert numbers[0] is None
    assert numbers[1:].count(None) >= 1


def test_a_score_is_left_out_with_the_counts_that_it_would_give_away() -> None:
    cases = [*THREE, *children("A", "cdh", "2018", good=4, bad=1)]
    nation = disclose_all(all_reports(cases))[0]
    conditions = next(
        each for each in nation["group"][0]["stratifier"]
        if each["code"][0]["coding"][0]["code"] == "condition"
    )  # fmt: skip
    cdh = next(each for each in conditions["stratum"] if each["value"]["text"] == "cdh")
    assert "measureScore" not in cdh


def test_the_reports_given_are_left_as_they_were() -> None:
    exact = all_reports(THREE)
    before = deepcopy(exact)
    disclose_all(exact)
    assert exact == before


FATE = st.sampled_from([*KINDS[1:], "bad"])
CELL = st.tuples(
    st.sampled_from("ABC"),
    st.sampled_from(["hd", "cdh"]),
    st.sampled_from(["2018", "2019"]),
    FATE,
    st.sampled_from([1, 1, 2, 5, 7, 8, 12, 12, 13, 30]),
)


def drawn(cells: list) -> Cases:
    return [cell[:4] for cell in cells for _ in range(cell[4])]


@settings(max_examples=3, deadline=None, derandomize=True)
@given(st.lists(CELL, min_size=3, max_size=14))
def test_no_masked_count_can_be_computed_from_all_that_is_published(cells: list) -> None:
    cases = drawn(cells)
    assert computable(cases, disclose_all(all_reports(cases))) == []


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(st.lists(CELL, min_size=1, max_size=24))
def test_no_masked_count_can_be_computed_from_any_reports(cells: list) -> None:
    cases = drawn(cells)
    assert computable(cases, disclose_all(all_reports(cases))) == []


def test_the_rule_is_hes() -> None:
    assert (HES.mask_below, HES.round_to) == (8, 5)


def test_the_reports_of_a_run_are_disclosed_together(record, assess, core) -> None:
    good, missing = assess(record("good")), assess(record("due-survey-missing"))
    outcomes = [
        *[replace(good, hospital="Organization/a")] * 20,
        *[replace(missing, hospital="Organization/a")] * 3,
        *[replace(good, hospital="Organization/b")] * 30,
        *[replace(good, hospital="Organization/c")] * 30,
    ]
    nation, a, *others = outcome_engine.summary_reports(
        core,
        outcomes,
        [{"reference": f"Organization/{each}"} for each in "abc"],
        period=Period("2018-01-01", "2018-12-31"),
        reporter={"display": "CSOR registry"},
        now="2024-07-01T09:00:00Z",
    )
    exceptions = [count(each, "denominator-exception") for each in (nation, a, *others)]
    assert exceptions[:2] == [3, None]
    assert exceptions[2:].count(None) >= 1
    assert count(nation, "numerator") == 80
    assert [count(each, "numerator") for each in (a, *others)] == [20, 30, 30]
