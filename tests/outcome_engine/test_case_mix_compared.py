"""From outcome rows and a model to hospitals compared with what is expected of their own children."""

import csv
import json
from copy import deepcopy
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from scipy.special import expit

import outcome_engine
from fhir_server.__main__ import main
from outcome_engine.batch.columns import names
from outcome_engine.case_mix.compared import hospitals, policy
from outcome_engine.case_mix.factors import require_baseline
from outcome_engine.case_mix.fit import Head, Wanted, fit
from outcome_engine.case_mix.model import read
from outcome_engine.case_mix.rows import read as read_rows
from outcome_engine.comparison.hospitals import compare
from outcome_engine.comparison.policy import CONVENTIONS
from outcome_engine.definitions.definition import definition
from outcome_engine.definitions.reader import read as read_definition
from outcome_engine.extensions import several
from outcome_engine.parameter_files.signature import entry, sign
from r4.issue import FhirError
from r4.json import encode
from tests.outcome_engine.signing import KEY

MEASURE = "https://csor.example/fhir/Measure/hirschsprung-core-outcome"
GASTROSCHISIS = "https://csor.example/fhir/Measure/gastroschisis-survival"
START, UNTIL = date(2015, 1, 1), date(2019, 12, 31)
SICKER, WORSE = "H00", "H01"
"""A hospital whose children are at greater risk, and one that does worse than others would."""


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng = np.random.default_rng(31)
    file = tmp_path_factory.mktemp("compared") / "outcomes.csv"
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(
            [
                "child",
                "hospital",
                "case_day",
                "due",
                "class",
                "factor_trisomy-21",
                "factor_gestation",
            ]
        )
        for number in range(3000):
            hospital = f"H{number % 10:02}"
            trisomy = rng.random() < (0.6 if hospital == SICKER else 0.1)
            weeks = int(rng.integers(30, 41))
            predictor = -1.5 + 1.6 * trisomy - 0.1 * (weeks - 35) + 1.2 * (hospital == WORSE)
            kind = "bad" if rng.random() < expit(predictor) else "good"
            kind = "not-yet-known" if rng.random() < 0.05 else kind
            seen = "" if number % 50 == 0 else str(weeks)
            day = 16500 + number % 1700
            writer.writerow([number, hospital, day, "true", kind, str(trisomy).lower(), seen])
    return file


@pytest.fixture(scope="module")
def file(table):
    canonical = f"{MEASURE}|{outcome_engine.measures()[MEASURE]['version']}"
    head = Head(
        canonical, "1.0.0", "A test (fictitious)", "Simulated.", "bad", START, UNTIL,
        date(2019, 1, 1), date(2027, 12, 31), fictitious=True,
    )  # fmt: skip
    wanted = [Wanted("trisomy-21"), Wanted("gestation", missing="refuse")]
    return fit(read_rows(table, "bad", START, UNTIL), wanted, "firth", head)


@pytest.fixture(scope="module")
def model(file):
    return read(file)


@pytest.fixture(scope="module")
def rows(table):
    return read_rows(table, "bad", START, UNTIL)


def test_every_child_is_with_its_hospital_once_or_left_out_and_counted(rows, model):
    found = hospitals(rows, model)
    assert [each.id for each in found.hospitals] == [f"H{number:02}" for number in range(10)]
    predicted = sum(len(each.observed) for each in found.hospitals)
    left_out = sum(found.not_predicted.values())
    assert predicted + left_out == len(rows.child)
    assert left_out == rows.factors["gestation"].count(None) > 0
    missing = sum(each.observed.count(None) for each in found.hospitals)
    assert missing > 0, "outcomes that are not known are handed on, with their risk"


def test_sicker_children_are_not_held_against_their_hospital_and_worse_results_are(rows, model):
    result = compare(hospitals(rows, model).hospitals, policy(model))
    crude = {each.id: each.observed / each.known for each in result.hospitals}
    position = {each.id: each.position for each in result.hospitals}
    assert set(sorted(crude, key=crude.__getitem__)[-2:]) == {WORSE, SICKER}
    assert position[SICKER].stage == "within"
    assert (position[WORSE].stage, position[WORSE].direction) == ("alarm", "worse")
    assert result.policy.event == "bad"


def test_a_model_of_a_factor_that_the_rows_do_not_have_is_refused(rows, model):
    without = replace(rows, factors={"trisomy-21": rows.factors["trisomy-21"]})
    with pytest.raises(FhirError) as refused:
        hospitals(without, model)
    assert "does not fit the rows: 'gestation'" in refused.value.issues[0].diagnostics


def test_a_comparison_of_another_event_than_good_or_bad_is_refused(file):
    changed = json.loads(encode(file))
    changed["parameters"]["event"] = "amber"
    with pytest.raises(FhirError) as refused:
        policy(read(changed))
    assert "predicts `amber`" in refused.value.issues[0].diagnostics


@pytest.fixture
def signed(file, tmp_path, monkeypatch):
    known = {"keys": [entry(KEY, "Test Signatory", "nobody's", date(2018, 1, 1), date(2030, 1, 1))]}
    (tmp_path / "signatories.json").write_bytes(encode(known))
    monkeypatch.setenv("CSOR_SIGNATORIES", str(tmp_path / "signatories.json"))
    given = tmp_path / "model.json"
    given.write_bytes(encode(sign(file, KEY, date(2019, 6, 1))))
    return given


def test_the_command_compares_by_a_signed_model(table, signed, capsys):
    period = ["--from", "2015-01-01", "--until", "2019-12-31"]
    assert main(["case-mix", "compare", str(table), "--model", str(signed), *period]) == 0
    told = capsys.readouterr().out
    assert told.startswith("ILLUSTRATIVE")
    assert "Alarm, worse than expected" in told
    assert "They are not ranked" in told
    assert "are left out" in told


def test_the_command_refuses_a_model_that_is_not_signed_unless_it_is_asked_for(
    table, file, tmp_path, capsys
):
    draft = tmp_path / "draft.json"
    draft.write_bytes(encode(file))
    arguments = [
        "case-mix", "compare", str(table), "--model", str(draft), "--from", "2015-01-01",
        "--until", "2019-12-31",
    ]  # fmt: skip
    assert main(arguments) == 1
    assert "carries no signature" in capsys.readouterr().err
    assert main([*arguments, "--draft"]) == 0
    assert "DRAFT" in capsys.readouterr().out


def test_the_command_prints_the_rate_the_shrunken_ratio_and_what_is_imputed(table, signed, capsys):
    period = ["--from", "2015-01-01", "--until", "2019-12-31"]
    assert main(["case-mix", "compare", str(table), "--model", str(signed), *period]) == 0
    told = capsys.readouterr().out
    for words in (
        "Rate 0.", "Wilson", "exact", "mid-p", "(shrunken)", "not known imputed", "whatever is missing",
        "Reliability", "of finding this hospital beyond its alert limits", "Between hospitals",
    ):  # fmt: skip
        assert words in told, words


def test_the_command_draws_limits_by_another_programmes_convention_beside_the_exact_ones(
    table, signed, capsys
):
    arguments = [
        "case-mix", "compare", str(table), "--model", str(signed), "--from", "2015-01-01",
        "--until", "2019-12-31",
    ]  # fmt: skip
    for convention in CONVENTIONS:
        assert main([*arguments, "--convention", convention]) == 0
        assert capsys.readouterr().out.count(f"By {convention}: ") == 10


def test_a_factor_that_the_measure_declares_as_a_decimal_is_taken_in_millionths(tmp_path, capsys):
    version = outcome_engine.measures()[GASTROSCHISIS]["version"]
    rng = np.random.default_rng(2)
    table = tmp_path / "outcomes.csv"
    with table.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(["child", "hospital", "case_day", "due", "class", "factor_gestation"])
        for number in range(300):
            kind = "bad" if rng.random() < 0.2 else "good"
            weeks = int(rng.integers(30, 41)) * 10**6
            writer.writerow([number, f"H{number % 3}", 16500, "true", kind, weeks])
    output = tmp_path / "model.json"
    arguments = [
        "case-mix", "fit", str(table), "--measure", f"{GASTROSCHISIS}|{version}", "--version", "1.0.0",
        "--title", "A test (fictitious)", "--description", "Simulated.", "--from", "2015-01-01",
        "--until", "2019-12-31", "--valid-from", "2020-01-01", "--valid-until", "2027-12-31",
        "--method", "ridge", "--fictitious", "--output", str(output),
    ]  # fmt: skip
    assert main(arguments) == 0
    (gestation,) = read(json.loads(output.read_bytes())).parameters.factors
    assert (float(gestation.minimum), float(gestation.maximum)) == (30, 40)
    assert main([*arguments[:4], "https://nowhere.example/Measure/x", *arguments[5:]]) == 1
    assert "There is no measure" in capsys.readouterr().err


def test_every_factor_that_a_measure_declares_is_a_baseline_factor_and_a_column_of_its_rows():
    declared = 0
    for url, measure in outcome_engine.measures().items():
        if several(measure, "outcome-parameters"):
            continue  # it is not read without them, and declares none
        rules = definition(url)
        factors = [fact.id for fact in rules.facts if fact.role == "factor"]
        require_baseline(factors)
        columns = names(rules)
        assert {f"factor_{factor}" for factor in factors} <= set(columns)
        assert {"child", "hospital", "case_day", "due", "class"} <= set(columns)
        declared += len(factors)
    assert declared > 5


def test_a_definition_that_adjusts_for_treatment_is_refused_by_name():
    library = deepcopy(definition(GASTROSCHISIS).library)
    factor = next(
        each for each in library["extension"] if each["url"].endswith("outcome-case-mix-factor")
    )
    id = next(each for each in factor["extension"] if each["url"] == "id")
    id.update({key: "silo" for key in id if key.startswith("value")})
    with pytest.raises(FhirError) as refused:
        read_definition(outcome_engine.measures()[GASTROSCHISIS], library)
    assert "`silo` is refused: it is treatment" in refused.value.issues[0].diagnostics
