"""Intervals of proportions and counts against published numbers and against scipy."""

from math import isnan

import pytest
from scipy.stats import binomtest

from outcome_engine.methods.intervals import byar, clopper_pearson, exact_count, mid_p, wilson

# Deaths of babies after heart surgery in Bristol 1991-95, 41 of 143 (Spiegelhalter et al., the
# Bristol Royal Infirmary Inquiry; The Art of Statistics, 02-5-child-heart-surgery-1991-x.csv).
BRISTOL = (41, 143)

# The check values of PHEindicatormethods 2.1.1 (testdata_Byars_Wilson.xlsx): count, of, lower, upper,
# level. A lower limit that Byar's approximation does not have is left out there.
PHE_BYAR = [
    (65, 50.163187710459454, 82.849138545939837, 0.95),
    (1045, 982.59320180733255, 1110.3312129856499, 0.95),
    (1, 0.013072132901504351, 5.5637555824752605, 0.95),
    (65, 42.880261471480203, 94.000290844318016, 0.998),
    (1045, 947.94070356103737, 1148.8061609880331, 0.998),
    (10, 2.916318374695686, 24.193724927880535, 0.998),
    (1, None, 9.362180217908362, 0.998),
]
PHE_WILSON = [
    (65, 100, 0.55254443296887967, 0.73635751756902468, 0.95),
    (1045, 5000, 0.19795549880013297, 0.22049130373189027, 0.95),
    (0.445, 1, 0.043817447720588223, 0.93346212769791559, 0.95),
    (65, 100, 0.49549465740704313, 0.77835406140896968, 0.998),
    (1045, 5000, 0.19179381799015244, 0.22731562902525818, 0.998),
    (0.445, 1, 0.019347006132900975, 0.97022599470195414, 0.998),
]
COUNTS = [(0, 1), (0, 20), (1, 8), (5, 5), (7, 19), (397, 3319)]


@pytest.mark.parametrize(
    ("interval", "limits"),
    [
        (wilson, (0.2189363, 0.3656497)),
        (clopper_pearson, (0.2142496, 0.3682420)),
        (mid_p, (0.2171107, 0.3648743)),
    ],
)
def test_reproduces_the_intervals_of_bristol_1991_to_1995(interval, limits):
    assert interval(*BRISTOL) == pytest.approx(limits, abs=5e-8)


@pytest.mark.parametrize(("count", "lower", "upper", "level"), PHE_BYAR)
def test_reproduces_byars_limits_of_the_english_public_health_methods(count, lower, upper, level):
    found = byar(count, level)
    assert found[1] == pytest.approx(upper, rel=1e-14)
    assert isnan(found[0]) if lower is None else found[0] == pytest.approx(lower, rel=1e-12)


@pytest.mark.parametrize(("events", "total", "lower", "upper", "level"), PHE_WILSON)
def test_reproduces_wilsons_limits_of_the_english_public_health_methods(
    events, total, lower, upper, level
):
    assert wilson(events, total, level) == pytest.approx((lower, upper), rel=2e-14)


@pytest.mark.parametrize(("events", "total"), COUNTS)
@pytest.mark.parametrize("level", [0.9, 0.95, 0.998])
@pytest.mark.parametrize(("interval", "method"), [(wilson, "wilson"), (clopper_pearson, "exact")])
def test_agrees_with_scipy(interval, method, events, total, level):
    reference = binomtest(events, total).proportion_ci(level, method=method)
    assert interval(events, total, level) == pytest.approx(
        (reference.low, reference.high), abs=1e-12
    )


@pytest.mark.parametrize(("events", "total"), COUNTS)
def test_at_each_limit_of_mid_p_the_tail_with_half_of_what_was_seen_is_the_level_s(events, total):
    lower, upper = mid_p(events, total, 0.9)
    if events > 0:
        assert _tail(events, total, lower, "greater") == pytest.approx(0.05, rel=1e-9)
    if events < total:
        assert _tail(events, total, upper, "less") == pytest.approx(0.05, rel=1e-9)
    exact = clopper_pearson(events, total, 0.9)
    assert exact[0] <= lower <= events / total <= upper <= exact[1]


def _tail(events: int, total: int, chance: float, side: str) -> float:
    """One-sided tail by scipy's own tests: that of what was seen, and that beyond, averaged."""
    beyond = events + (1 if side == "greater" else -1)
    more = (
        binomtest(beyond, total, chance, alternative=side).pvalue if 0 <= beyond <= total else 0.0
    )
    return (binomtest(events, total, chance, alternative=side).pvalue + more) / 2


def test_an_exact_interval_of_a_count_has_the_published_limits():
    # Garwood's 95% limits of 10 and of 0, as tabulated in Breslow and Day, volume II, table 2.11.
    assert exact_count(10) == pytest.approx((4.795, 18.390), abs=5e-4)
    assert exact_count(0) == (0.0, pytest.approx(3.689, abs=5e-4))


@pytest.mark.parametrize("interval", [wilson, clopper_pearson, mid_p])
def test_limits_stay_within_0_and_1_and_touch_them_exactly(interval):
    assert interval(0, 12)[0] == 0.0
    assert interval(12, 12)[1] == 1.0


@pytest.mark.parametrize("interval", [wilson, clopper_pearson, mid_p])
@pytest.mark.parametrize(("events", "total"), [(0, 0), (3, 2), (-1, 5)])
def test_refuses_what_is_no_proportion(interval, events: int, total: int):
    with pytest.raises(ValueError, match="is not a proportion"):
        interval(events, total)


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_refuses_what_is_no_level(level):
    for interval in (wilson, clopper_pearson, mid_p):
        with pytest.raises(ValueError, match="is not a level"):
            interval(3, 10, level)
    for of_count in (byar, exact_count):
        with pytest.raises(ValueError, match="is not a level"):
            of_count(3, level)
        with pytest.raises(ValueError, match="is not a count"):
            of_count(-1)


def test_exact_counts_are_those_of_the_python_methods_of_english_public_health():
    # `poisson_funnel` in the tests of UKHSA's PHStatsMethods: 200 low at 0.025, 500 high at 0.001.
    assert exact_count(200, 0.95)[0] == pytest.approx(173.24086241, abs=3e-4)
    assert exact_count(500, 0.998)[1] == pytest.approx(573.02747672, abs=3e-4)
