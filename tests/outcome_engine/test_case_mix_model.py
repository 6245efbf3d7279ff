"""A case-mix model from outcome rows to a signed file, and what it predicts."""

import csv
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet
from scipy.special import expit

import outcome_engine
from fhir_server.__main__ import main
from outcome_engine.case_mix.fit import METHODS, Head, Wanted, fit
from outcome_engine.case_mix.model import CaseMixModel, read
from outcome_engine.case_mix.rows import read as read_rows
from outcome_engine.methods.logistic import NotEstimableError
from outcome_engine.parameter_files.parameter_file import Parameters
from outcome_engine.parameter_files.signature import sign
from r4.issue import FhirError
from r4.json import decode, encode
from tests.outcome_engine.signing import KEY, SIGNATORIES

MEASURE = "https://csor.example/fhir/Measure/hirschsprung-core-outcome"
START, UNTIL = date(2015, 1, 1), date(2019, 12, 31)
TRUTH = {"intercept": -1.1, "trisomy-21": 0.9, "sex female": -0.4, "gestation": -0.5}
WANTED = [
    Wanted("trisomy-21"),
    Wanted("sex"),
    Wanted("gestation"),
    Wanted("birth-weight", None, 10**6),
]


def _canonical():
    return f"{MEASURE}|{outcome_engine.measures()[MEASURE]['version']}"


def _head(**others):
    said = {
        "measure": _canonical(), "version": "1.0.0", "title": "A model for a test (fictitious)",
        "description": "Made of simulated children.", "event": "bad", "start": START,
        "until": UNTIL, "valid_from": date(2020, 1, 1), "valid_until": date(2027, 12, 31),
        "fictitious": True,
    }  # fmt: skip
    return Head(**(said | others))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """4,000 simulated children as outcome rows: some before the period, not due, or not known."""
    rng = np.random.default_rng(17)
    file = tmp_path_factory.mktemp("rows") / "outcomes.csv"
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow([
            "child", "hospital", "case_day", "due", "class", "factor_trisomy-21", "factor_sex",
            "factor_gestation", "factor_birth-weight",
        ])  # fmt: skip
        effect = rng.normal(0, 0.3, 12)
        for number in range(4000):
            trisomy, female = rng.random() < 0.15, rng.random() < 0.3
            weeks, hospital = int(rng.integers(28, 42)), int(rng.integers(12))
            predictor = (
                TRUTH["intercept"] + TRUTH["trisomy-21"] * trisomy + TRUTH["sex female"] * female
                + TRUTH["gestation"] * (weeks - 34.5) / 4 + effect[hospital]
            )  # fmt: skip
            bad = rng.random() < expit(predictor)
            kind = "not-yet-known" if rng.random() < 0.05 else "bad" if bad else "good"
            day = (date(2014, 7, 1) + timedelta(days=int(rng.integers(0, 2000)))).toordinal()
            known = rng.random() > 0.1
            writer.writerow([
                f"child-{number}", f"H{hospital:02}", day - 719163,
                "true" if rng.random() < 0.9 else "false", kind,
                ("true" if trisomy else "false") if known else "", "female" if female else "male",
                weeks, int(rng.normal(3000, 500)) * 10**6,
            ])  # fmt: skip
    return file


@pytest.fixture(scope="module")
def rows(table):
    return read_rows(table, "bad", START, UNTIL)


@pytest.fixture(scope="module")
def files(rows):
    return {method: fit(rows, WANTED, method, _head()) for method in METHODS}


@pytest.fixture(scope="module")
def models(files):
    return {method: read(file) for method, file in files.items()}


def test_rows_are_those_of_the_period_whose_outcome_is_due(table, rows):
    with table.open(encoding="utf-8") as opened:
        all_of_them = list(csv.DictReader(opened))
    first, last = START.toordinal() - 719163, UNTIL.toordinal() - 719163
    due = [
        row for row in all_of_them
        if row["due"] == "true" and first <= int(row["case_day"]) <= last
    ]  # fmt: skip
    assert list(rows.child) == [row["child"] for row in due]
    wanted = {"bad": True, "good": False, "not-yet-known": None}
    assert list(rows.event) == [wanted[row["class"]] for row in due]
    assert 0 < len(rows.known().child) < len(due) < len(all_of_them)


def test_parquet_holds_the_same_rows_as_csv(table, rows, tmp_path):
    file = tmp_path / "outcomes.parquet"
    options = arrow_csv.ConvertOptions(strings_can_be_null=True)
    parquet.write_table(arrow_csv.read_csv(table, convert_options=options), file)
    assert read_rows(file, "bad", START, UNTIL) == rows


@pytest.mark.parametrize("method", METHODS)
def test_what_is_expected_of_the_development_s_children_is_what_was_observed(method, models, rows):
    known = rows.known()
    chances = [models[method].chance(given) for given in known.each()]
    assert all(chance is not None and 0 < chance < 1 for chance in chances)
    # exactly where the intercept is by maximum likelihood; a random intercept is a mean over hospitals
    tolerance = 0.01 if method == "random-intercept" else 1e-6
    assert sum(chances) == pytest.approx(sum(known.event), rel=tolerance)


@pytest.mark.parametrize("method", METHODS)
def test_coefficients_are_near_those_that_the_children_were_made_with(method, models):
    given = models[method].parameters
    value = {each.name: float(each.value) for each in given.coefficients}
    error = {
        each.name: float(given.covariance[number][number]) ** 0.5
        for number, each in enumerate(given.coefficients)
    }
    gestation = next(each for each in given.factors if each.id == "gestation")
    expected = {
        "trisomy-21": TRUTH["trisomy-21"],
        "sex female": TRUTH["sex female"],
        "gestation": TRUTH["gestation"] * float(gestation.scale) / 4,
        "birth-weight": 0.0,
    }
    for name, truth in expected.items():
        assert value[name] == pytest.approx(truth, abs=3 * error[name])
    if method == "random-intercept":
        assert float(given.hospital_sd) == pytest.approx(0.3, abs=0.15)


@pytest.mark.parametrize("method", METHODS)
def test_performance_is_told_of_children_held_out(method, models, rows):
    given = models[method].parameters
    held_out = float(given.discrimination.cross_validated)
    assert 0.6 < held_out <= float(given.discrimination.apparent) + 0.001
    assert abs(float(given.calibration.intercept)) < 0.1
    assert float(given.calibration.slope) == pytest.approx(1, abs=0.15)
    group = given.development
    assert sum(each.children for each in given.calibration.groups) == group.children
    assert group.not_known == len(rows.child) - len(rows.known().child)


def test_a_missing_factor_has_a_coefficient_or_no_prediction_as_the_file_says(models, rows):
    given = {"trisomy-21": None, "sex": "male", "gestation": 38, "birth-weight": 3_000_000_000}
    model = models["firth"]
    assert [each.missing for each in model.parameters.factors] == [
        "indicator", "refuse", "refuse", "refuse",
    ]  # fmt: skip
    assert model.chance(given) is not None
    assert model.chance(given | {"trisomy-21": True, "gestation": None}) is None
    refusing = read(
        fit(rows, [Wanted("trisomy-21", missing="refuse"), Wanted("sex")], "firth", _head())
    )
    assert refusing.chance({"trisomy-21": None, "sex": "male"}) is None
    assert refusing.parameters.development.factor_missing > 100
    with pytest.raises(KeyError):
        refusing.chance({"sex": "male"})


def test_a_value_of_which_the_model_knows_nothing_counts_as_missing_and_none_is_extrapolated(
    models,
):
    usual = {"trisomy-21": False, "sex": "male", "gestation": 38, "birth-weight": 3_000_000_000}
    model = models["ridge"]
    assert model.chance(usual | {"sex": "not asked"}) is None
    assert model.chance(usual | {"gestation": 60}) == model.chance(usual | {"gestation": 41})
    with pytest.raises(ValueError, match="neither true nor false"):
        model.chance(usual | {"trisomy-21": 1})
    with pytest.raises(ValueError, match="is no number"):
        model.chance(usual | {"gestation": "38"})


def test_the_random_intercept_predicts_the_mean_over_hospitals(models):
    model = models["random-intercept"].parameters
    given = {"trisomy-21": True, "sex": "male", "gestation": 30, "birth-weight": 2_000_000_000}
    drawn = np.random.default_rng(1).normal(model.predictor(given), float(model.hospital_sd), 10**6)
    assert model.chance(given) == pytest.approx(expit(drawn).mean(), abs=1e-3)


def test_no_real_child_stands_in_the_file(files, rows):
    text = encode(files["firth"]).decode()
    assert not any(f'"{child}"' in text for child in rows.child)
    assert not any(check["factors"] in list(rows.each()) for check in files["firth"]["checks"])


def test_a_signed_model_is_found_for_its_measure_and_predicts(files):
    signed = sign(files["firth"], KEY, date(2022, 6, 1))
    parameters = Parameters({"model.json": encode(signed)}, SIGNATORIES)
    measure = outcome_engine.measures()[MEASURE]
    found = parameters.of_kind(CaseMixModel, measure, "2024-06-30")
    assert found is not None
    assert found.fictitious
    assert found.content.chance(files["firth"]["checks"][0]["factors"]) == pytest.approx(
        float(files["firth"]["checks"][0]["chance"]), abs=1e-9
    )


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda file: file["parameters"]["coefficients"][0].update(value="5"), "tampered"),
        (lambda file: file.pop("signature"), "unsigned"),
    ],
)
def test_a_model_that_was_changed_or_is_not_signed_is_refused(files, change, rule):
    signed = sign(files["firth"], KEY, date(2022, 6, 1))
    change(changed := decode(encode(signed)))
    parameters = Parameters({"model.json": encode(changed)}, SIGNATORIES)
    with pytest.raises(FhirError) as refused:
        parameters.of_kind(CaseMixModel, outcome_engine.measures()[MEASURE], "2024-06-30")
    assert f"parameters-{rule}" in {issue.rule for issue in refused.value.issues}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p["factors"][0].update(id="patch"), "the coefficients must be"),
        (lambda p: p["covariance"][0].__setitem__(1, "9"), "symmetric"),
        (lambda p: p.update(method="ridge"), "a ridge has a penalty"),
        (lambda p: p.update({"hospital-sd": "0.1"}), "has hospital-sd"),
        (lambda p: p["development"].update(events=10**6), "more events than children"),
        (lambda p: p["coefficients"][0].update(value="0.5"), "is computed"),
        (
            lambda p: (
                p["factors"][0].update(id="patch"),
                p["coefficients"][1].update(name="patch"),
                p["coefficients"][2].update(name="patch missing"),
            ),
            "patch` is refused: it is treatment",
        ),
    ],
)
def test_a_model_that_contradicts_itself_is_refused_with_the_reason(files, change, message):
    file = decode(encode(files["firth"]))
    change(file["parameters"])
    with pytest.raises(ValueError, match=message):
        read(file)


def test_a_factor_that_is_treatment_is_not_fitted(rows):
    with pytest.raises(FhirError) as refused:
        fit(rows, [Wanted("stoma")], "firth", _head())
    assert "`stoma` is refused: it is treatment" in refused.value.issues[0].diagnostics


def test_too_few_children_and_factors_that_are_not_there_are_refused(rows):
    with pytest.raises(ValueError, match="the rows have no factor spitz-group"):
        fit(rows, [Wanted("spitz-group")], "firth", _head())
    few = rows.taken(range(20))
    with pytest.raises(NotEstimableError, match="no model is fitted"):
        fit(few, [Wanted("gestation")], "firth", _head())
    same = rows.taken([each for each, value in enumerate(rows.factors["sex"]) if value == "male"])
    with pytest.raises(ValueError, match="has one value or none"):
        fit(same, [Wanted("sex")], "firth", _head())


def test_a_square_bends(rows):
    model = read(fit(rows, [Wanted("gestation", "square")], "ridge", _head(), penalty=1.0))
    assert [each.name for each in model.parameters.coefficients] == [
        "intercept", "gestation", "gestation squared",
    ]  # fmt: skip
    assert model.parameters.penalty == 1


def test_the_order_of_the_rows_and_the_day_change_nothing(rows, files):
    again = rows.taken(np.random.default_rng(3).permutation(len(rows.child)))
    fitted = fit(again, WANTED, "firth", _head())
    first, second = (read(each).parameters for each in (files["firth"], fitted))
    for one, other in zip(first.coefficients, second.coefficients, strict=True):
        assert float(one.value) == pytest.approx(float(other.value), abs=1e-9)
    assert first.discrimination.cross_validated == second.discrimination.cross_validated


def test_the_command_writes_a_file_that_show_prints(table, tmp_path, capsys):
    output = tmp_path / "model.json"
    arguments = [
        "case-mix", "fit", str(table), "--measure", _canonical(), "--version", "1.0.0",
        "--title", "A test (fictitious)", "--description", "Simulated.", "--from", "2015-01-01",
        "--until", "2019-12-31", "--valid-from", "2020-01-01", "--valid-until", "2027-12-31",
        "--method", "firth", "--factor", "trisomy-21", "--factor", "gestation:square",
        "--refuse-missing", "trisomy-21", "--fictitious", "--output", str(output),
    ]  # fmt: skip
    assert main(arguments) == 0
    written = capsys.readouterr().out
    assert "not signed" in written
    assert main(["case-mix", "show", str(output)]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[:-1] == written.splitlines()[:-1]
    assert "gestation squared" in shown
    assert "risk group 10" in shown


@pytest.mark.parametrize(
    ("content", "message"),
    [("a,b\n1,2\n", "no table of outcomes"), ("child\n\x00\n1,2,3\n", "cannot be read")],
)
def test_a_file_that_is_no_table_of_outcomes_is_refused(tmp_path, capsys, content, message):
    file = Path(tmp_path / "rows.csv")
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_rows(file, "bad", START, UNTIL)


def test_a_form_that_there_is_not_is_refused(table, tmp_path, capsys):
    arguments = [
        "case-mix", "fit", str(table), "--measure", _canonical(), "--version", "1.0.0",
        "--title", "t", "--description", "d", "--from", "2015-01-01", "--until", "2019-12-31",
        "--valid-from", "2020-01-01", "--valid-until", "2027-12-31", "--factor", "sex:spline",
        "--output", str(tmp_path / "model.json"),
    ]  # fmt: skip
    assert main(arguments) == 1
    assert "--factor sex:spline" in capsys.readouterr().err


@pytest.mark.parametrize("method", METHODS)
def test_without_a_factor_each_child_has_the_chance_of_all(method, rows):
    model = read(fit(rows, [], method, _head()))
    share = sum(rows.known().event) / len(rows.known().child)
    assert model.chance({}) == pytest.approx(share, abs=0.01)
    assert float(model.parameters.discrimination.apparent) == 0.5
    assert model.parameters.discrimination.cross_validated is None
    assert model.parameters.calibration.slope is None
