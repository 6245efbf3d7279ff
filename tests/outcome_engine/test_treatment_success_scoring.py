"""The Treatment Success Score in integers equals exact fractions, ties at the cuts included.

The numbers are those of the fictitious file: its span is 10, so that a score is (utility + 4) / 10.
"""

from decimal import Decimal
from fractions import Fraction
from itertools import chain
from statistics import NormalDist
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcome_engine.methods import treatment_success as method
from outcome_engine.methods.treatment_success import LARGEST, Level, Term, score
from outcome_engine.parameter_files.treatment_success import TreatmentSuccessFile
from r4 import fhirpath
from tests.outcome_engine.signing import measure, parameters, signed

ZERO = dict.fromkeys(
    ("planned-minor", "planned-major", "emergency-minor", "emergency-major", "infections"), 0
)
BEST: dict[str, int | None] = {**ZERO, "quality-of-life": 100_000_000, "survival": 365}


def fictitious(change=lambda _: None) -> TreatmentSuccessFile:
    found = parameters(signed(lambda file: change(file["parameters"]))).of(measure(), "2024-06-30")
    assert found is not None
    return found.content


FILE = fictitious()


def of(**changes: int | None) -> dict[str, int | None]:
    return BEST | {name.replace("_", "-"): value for name, value in changes.items()}


def test_the_scale_is_1_at_the_best_outcome_0_at_palliation_and_below_when_worse():
    best, palliation = Fraction(7, 3), Fraction(-2, 3)
    assert score(best, best, palliation) == 1
    assert score(palliation, best, palliation) == 0
    assert score(Fraction(-11, 3), best, palliation) == -1


def test_there_is_no_scale_unless_the_best_outcome_is_preferred():
    with pytest.raises(ValueError, match="greater utility"):
        score(Fraction(1), Fraction(0), Fraction(0))


@pytest.mark.parametrize(
    ("values", "micro", "good", "light"),
    [
        (of(), 1_000_000, True, "green"),
        (of(emergency_major=1), 960_000, True, "green"),
        # 3 + 2 - 1 = 4: a tie at green, 0.8; a planned minor operation more is 0.79
        (of(quality_of_life=50_000_000, planned_major=5), 800_000, True, "green"),
        (of(quality_of_life=50_000_000, planned_major=5, planned_minor=1), 790_000, True, "amber"),
        # 3 + 0 - 1 = 2: a tie at good, 0.6
        (of(quality_of_life=24_999_999, infections=2), 600_000, True, "amber"),
        (of(quality_of_life=24_999_999, infections=2, planned_minor=1), 590_000, False, "amber"),
        # 3 + 0 - 2 = 1: a tie at amber, 0.5
        (of(quality_of_life=0, infections=4), 500_000, False, "amber"),
        (of(quality_of_life=0, infections=4, planned_minor=1), 490_000, False, "red"),
        # a death on day 1: 3/365 of a utility, 0.4 + 3/3650 = 0.40082191…
        (of(quality_of_life=0, survival=1), 400_822, False, "red"),
        # beyond the range the end of it counts: 20 operations, 365 days, level 0
        (of(planned_minor=99, survival=366), 800_000, True, "green"),
        (of(quality_of_life=-1, infections=4), 500_000, False, "amber"),
        # worse than palliation
        (of(quality_of_life=0, survival=0, infections=9), -50_000, False, "red"),
    ],
)
def test_outcomes_that_were_worked_out_by_hand(values, micro, good, light):
    scored = FILE.scored(values)
    assert (scored.micro, scored.good, scored.light) == (micro, good, light)


@pytest.mark.parametrize(
    ("dividend", "span", "micro"),
    [
        (1, 2_000_000, 0),
        (3, 2_000_000, 2),
        (-1, 2_000_000, 0),
        (-3, 2_000_000, -2),
        (2, 3, 666_667),
    ],
)
def test_the_published_score_is_rounded_half_to_even(dividend, span, micro):
    terms = [Term("a", Fraction(-5), Fraction(5), Fraction(1))]
    cuts = {"good": Fraction(0), "amber": Fraction(0), "green": Fraction(1)}
    made = method.scoring(terms, Fraction(span), Fraction(0), **cuts)
    assert made.score({"a": dividend}).micro == micro


class TestMissing:
    def test_a_level_is_assumed_where_the_file_says_so(self):
        assumed, known = of(quality_of_life=None), of(quality_of_life=50_000_000)
        assert FILE.scored(assumed) == FILE.scored(known)
        assert FILE.levels(assumed)["quality-of-life"] == 50_000_000

    @pytest.mark.parametrize("name", sorted(BEST.keys() - {"quality-of-life"}))
    def test_elsewhere_the_outcome_is_not_known(self, name):
        assert FILE.scored(BEST | {name: None}) is None
        assert FILE.probabilities(BEST | {name: None}) is None

    def test_what_is_assumed_may_be_nothing(self):
        def not_known(p: Any) -> None:
            rule = p["missing-data-rule"][5]
            rule.update(rule="not-known")
            rule.pop("value")

        assert fictitious(not_known).scored(of(quality_of_life=None)) is None


def evaluated(file: TreatmentSuccessFile, values: dict[str, int | None]) -> dict[str, Any]:
    """Evaluate the facts that a definition is given, by FHIRPath."""
    known: dict[str, Any] = {n: [] if v is None else v for n, v in values.items()}
    if (life := values["quality-of-life"]) is not None:
        known["quality-of-life"] = Decimal(life) / 10**6
    for name, text in file.scoring_facts():
        found = fhirpath.evaluate(text, {}, fhirpath.Environment(variables=known))
        known[name] = found
    return {name: (value or [None])[0] for name, value in known.items() if isinstance(value, list)}


class TestFacts:
    @pytest.mark.parametrize(
        "values",
        [
            of(),
            of(quality_of_life=None),
            of(quality_of_life=24_999_999, infections=2),
            of(quality_of_life=0, infections=4, planned_minor=1),
            of(quality_of_life=0, survival=1),
            of(quality_of_life=0, survival=0, infections=99, emergency_major=20),
            of(planned_major=7, planned_minor=13, survival=364, quality_of_life=74_999_999),
        ],
    )
    def test_the_expressions_give_what_the_integers_give(self, values):
        facts, scored = evaluated(FILE, values), FILE.scored(values)
        found = (facts["utility"], facts["score"], facts["score-good"], facts["score-light"])
        assert found == (scored.utility, scored.micro, scored.good, scored.light)

    def test_what_is_not_known_stays_unknown(self):
        facts = evaluated(FILE, of(survival=None))
        assert [facts[n] for n in ("utility", "score", "score-good", "score-light")] == [None] * 4


numbers = st.fractions(-100, 100, max_denominator=20)


@st.composite
def terms(draw):
    found = []
    for place in range(draw(st.integers(1, 5))):
        if draw(st.booleans()):
            low = draw(st.integers(-50, 50))
            high = low + draw(st.integers(1, 100))
            slope = draw(numbers)
            found.append(Term(str(place), Fraction(low), Fraction(high), slope))
        else:
            starts = sorted(draw(st.sets(st.fractions(-50, 50, max_denominator=4), min_size=1)))
            levels = tuple(Level(start, draw(numbers)) for start in starts)
            found.append(Term(str(place), levels=levels))
    return found


def exact(term: Term, value: int) -> Fraction:
    if not term.levels:
        return term.slope * min(max(Fraction(value), term.minimum), term.maximum)
    reached = [level for level in term.levels if value >= level.start] or term.levels[:1]
    return reached[-1].utility


@settings(max_examples=60, deadline=None)
@given(terms(), numbers, st.fractions(Fraction(1, 20), 50, max_denominator=20), st.data())
def test_the_integers_are_the_fractions(made, palliation, span, data):
    best = palliation + span
    amber, good = (data.draw(st.fractions(-2, 2, max_denominator=20)) for _ in range(2))
    green = amber + 1
    scoring = method.scoring(made, best, palliation, good=good, amber=amber, green=green)
    values = {term.id: data.draw(st.integers(-60, 160)) for term in made}
    utility = sum((exact(term, values[term.id]) for term in made), Fraction(0))
    published = score(utility, best, palliation)
    scored = scoring.score(values)
    assert Fraction(scored.utility, scoring.scale) == utility
    assert scored.micro == round(published * 10**6)  # Python rounds a Fraction half to even
    assert scored.good == (published >= good)
    light = "green" if published >= green else "amber" if published >= amber else "red"
    assert scored.light == light
    # every intermediate result fits into 64 bits and is not negative: quotients are truncated alike
    span_scaled = scoring.best - scoring.palliation
    dividend = (scored.utility - scoring.palliation) * 10**6 + scoring.shift * span_scaled
    assert 0 <= dividend <= LARGEST
    assert scoring.shift % 2 == 0


class TestProbabilities:
    def test_each_pair_and_triple_of_classes_sums_to_1(self):
        found = FILE.probabilities(of(quality_of_life=24_999_999, infections=2))
        assert found.good + found.not_good + found.undefined == 1
        assert found.red + found.amber + found.green + found.undefined == 1
        assert (found.draws, found.undefined) == (1000, 0)

    def test_they_are_the_same_every_time(self):
        tie = of(quality_of_life=24_999_999, infections=2)
        assert FILE.probabilities(tie) == fictitious().probabilities(tie)

    def test_a_tie_at_the_cut_is_as_likely_above_as_below(self):
        found = FILE.probabilities(of(quality_of_life=24_999_999, infections=2))
        # 1,000 draws of one half: a standard error of 0.016
        assert abs(found.good - Fraction(1, 2)) < Fraction(5, 100)

    def test_the_best_outcome_is_the_best_whatever_the_preferences(self):
        assert FILE.probabilities(of()).green == 1

    def test_they_agree_with_the_normal_law(self):
        values = of(quality_of_life=50_000_000, planned_major=3)
        given = FILE.parameters
        weights = {"quality-of-life-50": 1, "survival": 1, "planned-major": 3}
        # the cut: 0.8 V(best) + 0.2 V(palliation)
        cut = {"quality-of-life-75": 0.8, "survival": 0.8, "palliation": 0.2}
        row = [weights.get(n, 0) - cut.get(n, 0) for n in given.values]
        mean = sum(a * float(b) for a, b in zip(row, given.values.values(), strict=True))
        variance = sum(
            row[i] * row[j] * float(given.covariance[i][j])
            for i in range(len(row))
            for j in range(len(row))
        )
        expected = NormalDist().cdf(mean / variance**0.5)
        assert abs(float(FILE.probabilities(values).green) - expected) < 3 * 0.5 / 1000**0.5

    def test_without_uncertainty_a_tie_is_in_the_better_class(self):
        def certain(p: Any) -> None:
            p["covariance"] = [["0"] * 10 for _ in range(10)]

        found = fictitious(certain).probabilities(of(quality_of_life=24_999_999, infections=2))
        assert (found.good, found.amber) == (1, 1)

    def test_a_draw_without_a_scale_counts_for_no_class(self):
        def wild(p: Any) -> None:
            p["covariance"][9][9] = "10000"

        found = fictitious(wild).probabilities(of(emergency_major=1))
        assert 0 < found.undefined < 1
        assert found.good + found.not_good + found.undefined == 1


class TestFactor:
    def test_the_factor_times_itself_is_the_covariance(self):
        rows = [[4, 2, 0], [2, 5, 2], [0, 2, 1]]
        lower = method.factor([[Fraction(v) for v in row] for row in rows], 3)
        again = [[sum(a * b for a, b in zip(x, y, strict=True)) for y in lower] for x in lower]
        assert list(chain(*again)) == pytest.approx(list(chain(*rows)))

    def test_a_matrix_of_less_than_full_rank_is_a_covariance(self):
        lower = method.factor([[Fraction(1), Fraction(1)], [Fraction(1), Fraction(1)]], 2)
        assert lower == [[1.0, 0.0], [1.0, 0.0]]

    @pytest.mark.parametrize("rows", [[[1, 2], [2, 1]], [[0, 1], [1, 1]], [[-1, 0], [0, 1]]])
    def test_what_is_not_positive_semi_definite_is_refused(self, rows):
        with pytest.raises(ValueError, match="semi-definite"):
            method.factor([[Fraction(v) for v in row] for row in rows], 2)
