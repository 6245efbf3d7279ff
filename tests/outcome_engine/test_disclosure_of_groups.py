"""A Group's summary: beside the nation's and the hospitals', it tells of nobody, in it or out of it."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcome_engine.reports.apart import refuse_near
from outcome_engine.reports.disclosure import disclose_group
from r4.issue import FhirError
from tests.outcome_engine.test_disclosure_together import (
    KINDS,
    Cases,
    Reader,
    children,
    count,
    report,
)


def disclosed(cases: Cases) -> tuple[dict, dict]:
    """Return the exact nation and the Group (`G`) as it leaves; neither has strata by hospital."""
    nation, group, rest = report(cases), report(cases, "G"), report(cases, "R")
    nation["group"][0]["stratifier"].pop(0)
    group["extension"].pop()
    return nation, disclose_group(group, rest, nation)


def told(cases: Cases) -> list[tuple]:
    """Return the small counts, of the Group or of the rest, that a reader of the two reports can compute.

    The rest has no report: nothing is known of it but that it may have each stratum of the nation's.
    """
    nation, group = disclosed(cases)
    unseen = deepcopy(nation)
    for _, _, part in parts(unseen):
        part.pop("measureScore", None)
        for population in part["population"]:
            population.pop("count")
    small = [
        (place, code, value, population["code"]["coding"][0]["code"])
        for place in "GR"
        for code, value, part in parts(report(cases, place))
        for population in part["population"]
        if 0 < population["count"] < 8
    ]
    reader = Reader([nation, group, unseen], ["G", "R"])
    looked_at = (name for name in small if name in reader.names)
    return [name for name in looked_at if len(set(reader.values(name))) == 1]


def parts(found: dict) -> Iterator[tuple[str, str, dict]]:
    whole = found["group"][0]
    yield "all", "", whole
    for stratifier in whole["stratifier"]:
        code = stratifier["code"][0]["coding"][0]["code"]
        for stratum in stratifier["stratum"]:
            yield code, stratum["value"]["text"], stratum


def test_the_nations_one_child_is_not_told_to_be_in_the_group() -> None:
    for hospital in ("G", "R"):
        cases = [*children("G", "hd", "2018", good=20), *children("R", "hd", "2018", good=30)]
        cases += children(hospital, "hd", "2018", excepted=1)
        nation, group = disclosed(cases)
        assert count(nation, "denominator-exception") == 1
        assert count(group, "denominator-exception") is None
        assert told(cases) == []


@settings(max_examples=3, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("GR"),
            st.sampled_from(["hd", "cdh"]),
            st.just("2018"),
            st.sampled_from([*KINDS[1:], "bad"]),
            st.sampled_from([1, 2, 7, 8, 12, 13]),
        ),
        min_size=2,
        max_size=5,
    )
)
def test_no_small_count_can_be_computed_of_any_group_or_of_the_rest(cells: list) -> None:
    both = [*children("G", "hd", "2018", good=8), *children("R", "hd", "2018", good=8)]
    assert told([*both, *(cell[:4] for cell in cells for _ in range(cell[4]))]) == []


@pytest.mark.parametrize(
    ("of_a", "of_b", "may"),
    [(0, 0, True), (7, 0, False), (8, 0, True), (4, 4, True), (20, 0, False), (13, 0, False),
     (12, 0, True), (20, 7, False), (20, 30, False), (20, 15, True), (16, 26, True)],
)  # fmt: skip
def test_a_group_is_summarised_where_it_is_eight_children_from_whole_hospitals(
    record, assess, of_a: int, of_b: int, may: bool
) -> None:
    """Of hospitals of 20 and 30 children: of none of them, of one, or of both together."""
    good = assess(record("good"))
    a, b = ([replace(good, hospital=each)] * size for each, size in (("a", 20), ("b", 30)))
    if may:
        refuse_near([*a[:of_a], *b[:of_b]], [*a, *b], 8)
    else:
        with pytest.raises(FhirError, match="fewer than 8 children"):
            refuse_near([*a[:of_a], *b[:of_b]], [*a, *b], 8)
