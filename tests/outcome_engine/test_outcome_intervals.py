"""Wilson's interval against published numbers and against scipy."""

import pytest
from scipy.stats import binomtest

from outcome_engine.methods.intervals import wilson


def test_reproduces_the_interval_of_bristol_1991_to_1995():
    # Deaths of babies after heart surgery, 41 of 143 (Spiegelhalter et al., Bristol Inquiry).
    assert wilson(41, 143) == pytest.approx((0.2189363, 0.3656497), abs=5e-8)


@pytest.mark.parametrize(
    ("events", "total"), [(0, 1), (0, 20), (1, 8), (5, 5), (7, 19), (397, 3319)]
)
@pytest.mark.parametrize("level", [0.9, 0.95, 0.998])
def test_agrees_with_scipy(events: int, total: int, level: float):
    reference = binomtest(events, total).proportion_ci(level, method="wilson")
    assert wilson(events, total, level) == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_limits_stay_within_0_and_1_and_touch_them_exactly():
    assert wilson(0, 12)[0] == 0.0
    assert wilson(12, 12)[1] == 1.0


@pytest.mark.parametrize(("events", "total"), [(0, 0), (3, 2), (-1, 5)])
def test_refuses_what_is_no_proportion(events: int, total: int):
    with pytest.raises(ValueError, match="is not a proportion"):
        wilson(events, total)
