"""One hospital's VLAD and risk-adjusted CUSUM, from outcome rows to what the command prints."""

import csv
import json
from datetime import date
from functools import cache

import numpy as np
import pytest
from scipy.special import expit

import outcome_engine
from fhir_server.__main__ import main
from outcome_engine import civil
from outcome_engine.case_mix.fit import Head, Wanted, fit
from outcome_engine.case_mix.model import read
from outcome_engine.case_mix.monitored import monitor
from outcome_engine.case_mix.rows import read as read_rows
from r4.issue import FhirError
from r4.json import encode

MEASURE = "https://csor.example/fhir/Measure/hirschsprung-core-outcome"
START, UNTIL = date(2018, 1, 1), date(2020, 12, 31)
FIRST = START.toordinal() - civil.EPOCH
USUAL, WORSE_LATER = "H0", "H1"
"""A hospital that does as expected, and one where the odds of a bad outcome are 6 times from 2019 on."""
LATER = 365


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng = np.random.default_rng(8)
    file = tmp_path_factory.mktemp("monitored") / "outcomes.csv"
    rows = []
    for number in range(1500):
        hospital, day = f"H{number % 5}", int(rng.integers(0, 2 * LATER))
        trisomy = bool(rng.random() < 0.2)
        worse = hospital == WORSE_LATER and day >= LATER
        bad = rng.random() < expit(-2 + 1.2 * trisomy + np.log(6) * worse)
        kind = "not-yet-known" if number % 40 == 1 else "bad" if bad else "good"
        rows.append([f"c{number:04}", hospital, FIRST + day, "true", kind, str(trisomy).lower()])
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(["child", "hospital", "case_day", "due", "class", "factor_trisomy-21"])
        writer.writerows(rows)
    return file


def model_of(table, event):
    canonical = f"{MEASURE}|{outcome_engine.measures()[MEASURE]['version']}"
    head = Head(
        canonical, "1.0.0", "A test (fictitious)", "Simulated.", event, START, date(2018, 12, 31),
        date(2019, 1, 1), date(2027, 12, 31), fictitious=True,
    )  # fmt: skip
    return fit(read_rows(table, event, START, head.until), [Wanted("trisomy-21")], "firth", head)


@pytest.fixture(scope="module")
def draft(table, tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "draft.json"
    file.write_bytes(encode(model_of(table, "bad")))
    return file


@cache
def charts(table, event, hospital, odds_ratio=2, in_control=500):
    rows, model = read_rows(table, event, START, UNTIL), read(model_of(table, event))
    return monitor(rows, model, hospital, odds_ratio=odds_ratio, in_control=in_control)


def test_children_are_charted_in_the_order_of_their_days_and_the_unknown_are_counted(table):
    found = charts(table, "bad", USUAL)
    days = [each.day for each in found.steps]
    assert days == sorted(days)
    assert len(found.steps) == 300
    assert found.not_known == 0
    assert found.steps[-1].vlad == pytest.approx(
        sum(each.chance - each.bad for each in found.steps)
    )
    assert min(each.cusum for each in found.steps) == 0


def test_a_hospital_that_becomes_worse_signals_after_it_has_and_another_does_not(table):
    worse, usual = (
        charts(table, "bad", each, in_control=5000).steps for each in (WORSE_LATER, USUAL)
    )
    first = next(each.day for each in worse if each.signal) - FIRST
    assert LATER <= first < LATER + 180
    assert not any(each.signal for each in usual)


def test_a_model_of_good_outcomes_charts_the_bad_ones_all_the_same(table):
    by_good, by_bad = (charts(table, event, WORSE_LATER) for event in ("good", "bad"))
    assert [each.bad for each in by_good.steps] == [each.bad for each in by_bad.steps]
    assert by_good.steps[-1].vlad == pytest.approx(by_bad.steps[-1].vlad, abs=1e-4)
    assert by_good.limit == pytest.approx(by_bad.limit, abs=1e-3)


def test_a_longer_run_in_control_has_a_higher_limit_and_finds_later(table):
    often, seldom = (charts(table, "bad", USUAL, in_control=each) for each in (500, 5000))
    assert often.limit < seldom.limit
    assert often.out_of_control < seldom.out_of_control < 500


@pytest.mark.parametrize(
    ("hospital", "given", "reason"),
    [
        ("nobody", {}, "nobody has no child in this period whose outcome is known"),
        (USUAL, {"odds_ratio": 1}, "no worsening"),
        (USUAL, {"in_control": 0}, "0 is no number of children until a false signal"),
        (USUAL, {"in_control": 1}, "no limit gives a run length of 1 children"),
    ],
)
def test_what_cannot_be_charted_is_refused(table, hospital, given, reason):
    with pytest.raises(FhirError, match=reason):
        charts(table, "bad", hospital, **given)


def command(table, model, *given):
    return [
        "case-mix", "monitor", str(table), "--model", str(model), "--hospital", WORSE_LATER,
        "--from", START.isoformat(), "--until", UNTIL.isoformat(), *given,
    ]  # fmt: skip


def test_the_command_tells_the_charts_and_writes_them_child_by_child(
    table, draft, tmp_path, capsys
):
    for name in ("charts.csv", "charts.json"):
        assert main(command(table, draft, "--draft", "--output", str(tmp_path / name))) == 0
    told = capsys.readouterr().out
    assert told.startswith("ILLUSTRATIVE")
    for words in ("DRAFT", "not for publication", "VLAD: -", "CUSUM", "500 if all is as expected",
                  "Signal on 2019-", "38 children are left out"):  # fmt: skip
        assert words in told, words
    written = json.loads((tmp_path / "charts.json").read_bytes())
    with (tmp_path / "charts.csv").open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [each["child"] for each in rows] == [each["child"] for each in written["steps"]]
    first = next(each for each in written["steps"] if each["signal"])
    assert f"Signal on {first['day']}" in told
    assert first["cusum"] > written["limit"]


def test_the_command_refuses_an_unsigned_model_and_another_kind_of_file(table, draft, capsys):
    assert main(command(table, draft)) == 1
    assert "carries no signature" in capsys.readouterr().err
    assert main(command(table, draft, "--draft", "--output", "charts.txt")) == 1
    assert ".csv or .json" in capsys.readouterr().err
