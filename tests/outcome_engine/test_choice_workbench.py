"""The workbench from a file of choices to a parameter file that can be signed."""

import sys
from datetime import date

import numpy as np
import pytest

from fhir_server.__main__ import main
from outcome_engine.choice.data import read
from outcome_engine.choice.diagnostics import consistency, fit, importance, signs
from outcome_engine.choice.draft import anchored, draft, estimates
from outcome_engine.choice.estimation import conditional, mixed
from outcome_engine.parameter_files.signature import sign
from r4.json import decode, encode
from tests.outcome_engine.choosing import ATTRIBUTES, SIGNS, WEIGHTS, simulated, write
from tests.outcome_engine.signing import KEY, body, measure, parameters


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    rows = simulated("public", WEIGHTS, 150, 9) + simulated("professionals", WEIGHTS, 60, 9, seed=2)
    return write(tmp_path_factory.mktemp("choices") / "choices.csv", ATTRIBUTES, rows)


@pytest.fixture(scope="module")
def choices(file):
    return read(file)["public"]


@pytest.fixture(scope="module")
def estimate(choices):
    return conditional(choices)


@pytest.fixture
def template():
    """The fictitious parameter file without what choices give, its checks without their results."""
    given = body()
    for name in ("stakeholder-group", "coefficients", "covariance"):
        del given["parameters"][name]
    given["checks"] = [{"levels": check["levels"]} for check in given["checks"]]
    return given


def test_rows_in_any_order_are_the_same_choices(file, choices, estimate, tmp_path):
    head, *rows = file.read_text(encoding="utf-8").splitlines()
    turned = tmp_path / "turned.csv"
    turned.write_text("\n".join([head, *reversed(rows)]), encoding="utf-8")
    again = conditional(read(turned)["public"])
    assert again.coefficients == pytest.approx(estimate.coefficients, abs=1e-9)
    assert again.covariance == pytest.approx(estimate.covariance, rel=1e-6)
    assert (choices.respondents, choices.tasks) == (150, 1350)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["group,respondent,task,alternative,gain", "g,1,1,a,2"], "no column chosen"),
        (["group,respondent,task,alternative,chosen"], "no column of a coefficient"),
        (["group,respondent,task,alternative,chosen,Gain", "g,1,1,a,1,2"], "small letters"),
        (["group,respondent,task,alternative,chosen,gain", "g,1,1,a,1,x"], "line 2: gain is 'x'"),
        (["group,respondent,task,alternative,chosen,gain", "g,1,1,a,yes,1"], "line 2: chosen"),
        (["group,respondent,task,alternative,chosen,gain", "g,1,1,a,1,1"], "nothing was to choose"),
        (
            ["group,respondent,task,alternative,chosen,gain", "g,1,1,a,1,1", "g,1,1,b,1,2"],
            "respondent 1, task 1: 2 are chosen",
        ),
        (
            ["group,respondent,task,alternative,chosen,gain", "g,1,1,a,1,1", "g,1,1,a,0,2"],
            "a stands twice",
        ),
    ],
)
def test_a_file_with_a_fault_is_refused_by_line_or_task(tmp_path, lines, message):
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read(wrong)


def test_the_fit_is_told_against_chance(choices, estimate):
    found = fit(choices, estimate)
    assert found.log_likelihood_of_chance < found.log_likelihood < 0
    assert 0.2 < found.adjusted_r2 < found.pseudo_r2 < 0.6
    assert found.aic < found.bic
    assert found.predicted_right > 0.6
    assert sum(seen for seen, _ in found.shares.values()) > 1, "not all are offered each time"
    # a constant of its own makes the model meet the share exactly
    assert found.shares["palliation"][1] == pytest.approx(found.shares["palliation"][0], abs=1e-6)


def test_signs_are_as_expected_opposite_or_not_told_from_0(estimate):
    verdicts = {each.name: each.verdict for each in signs(estimate, SIGNS)}
    assert verdicts["survival"] == verdicts["emergency-major"] == "as expected"
    (wrong,) = signs(estimate, {"survival": -1})
    assert wrong.verdict == "opposite"
    with pytest.raises(ValueError, match="no coefficient"):
        signs(estimate, {"price": -1})


def test_dominated_choices_and_tasks_asked_again_are_counted(tmp_path):
    rows = [
        ["g", 1, 1, "a", 1, 2, 0], ["g", 1, 1, "b", 0, 1, 0],  # b is dominated, a is chosen
        ["g", 1, 2, "a", 0, 2, 0], ["g", 1, 2, "b", 1, 1, 0],  # the same again: b is chosen
        ["g", 2, 1, "a", 0, 2, 0], ["g", 2, 1, "b", 1, 1, 1],  # the label differs: not comparable
        ["g", 2, 2, "x", 1, 1, 1], ["g", 2, 2, "y", 0, 2, 0],  # asked again, the same is chosen
    ]  # fmt: skip
    found = consistency(read(write(tmp_path / "c.csv", ["gain", "label"], rows))["g"], {"gain": 1})
    assert (found.dominated, found.dominated_chosen, found.respondents_who_did) == (2, 1, 1)
    assert (found.repeated, found.repeated_alike) == (2, 1)


def test_importance_is_relative_to_something_that_matters(estimate):
    ranges = {"survival": 1.0, "infections": -3.0}
    first, second = importance(estimate, ranges, "survival")
    assert (first.value, first.lower, first.upper) == (1.0, 1.0, 1.0)
    assert second.lower < second.value < second.upper
    assert second.value == pytest.approx(
        -3 * estimate.coefficients[4] / estimate.coefficients[8], rel=1e-12
    )
    with pytest.raises(ValueError, match="has no range"):
        importance(estimate, ranges, "planned-minor")


def test_a_draft_is_signed_and_then_scores(estimate, template):
    file = draft(estimates(estimate), template)
    assert "signature" not in file
    assert file["parameters"]["stakeholder-group"] == "public"
    signed = sign(decode(encode(file)), KEY, date(2022, 6, 1))
    found = parameters(signed).of(measure(), "2024-06-30")
    assert found is not None
    best = found.content.checks[0]
    assert found.content.compiled().score(
        {name: int(value) * (10**6 if name == "quality-of-life" else 1)
         for name, value in best.levels.items()}
    ).micro == 10**6  # fmt: skip


def test_a_draft_anchors_the_best_at_1_and_palliation_at_0(estimate, template):
    file = draft(estimates(estimate), template)
    coefficients = {
        each["name"]: float(each["value"]) for each in file["parameters"]["coefficients"]
    }
    best = coefficients["quality-of-life-75"] + coefficients["survival"]
    worst = coefficients["palliation"]
    levels = file["checks"][1]["levels"]
    utility = sum(coefficients[name] * float(levels[name]) for name in ATTRIBUTES[:5])
    utility += coefficients["survival"] * float(levels["survival"]) / 365
    quality = float(levels["quality-of-life"])
    reached = [each for each in (25, 50, 75) if quality >= each]
    utility += coefficients[f"quality-of-life-{reached[-1]}"] if reached else 0
    numerator, _, denominator = file["checks"][1]["score"].partition("/")
    score = float(numerator) / float(denominator or 1)
    assert score == pytest.approx(1 + (utility - best) / (best - worst), abs=1e-9)


def test_weights_are_told_on_the_scale_of_the_score_with_the_uncertainty_of_the_anchors(
    choices, estimate, template
):
    found = {each.name: each for each in anchored(draft(estimates(estimate), template))}
    value = dict(zip(estimate.names, estimate.coefficients, strict=True))
    span = value["quality-of-life-75"] + value["survival"] - value["palliation"]
    assert found["infections"].value == pytest.approx(value["infections"] / span, abs=1e-6)
    # the interval by drawing from the distribution of the coefficients
    drawn = np.random.default_rng(5).multivariate_normal(
        estimate.coefficients, estimate.covariance, size=40_000
    )
    at = [estimate.names.index(name) for name in ("quality-of-life-75", "survival", "palliation")]
    spans = drawn[:, at] @ [1, 1, -1]
    shares = drawn[:, estimate.names.index("infections")] / spans
    assert (found["infections"].lower, found["infections"].upper) == pytest.approx(
        tuple(np.quantile(shares, (0.025, 0.975))), abs=2e-3
    )
    assert found["palliation"].value + 1 == pytest.approx(
        found["quality-of-life-75"].value + found["survival"].value, abs=1e-6
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda given: given.pop("parameters"), "no `parameters`"),
        (lambda given: given["parameters"].update(covariance=[]), "come from the estimates"),
        (lambda given: given["parameters"].pop("cut-points"), "cut-points"),
        (lambda given: given["parameters"]["attributes"].pop(), "must name each once"),
        (lambda given: given.update(checks=[]), "checks"),
    ],
)
def test_a_template_that_lacks_a_decision_is_refused_and_nothing_is_filled_in(
    estimate, template, change, message
):
    change(template)
    with pytest.raises(ValueError, match=message):
        draft(estimates(estimate), template)


def test_the_commands_estimate_each_group_and_draft_one(file, template, tmp_path, capsys):
    output, drafted, given = (tmp_path / name for name in ("e.json", "d.json", "t.json"))
    given.write_bytes(encode(template))
    said = [f"--sign={name}={'+' if sign > 0 else '-'}" for name, sign in SIGNS.items()]
    ranges = ["--range", "survival=1", "--range", "quality-of-life-75=1"]
    arguments = [*said, *ranges, "--reference", "survival", "--output", str(output)]
    assert main(["choice", "estimate", str(file), *arguments]) == 0
    told = capsys.readouterr().out
    for expected in (
        "public: conditional logit; 1350 tasks of 150 respondents", "professionals:", "pseudo R2",
        "sign of survival: as expected", "dominated: chosen in", "importance of quality-of-life-75",
    ):  # fmt: skip
        assert expected in told
    draft_of = ["choice", "draft", str(output), "--template", str(given), "--output", str(drafted)]
    assert main([*draft_of, "--group", "public"]) == 0
    told = capsys.readouterr().out
    assert "not signed" in told
    assert "best 1 and palliation 0" in told
    assert decode(drafted.read_bytes())["parameters"]["stakeholder-group"] == "public"
    assert main([*draft_of, "--group", "nobody"]) == 1
    assert "has no group nobody" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--group", "nobody"], "has no group nobody"),
        (["--sign", "survival"], "is not NAME=VALUE"),
        (["--sign", "survival=1"], "a sign is + or -"),
    ],
)
def test_the_command_says_what_is_wrong(file, tmp_path, capsys, arguments, message):
    output = ["--output", str(tmp_path / "e.json")]
    assert main(["choice", "estimate", str(file), *arguments, *output]) == 1
    assert message in capsys.readouterr().err


def test_without_xlogit_it_is_said_what_to_install(choices, monkeypatch):
    monkeypatch.setitem(sys.modules, "xlogit", None)
    with pytest.raises(ModuleNotFoundError, match="pip install 'csor"):
        mixed(choices, ["survival"])
