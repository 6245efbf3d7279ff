"""Means of scores: from those that are shown no mean of fewer than eight children can be computed."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcome_engine.reports.disclosure import disclose, disclose_all, disclose_hospitals
from outcome_engine.reports.measure_score import mean_score
from tests.outcome_engine.test_disclosure_together import HOSPITAL

Child = tuple[str, str, str]
"""A hospital, a condition, a year."""
CODES = ("hospital", "condition", "year")


def part(children: list[Child]) -> dict:
    made: dict = {"population": [{"id": "measure-observation", "count": len(children)}]}
    return {**made, "measureScore": mean_score([1] * len(children), 1)} if children else made


def report(children: list[Child], hospital: str = "") -> dict:
    about = [each for each in children if hospital in ("", each[0])]
    of = [{"url": HOSPITAL, "valueReference": {"reference": hospital}}]
    group = part(about)
    group["stratifier"] = [
        {
            "code": [{"coding": [{"code": code}]}],
            "stratum": [
                {"value": {"text": value}, **part([each for each in about if each[at] == value])}
                for value in sorted({each[at] for each in about} - {"?"})
            ],
        }
        for at, code in enumerate(CODES)
        if code != "hospital" or not hospital
    ]
    return {
        "resourceType": "MeasureReport", "extension": of if hospital else [], "group": [group]
    }  # fmt: skip


def reports(children: list[Child]) -> list[dict]:
    hospitals = sorted({each[0] for each in children} - {"?"})
    return [report(children), *(report(children, each) for each in hospitals)]


def leave(children: list[Child]) -> list[dict]:
    exact = reports(children)
    if len(exact) > 2:
        return disclose_all(exact)
    nation = disclose_hospitals(exact[0], beside=exact[1:])
    return [nation, *(disclose(each, beside=exact) for each in exact[1:])]


def means(published: dict) -> Iterator[tuple[str, str, bool]]:
    """Yield each stratum (code, value; empty for the whole), and whether its mean is shown."""
    [group] = published["group"]
    yield "", "", "measureScore" in group
    for stratifier in group.get("stratifier", ()):
        code = stratifier["code"][0]["coding"][0]["code"]
        for stratum in stratifier["stratum"]:
            yield code, stratum["value"]["text"], "measureScore" in stratum


def hidden(published: dict) -> set[str]:
    return {value for _, value, is_shown in means(published) if not is_shown}


def told(children: list[Child], published: list[dict]) -> list[tuple]:
    """Return the sets of cells of fewer than 8 children whose mean follows from those that are shown.

    Written apart from what withholds: exact elimination, and every set of cells that do not overlap.
    """
    cells: dict[tuple[str, str, str], int] = {}
    shown: set[tuple[str, str, str]] = set()
    for each in published:
        hospital = next((e["valueReference"]["reference"] for e in each["extension"]
                         if e["url"] == HOSPITAL), "")  # fmt: skip
        for code, value, is_shown in means(each):
            cell = (value, "", "") if code == "hospital" else (hospital, code, value)
            at = CODES.index(code) if code else 0
            about = [c for c in children if cell[0] in ("", c[0]) and (cell[2] in ("", c[at]))]
            cells[cell] = len(about)
            if is_shown:
                shown.add(cell)
    names = sorted(cells)
    rows = []
    for whole in names:
        parts = [
            [c for c in names if c[0] and not whole[0] and c[1:] == whole[1:]],
            *([c for c in names if c[0] == whole[0] and c[1] == code and not whole[1]]
              for code in CODES[1:]),
        ]  # fmt: skip
        for number, each in enumerate(parts):
            if not each:
                continue
            row = {whole: Fraction(1), **dict.fromkeys(each, Fraction(-1))}
            if left := cells[whole] - sum(cells[c] for c in each):
                outside = ("?", f"{whole}", f"{number}")
                cells[outside], row[outside] = left, Fraction(-1)
            rows.append(row)
    names = sorted(cells)
    unknown = [c for c in names if c not in shown and cells[c]]
    basis = reduced([{c: f for c, f in row.items() if c in unknown} for row in rows])
    small = [c for c in unknown if cells[c] < 8]
    found = []
    for size in range(1, 8):
        for some in combinations(small, size):
            if sum(cells[c] for c in some) < 8 and follows(dict.fromkeys(some, Fraction(1)), basis):
                found.append(some)
    return found


Row = dict[tuple, Fraction]


def reduced(rows: list[Row]) -> list[tuple[tuple, Row]]:
    basis: list[tuple[tuple, Row]] = []
    for row in rows:
        left = less(row, basis)
        if left:
            pivot = min(left)
            basis.append((pivot, {c: f / left[pivot] for c, f in left.items()}))
    return basis


def less(row: Row, basis: list[tuple[tuple, Row]]) -> Row:
    left = dict(row)
    for pivot, each in basis:
        if factor := left.get(pivot):
            for c, f in each.items():
                left[c] = left.get(c, Fraction(0)) - factor * f
    return {c: f for c, f in left.items() if f}


def follows(target: Row, basis: list[tuple[tuple, Row]]) -> bool:
    return not less(target, basis)


def many(**numbers: int) -> list[Child]:
    return [(each, "hd", "2018") for each, number in numbers.items() for _ in range(number)]


def test_one_hidden_hospital_takes_another_with_it() -> None:
    nation, *_ = published = leave(many(A=5, B=20, C=12, D=30))
    assert hidden(nation) == {"A", "C"}  # of those that are shown, C has the fewest children
    assert [("", "", False) in means(each) for each in published] == [
        False,
        True,
        False,
        True,
        False,
    ]


def test_hidden_hospitals_of_eight_children_together_need_no_other() -> None:
    assert hidden(leave(many(A=5, B=20, C=3))[0]) == {"A", "C"}


def without_few(children: list[Child]) -> list[dict]:
    """Return the reports with no mean of few, and all others."""
    alone = reports(children)
    for each in alone:
        [group] = each["group"]
        strata = [found for stratifier in group["stratifier"] for found in stratifier["stratum"]]
        for place in [group, *strata]:
            if place["population"][0]["count"] < 8:
                del place["measureScore"]
    return alone


def test_the_reader_finds_what_withholding_keeps() -> None:
    children = many(A=5, B=20, C=12)
    assert told(children, without_few(children)) != []
    assert told(children, leave(children)) == []


def test_a_mean_between_two_rings_of_hidden_ones_is_found_to_be_one_too() -> None:
    """Each row and column hides two means or more, and still one of them stands alone."""
    ring = {(h, c): 4 for h in "AB" for c in ("c1", "c2")}
    ring |= {(h, c): 4 for h in "DE" for c in ("c4", "c5")} | {("A", "c4"): 3}
    full = {(h, c): 20 for h in "ABDE" for c in ("c1", "c2", "c4", "c5")} | ring
    children = [(h, c, "2018") for (h, c), number in full.items() for _ in range(number)]
    assert told(children, without_few(children)) == [(("A", "condition", "c4"),)]
    assert told(children, leave(children)) == []


def test_the_nation_shows_no_mean_of_few_though_its_counts_are_exact() -> None:
    children = [*many(A=9, B=9), *[("A", "cdh", "2018")] * 3]
    nation = disclose_hospitals(report(children))
    assert {"cdh", "hd"} == hidden(nation)  # the nation less one is the other
    counts = [e["population"][0]["count"] for e in nation["group"][0]["stratifier"][1]["stratum"]]
    assert counts == [3, 18]
    assert hidden(disclose_hospitals(report(many(A=7)))) == {"", "hd", "2018"}


def test_children_of_no_hospital_are_not_told_of_either() -> None:
    nation, a, b = leave([*many(A=9, B=20), ("?", "hd", "2018")])
    assert hidden(nation) == {"A"}
    assert (("", "", False) in means(a), ("", "", True) in means(b)) == (True, True)


def test_one_hospital_beside_its_nation_tells_of_nobody_else() -> None:
    nation, hospital = leave([*many(A=20), ("?", "hd", "2018")])
    assert ("", "", True) in means(nation)
    assert ("", "", False) in means(hospital)


def test_a_report_alone_hides_what_its_strata_would_tell() -> None:
    cdh, oa = [("A", "cdh", "2018")] * 2, [("A", "oa", "2018")] * 30
    assert hidden(disclose(report([*many(A=9), *cdh, *oa], "A"))) == {"cdh", "hd"}


CELL = st.tuples(
    st.sampled_from("ABC"),
    st.sampled_from(["hd", "cdh", "oa"]),
    st.sampled_from(["2018", "2019"]),
    st.sampled_from([1, 2, 3, 5, 7, 8, 12, 30]),
)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.lists(CELL, min_size=1, max_size=12))
def test_no_mean_of_few_can_be_computed_from_what_is_shown(drawn: list) -> None:
    children = [cell[:3] for cell in drawn for _ in range(cell[3])]
    assert told(children, leave(children)) == []


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.lists(CELL, min_size=1, max_size=12))
def test_nor_from_the_nation_beside_one_hospital_of_several(drawn: list) -> None:
    children = [cell[:3] for cell in drawn for _ in range(cell[3])]
    exact = reports(children)[:2]
    nation = disclose_hospitals(exact[0], beside=exact[1:])
    assert told(children, [nation, disclose(exact[1], beside=exact)]) == []


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(CELL, min_size=1, max_size=30))
def test_no_mean_of_few_can_be_computed_from_any_reports(drawn: list) -> None:
    children = [cell[:3] for cell in drawn for _ in range(cell[3])]
    assert told(children, leave(children)) == []
