"""Hospitals compared by the Treatment Success Score, from outcome rows to what the command prints.

With the fictitious parameters a score is (utility + 4) / 10, and good from 0.6 on.
"""

import csv
from datetime import date
from importlib.resources import files

import numpy as np
import pytest

from fhir_server.__main__ import main
from outcome_engine.case_mix.scored import ScoredRow, expected, preferences, read
from outcome_engine.parameter_files.form import unsigned
from outcome_engine.parameter_files.treatment_success import TreatmentSuccessFile
from outcome_engine.parameter_files.treatment_success_form import ATTRIBUTES
from r4.json import decode

DRAFT = files("outcome_engine") / "parameters" / "illustrative" / "treatment-success-score.json"
PARAMETERS = unsigned(TreatmentSuccessFile, decode(DRAFT.read_bytes()))
DAY = 17600
PERIOD = ["--from", "2018-01-01", "--until", "2018-12-31"]
BEST = dict.fromkeys(ATTRIBUTES, 0) | {"quality-of-life": 100_000_000, "survival": 365}
WORSE, USUAL, ALONE = "Organization/h3", "Organization/h1", "Organization/h0"


def row(hospital, condition="gastroschisis", **changed):
    attributes = BEST | {name.replace("_", "-"): value for name, value in changed.items()}
    found = PARAMETERS.scored(attributes)
    return ScoredRow(hospital, condition, None if found is None else found.micro, attributes)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(4)
    found = []
    for number in range(300):
        hospital = f"Organization/h{number % 6}"
        condition = "gastroschisis" if rng.random() < 0.5 else "posterior-urethral-valves"
        infections = int(rng.binomial(3, 0.3) + 3 * (hospital == WORSE))
        life = int(rng.integers(0, 101)) * 1_000_000 if condition == "gastroschisis" else 10_000_000
        found.append(row(hospital, condition, infections=infections, quality_of_life=life))
    found += [row(ALONE, "rare"), row(ALONE, "rare", infections=1)]
    return (*found, row(USUAL, survival=None))


@pytest.fixture(scope="module")
def table(rows, tmp_path_factory):
    file = tmp_path_factory.mktemp("scored") / "outcomes.csv"
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        names = [f"attribute_{name}" for name in ATTRIBUTES]
        writer.writerow(
            ["child", "hospital", "condition", "case_day", "due", "class", "score", *names]
        )
        for number, each in enumerate(rows):
            values = [each.attributes[name] for name in ATTRIBUTES]
            writer.writerow(
                [number, each.hospital, each.condition, DAY, "true", "", each.score, *values]
            )
    return file


def test_rows_are_read_as_they_were_written(rows, table):
    assert read(table, date(2018, 1, 1), date(2018, 12, 31)) == rows
    with pytest.raises(ValueError, match="no score of a child in this period"):
        read(table, date(2019, 1, 1), date(2019, 12, 31))


def test_of_each_child_the_mean_of_its_condition_is_expected():
    found = expected(
        (row("A"), row("B", infections=2), row("A", "atresia", infections=1), row("B", "atresia"))
    )
    # By hand: 1 and 0.9, mean 0.95; 0.95 and 1, mean 0.975.
    assert [each.observed for each in found.hospitals] == [[1.0, 0.95], [0.9, 1.0]]
    assert [each.expected for each in found.hospitals] == [[0.95, 0.975]] * 2
    assert not found.alone


def test_a_condition_that_one_hospital_alone_has_compares_nothing_and_is_left_out(rows):
    found = expected(rows)
    assert found.alone == {ALONE: 2}
    assert sum(len(each.observed) for each in found.hospitals) == len(rows) - 2
    assert sum(each.observed.count(None) for each in found.hospitals) == 1


def test_a_child_at_the_cut_could_flip_and_one_far_from_it_could_not():
    # 0 + 3 - 2 * 0.5 = 2: a score of exactly 0.6, the cut.
    near, far = row("A", quality_of_life=0, infections=2), row("B")
    assert near.score == 600_000
    found = preferences((near, far), PARAMETERS, 0.95)
    assert (found["A"].good_could_flip, found["B"].good_could_flip) == (1.0, 0.0)


def test_the_interval_of_a_difference_is_that_of_what_children_differ_by():
    one, other = row("A", infections=2), row("B")
    found = preferences((one, other), PARAMETERS, 0.95)
    # Infections, -0.5 each with variance 0.0025: half of 2 * -0.5 / 10, and the draws about it.
    lower, upper = found["A"].difference
    assert (lower + upper) / 2 == pytest.approx(-0.05, abs=0.003)
    assert upper - lower == pytest.approx(2 * 1.96 * 0.05 / 10, rel=0.3)
    assert found["B"].difference == pytest.approx((-upper, -lower))
    alike = preferences((row("A"), row("B")), PARAMETERS, 0.95)
    assert alike["A"].difference == pytest.approx((0, 0), abs=1e-12)


def test_scores_of_other_parameters_and_rows_without_attributes_are_refused():
    other = ScoredRow("A", "gastroschisis", 1, BEST)
    with pytest.raises(ValueError, match="computed with other parameters"):
        preferences((other, row("B")), PARAMETERS, 0.95)
    bare = ScoredRow("A", "gastroschisis", 1_000_000, {})
    with pytest.raises(ValueError, match="no column attribute_"):
        preferences((bare, row("B")), PARAMETERS, 0.95)


def test_the_command_tells_what_is_not_adjusted_for_and_finds_who_scores_less(table, capsys):
    assert main(["case-mix", "compare-scores", str(table), *PERIOD]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Not adjusted for case-mix: ")
    worse = told.partition(WORSE)[2].partition("Organization/")[0]
    assert "Alarm, worse than expected" in worse
    assert "A true shortfall of" in worse
    assert "Reliability" in worse
    assert "1 scores are not known" in told.partition(USUAL)[2].partition("Organization/")[0]
    assert f"{ALONE}: 2 children are left out" in told
    assert "could flip" not in told
    assert main(["case-mix", "compare-scores", str(table), *PERIOD, "--skew"]) == 0
    assert capsys.readouterr().out != told


def test_with_the_parameters_the_command_tells_who_could_flip(table, capsys):
    arguments = ["case-mix", "compare-scores", str(table), *PERIOD, "--parameters", str(DRAFT)]
    assert main(arguments) == 1
    assert "carries no signature" in capsys.readouterr().err
    assert main([*arguments, "--draft"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("ILLUSTRATIVE")
    assert "DRAFT" in told
    assert told.count("could flip between good and not good") == 6
