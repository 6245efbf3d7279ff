"""Small numbers: what may be shown of a hospital."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcome_engine.methods.intervals import wilson
from outcome_engine.reports.disclosure import Rule, comparable, disclose, shown
from outcome_engine.reports.measure_score import measure_score

MASKED = {
    "extension": [
        {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}
    ]
}


def exact(denominator, exclusion, exception, numerator):
    counts = {
        "initial-population": denominator,
        "denominator": denominator,
        "denominator-exclusion": exclusion,
        "denominator-exception": exception,
        "numerator": numerator,
    }
    group = {"population": [{"id": id, "count": count} for id, count in counts.items()]}
    base = denominator - exclusion - exception
    if base:
        group["measureScore"] = measure_score(numerator, base, with_interval=True)
    return {"resourceType": "MeasureReport", "extension": [], "group": [group]}


def applied(report):
    (extension,) = report["extension"]
    return {
        part["url"]: next(value for key, value in part.items() if key != "url")
        for part in extension["extension"]
    }


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, 0), (1, None), (7, None), (8, 10), (12, 10), (13, 15), (97, 95), (98, 100)],
)
def test_counts_of_1_to_7_are_masked_and_others_rounded_to_5(count, text):
    assert shown(count) == text


def test_the_rule_is_a_parameter():
    assert shown(4, Rule(mask_below=5, round_to=10)) is None
    assert shown(5, Rule(mask_below=5, round_to=10)) == 10


def test_a_masked_count_says_why_it_is_absent():
    group = disclose(exact(20, 0, 3, 12))["group"][0]
    assert group["population"][3] == {"id": "denominator-exception", "_count": MASKED}


@pytest.mark.parametrize(
    ("denominator", "exception", "numerator"),
    [(7, 0, 0), (20, 13, 0), (20, 0, 7), (8, 0, 1)],
    ids=["base 7", "base 7 of 20", "numerator 7", "numerator 1"],
)
def test_no_percentage_where_a_part_is_masked(denominator, exception, numerator):
    report = disclose(exact(denominator, 0, exception, numerator))
    assert "measureScore" not in report["group"][0]
    assert applied(report)["scoreMasked"] is True


def test_a_report_says_which_rule_was_applied():
    report = disclose(exact(20, 0, 3, 12))
    assert applied(report) == {"maskBelow": 8, "roundTo": 5, "scoreMasked": False}
    assert applied(disclose(exact(9, 9, 0, 0)))["scoreMasked"] is False


def test_the_exact_report_is_left_as_it_was():
    report = exact(20, 0, 3, 12)
    before = exact(20, 0, 3, 12)
    disclose(report)
    assert report == before


@given(st.data())
def test_what_leaves_is_the_same_for_every_count_that_rounds_alike(data):
    """Score and interval depend on shown parts only: they cannot give an exact count away."""
    base = data.draw(st.integers(8, 200))
    numerator = data.draw(st.integers(0, base))
    twin_base = data.draw(st.integers(max(8, base - 4), base + 4))
    twin = data.draw(st.integers(max(0, numerator - 4), min(twin_base, numerator + 4)))
    if (shown(base), shown(numerator)) == (shown(twin_base), shown(twin)):
        first = disclose(exact(base, 0, 0, numerator))
        assert first == disclose(exact(twin_base, 0, 0, twin))


def test_a_masked_numerator_leaves_an_interval_that_holds_all_it_may_be() -> None:
    def interval(numerator: int) -> dict:
        group = disclose(exact(20, 0, 0, numerator))["group"][0]
        assert "measureScore" not in group
        found = next(e for e in group["extension"] if e["url"].endswith("outcome-interval"))
        return {
            part["url"]: part.get("valueDecimal") or part.get("valueCode")
            for part in found["extension"]
        }

    assert interval(1) == interval(7)
    assert interval(3)["method"] == "wilson-of-masked-range"
    lower, _ = wilson(1, 20)
    _, upper = wilson(7, 20)
    assert (float(interval(3)["lower"]), float(interval(3)["upper"])) == pytest.approx(
        (lower, upper), abs=1e-4
    )


@pytest.mark.parametrize(
    ("observed", "known", "may"),
    [(0, 8, True), (8, 9, True), (1, 40, False), (7, 40, False), (0, 7, False)],
)
def test_a_ratio_is_shown_where_the_count_in_it_is(observed: int, known: int, may: bool) -> None:
    assert comparable(observed, known) is may
