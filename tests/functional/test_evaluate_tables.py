"""The numbers of summaries as CSV and as Parquet: those of the MeasureReports, and no others."""

import csv
from collections.abc import Iterator
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from pyarrow import parquet

from outcome_engine.reports.groups import stratum_of
from outcome_engine.reports.table import COLUMNS
from tests.functional.test_evaluate import MEASURE, Resource, keep
from tests.functional.test_evaluate_reports import YEARS, children
from tests.support.returned import reports
from tests.support.server import Served, served

GIVEN = {"measureUrl": MEASURE, **YEARS}
PARQUET = "application/vnd.apache.parquet"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A registry of twelve fictitious children at two hospitals: some counts are masked, some are not."""
    with served(tmp_path_factory.mktemp("registry")) as running:
        keep(running.context.database, *children())
        yield running


def extension(element: Resource, name: str) -> dict[str, Any]:
    found = [e for e in element.get("extension", []) if e["url"].endswith(f"/{name}")]
    listed = found[0]["extension"] if found else []
    return {p["url"]: next(v for k, v in p.items() if k.startswith("value")) for p in listed}


def said(found: list[Resource]) -> Iterator[tuple[Any, ...]]:
    """Yield what the reports say, read from them anew: by report, stratum and population."""
    for report in found:
        place = extension({"extension": report["extension"]}, "report-provenance")
        about = [
            e["valueReference"]["reference"] for e in report["extension"] if "valueReference" in e
        ]
        (group,) = report["group"]
        places = [(None, None, group)]
        for stratifier in group["stratifier"]:
            code = stratifier["code"][0]["coding"][0]["code"]
            places += [(code, stratum_of(each), each) for each in stratifier["stratum"]]
        for code, stratum, counted in places:
            score = counted.get("measureScore", {})
            limits = extension(score, "outcome-interval") or extension(counted, "outcome-interval")
            for population in counted["population"]:
                yield (
                    place["measure"], about[0] if about else "national", code, stratum,
                    population["code"]["coding"][0]["code"], population.get("count"),
                    number(score.get("value")), limits.get("method"),
                    number(limits.get("lower")), number(limits.get("upper")),
                )  # fmt: skip


def number(value: float | Decimal | None) -> Decimal | None:
    return None if value is None else Decimal(str(value)).quantize(Decimal("0.0001"))


CHOSEN = ("measure", "about", "stratifier", "stratum", "population", "count", "score",
          "interval_method", "interval_lower", "interval_upper")  # fmt: skip
DECIMALS = {name for name, kind in COLUMNS.items() if kind == "decimal"}


def read(row: dict[str, Any]) -> tuple[Any, ...]:
    found = {name: None if row[name] in ("", None) else row[name] for name in CHOSEN}
    found["count"] = None if found["count"] is None else int(found["count"])
    return tuple(number(found[name]) if name in DECIMALS else found[name] for name in CHOSEN)


@pytest.mark.parametrize(
    "way", [{"params": {"_format": "csv"}}, {"headers": {"Accept": "text/csv"}}]
)
def test_csv_is_what_the_reports_say(registry: Served, way: dict[str, Any]) -> None:
    params = {**GIVEN, **way.get("params", {})}
    answer = registry.http.get("/Measure/$evaluate", params=params, headers=way.get("headers"))
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/csv")
    listed = list(csv.DictReader(answer.text.splitlines()))
    assert list(listed[0]) == list(COLUMNS)
    expected = list(said(reports(registry.http.get("/Measure/$evaluate", params=GIVEN))))
    assert [read(row) for row in listed] == expected
    assert {row["masked"] for row in listed} == {"true", "false"}
    assert all((row["masked"] == "true") == (row["count"] == "") for row in listed)
    assert any(row["score"] for row in listed)


@pytest.mark.parametrize("format", ["parquet", PARQUET])
def test_parquet_is_what_the_reports_say(registry: Served, format: str) -> None:
    answer = registry.http.get("/Measure/$evaluate", params={**GIVEN, "_format": format})
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == PARQUET
    table = parquet.read_table(BytesIO(answer.content))
    assert table.column_names == list(COLUMNS)
    expected = list(said(reports(registry.http.get("/Measure/$evaluate", params=GIVEN))))
    assert [read(row) for row in table.to_pylist()] == expected


def test_a_table_names_no_child_and_is_of_summaries(registry: Served) -> None:
    for kind in ("individual", "subject-list"):
        params = {**GIVEN, "reportType": kind, "_format": "csv"}
        answer = registry.http.get("/Measure/$evaluate", params=params)
        assert answer.status_code == 400
        assert answer.json()["issue"][0]["expression"] == ["Parameters.parameter('reportType')"]
    text = registry.http.get("/Measure/$evaluate", params={**GIVEN, "_format": "csv"}).text
    assert "Patient/" not in text


def test_a_post_which_stores_reports_answers_in_fhir(registry: Served) -> None:
    answer = registry.http.post("/Measure/$evaluate", params={**GIVEN, "_format": "csv"})
    assert answer.status_code == 406
