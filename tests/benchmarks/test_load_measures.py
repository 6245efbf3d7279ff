"""The load generator: the same bytes for every server, and figures that mean what they say."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks import snomed_shaped
from benchmarks.load import children, codes, loads, report, targets
from benchmarks.load.__main__ import options
from benchmarks.load.driving import Figures, Spent
from benchmarks.load.seeding import Ingest, Sample
from fhir_server.store.concepts.releases import Systems
from r4.json import decode
from terminology import Terminology
from tests.support.databases import opened
from tests.support.releases import load, release

FIRST_HUNDRED = "45dc"


def test_every_server_is_sent_the_same_bytes() -> None:
    sent = hashlib.sha256()
    for number in range(100):
        sent.update(children.patient(number))
        for turn in range(children.due(number)):
            sent.update(children.observation(number, str(number), turn))
    assert sent.hexdigest()[: len(FIRST_HUNDRED)] == FIRST_HUNDRED


def test_a_registry_of_100_000_children_holds_more_than_a_million_observations() -> None:
    assert sum(children.due(number) for number in range(100_000)) == 1_250_000


def test_each_observation_that_is_due_is_sent_once_and_a_bundle_mixes_children() -> None:
    bundles = children.observations_of(range(400, 1000))
    sent = Counter(each for bundle in bundles for each in bundle)
    assert sent == Counter((n, turn) for n in range(400, 1000) for turn in range(children.due(n)))
    assert all(len({child for child, _ in bundle}) > 90 for bundle in bundles)


def test_family_and_birth_date_mean_one_child_at_every_size() -> None:
    found: Counter[tuple[str, str]] = Counter()
    for number in range(20_000):
        patient = json.loads(children.patient(number))
        found[patient["name"][0]["family"], patient["birthDate"]] += 1
    assert set(found.values()) == {1}


def test_a_bundle_is_json_that_creates_each_resource() -> None:
    bundle = children.bundle([children.observation(3, "x", 1)] * 2, b"Observation")
    read = decode(bundle)
    assert [entry["request"]["url"] for entry in read["entry"]] == ["Observation"] * 2
    assert read["entry"][0]["resource"]["subject"]["reference"] == "Patient/x"


def test_ingest_compares_its_first_and_last_ten_seconds() -> None:
    quick = [Sample(n * 100, 100, 1.0) for n in range(1, 13)]
    slow = [Sample(1200 + n * 50, 50, 1.0) for n in range(1, 13)]
    ingest = Ingest(quick + slow)
    assert (ingest.first, ingest.last, ingest.ratio) == (100.0, 50.0, 0.5)
    assert Ingest(quick).ratio is None


def _figures(name: str, latencies: list[float], errors: int = 0) -> Figures:
    spent = Spent(2.0, 1.0, 0.5)
    return Figures(name, 1, latencies, 0, 0, Counter({"500": errors} if errors else {}), spent)


def test_in_the_median_of_the_mix_every_search_weighs_the_same() -> None:
    mix = {
        "often": _figures("often", [0.001] * 1000),
        "seldom": _figures("seldom", [0.004] * 10),
        "slow": _figures("slow", [0.009] * 20),
    }
    slower = {**mix, "seldom": _figures("seldom", [0.008] * 10)}
    grown: dict[str, Any] = report.growth({100: mix, 200: slower})
    assert grown["p50_ms"]["the mix"] == [4.0, 8.0]
    assert grown["ratio_last_to_first"] == {"often": 1, "seldom": 2, "slow": 1, "the mix": 2}


def test_each_figure_stands_beside_its_target_and_reads_have_another_on_sqlite() -> None:
    found = {
        "loads": {
            loads.READ: {"requests_per_second": 7000.0},
            loads.RACE: {"errors": {"500": 2}},
        },
        "growth": {
            "p50_ms": {loads.SEARCH: [1, 2], loads.COUNT: [1, 6]},
            "ratio_last_to_first": {"the mix": 1.2},
        },
        "ingest": {"first_10_s": 9.0, "last_10_s": 9.0, "ratio_last_to_first": None},
    }
    beside = {row["figure"]: row for row in targets.beside({"sqlite": found, "postgresql": found})}
    reads = beside["reads/s, 32 connections"]
    assert (reads["sqlite"]["met"], reads["postgresql"]["met"]) == (False, True)
    assert beside["count by code, p50 ms alone"]["sqlite"]["met"] is False
    assert beside["conditional-create race, errors"]["sqlite"] == {
        "value": 2.0,
        "target": "<= 0",
        "met": False,
    }
    assert beside["ingest, last / first"]["sqlite"]["met"] is None
    assert "MISSED" in targets.table(list(beside.values()), ("sqlite", "postgresql"))


def test_quick_is_a_start_that_other_options_change() -> None:
    assert options(["--quick"]).patients == (200, 1000)
    assert options(["--quick", "--databases", "sqlite"]).databases == ("sqlite",)
    assert options([]).patients == (1000, 10_000, 100_000)


@pytest.mark.parametrize("wrong", [["--databases", "oracle"], ["--patients", "1000,10"]])
def test_options_that_mean_nothing_are_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        options(wrong)


def test_each_code_that_is_to_be_checked_has_the_answer_that_the_terminology_gives(
    tmp_path: Path,
) -> None:
    shape = snomed_shaped.write(tmp_path / "release", 120)
    where = str(tmp_path / "csor.db")
    load(where, release(tmp_path / "release"))
    asked = codes.questions(shape)
    assert Counter(each.result for each in codes.questions(None)).keys() == {True, False}
    assert {(each.value_set is None, each.display is None, each.result) for each in asked} >= {
        (True, True, True), (True, True, False), (True, False, True), (True, False, False),
        (False, True, True), (False, True, False),
    }  # fmt: skip
    with opened(where) as database:
        terminology = Terminology.load(Systems(database))
        for each in asked:
            coding = {"system": each.system, "code": each.code}
            if each.display is not None:
                coding["display"] = each.display
            assert terminology.check(each.value_set, coding).result is each.result, each


def test_an_answer_that_is_wrong_is_no_right_one() -> None:
    true = b'{"resourceType":"Parameters","parameter":[{"name":"result","valueBoolean": true}]}'
    assert codes.is_right(true, result=True)
    assert not codes.is_right(true, result=False)
    assert not codes.is_right(true.replace(b"true", b"false"), result=True)
    assert not codes.is_right(b'{"resourceType":"OperationOutcome"}', result=False)
