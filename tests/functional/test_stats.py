"""$stats: https://hl7.org/fhir/R4/observation-operation-stats.html."""

import statistics
from decimal import Decimal
from typing import Any

import pytest

from r4.json import decode
from tests.support.server import Served

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
WEIGHTS = ("3.20", "3.40", "3.90", "4.10", "5.00")


def quantity(value: str, unit: str, **more: str) -> dict[str, Any]:
    return {"value": float(value), "unit": unit, "system": UCUM, "code": unit, **more}


def coded(code: str) -> dict[str, Any]:
    return {"coding": [{"system": LOINC, "code": code}]}


@pytest.fixture(scope="module")
def child(server: Served) -> str:
    key = str(server.http.post("/Patient", json={"resourceType": "Patient"}).json()["id"])
    bodies: list[dict[str, Any]] = [
        {
            "code": coded("weight"),
            "effectiveDateTime": f"2021-0{month}-01",
            "valueQuantity": quantity(w, "kg"),
        }
        for month, w in enumerate(WEIGHTS, 1)
    ]
    bodies += [
        {"code": coded("weight"), "dataAbsentReason": {"text": "cried"}},
        {
            "code": coded("weight"),
            "status": "entered-in-error",
            "valueQuantity": quantity("99", "kg"),
        },
        {"code": coded("dose"), "valueQuantity": quantity("5", "mg")},
        {"code": coded("dose"), "valueQuantity": quantity("0.007", "g")},
        {"code": coded("dose"), "valueQuantity": quantity("1", "mg", comparator="<")},
        {
            "code": coded("pressure"),
            "component": [
                {"code": coded("systolic"), "valueQuantity": quantity("80", "mm[Hg]")},
                {"code": coded("diastolic"), "valueQuantity": quantity("50", "mm[Hg]")},
            ],
        },
    ]
    for body in bodies:
        whole = {
            "resourceType": "Observation",
            "status": "final",
            "subject": {"reference": f"Patient/{key}"},
            **body,
        }
        answer = server.http.post("/Observation", json=whole)
        assert answer.status_code == 201, answer.text
    return key


def told(answer: Any) -> dict[str, dict[str, Any]]:
    """Map each code to the statistics of it: number (None where it is absent) by code."""
    assert answer.status_code == 200, answer.text
    found = {}
    for parameter in decode(answer.content)["parameter"]:
        if parameter["name"] == "statistics":
            observation = parameter["resource"]
            found[observation["code"]["coding"][0]["code"]] = {
                each["code"]["coding"][0]["code"]: each.get("valueQuantity", {}).get("value")
                for each in observation["component"]
            }
    return found


def test_statistics_of_one_code(server: Served, child: str) -> None:
    asked = (
        "average", "maximum", "minimum", "count", "total-count", "median", "sum", "std-dev",
        "variance", "20-percent", "80-percent", "4-lower", "4-upper", "4-dev", "5-1", "5-4",
    )  # fmt: skip
    names = "&".join(f"statistic={name}" for name in asked)
    url = f"/Observation/$stats?subject=Patient/{child}&code=weight&system={LOINC}&{names}"
    found = told(server.http.get(url))["weight"]
    numbers = [Decimal(each) for each in WEIGHTS]
    quartiles = statistics.quantiles(numbers, n=4, method="inclusive")
    fifths = statistics.quantiles(numbers, n=5, method="inclusive")
    expected = {
        "average": statistics.mean(numbers),
        "maximum": 5,
        "minimum": Decimal("3.2"),
        "count": 5,
        "total-count": 6,
        "median": statistics.median(numbers),
        "sum": sum(numbers),
        "variance": statistics.variance(numbers),
        "20-percent": fifths[0],
        "80-percent": fifths[3],
        "4-lower": quartiles[0],
        "4-upper": quartiles[2],
        "4-dev": (quartiles[2] - quartiles[0]) / 2,
        "5-1": fifths[0],
        "5-4": fifths[3],
    }
    assert float(found.pop("std-dev")) == pytest.approx(float(statistics.stdev(numbers)))
    assert found == expected


def post(server: Served, *parameters: dict[str, Any]) -> Any:
    body = {"resourceType": "Parameters", "parameter": list(parameters)}
    return server.http.post("/Observation/$stats", json=body)


def test_units_of_one_kind_are_counted_together(server: Served, child: str) -> None:
    found = told(
        post(
            server,
            {"name": "subject", "valueUri": f"Patient/{child}"},
            {"name": "coding", "valueCoding": {"system": LOINC, "code": "dose"}},
            {"name": "statistic", "valueCode": "max"},
            {"name": "statistic", "valueCode": "count"},
            {"name": "statistic", "valueCode": "total-count"},
        )
    )
    assert found == {"dose": {"maximum": Decimal("0.007"), "count": 2, "total-count": 3}}


def test_a_panel_is_told_by_its_components(server: Served, child: str) -> None:
    url = f"/Observation/$stats?subject={child}&coding={LOINC}|pressure&statistic=average"
    found = told(server.http.get(url + "&statistic=variance"))
    assert found == {
        "systolic": {"average": 80, "variance": None},
        "diastolic": {"average": 50, "variance": None},
    }
    one = f"/Observation/$stats?subject={child}&coding={LOINC}|systolic&statistic=average"
    assert told(server.http.get(one)) == {"systolic": {"average": 80}}


def test_a_period_and_the_sources(server: Served, child: str) -> None:
    answer = post(
        server,
        {"name": "subject", "valueUri": f"Patient/{child}"},
        {"name": "code", "valueString": "weight"},
        {"name": "system", "valueUri": LOINC},
        {"name": "period", "valuePeriod": {"start": "2021-02-01", "end": "2021-04-30"}},
        {"name": "statistic", "valueCode": "count"},
        {"name": "include", "valueBoolean": True},
        {"name": "limit", "valuePositiveInt": 2},
    )
    assert told(answer) == {"weight": {"count": 3}}
    parts = answer.json()["parameter"]
    assert parts[0]["resource"]["effectivePeriod"] == {"start": "2021-02-01", "end": "2021-04-30"}
    sources = [each["resource"] for each in parts if each["name"] == "source"]
    assert [each["effectiveDateTime"] for each in sources] == ["2021-04-01", "2021-03-01"]


def test_a_duration_ends_now(server: Served, child: str) -> None:
    url = f"/Observation/$stats?subject={child}&coding={LOINC}|weight&statistic=count"
    assert told(server.http.get(url + "&duration=1")) == {}
    assert told(server.http.get(url + "&duration=1000000")) == {"weight": {"count": 5}}


@pytest.mark.parametrize(
    "query",
    [
        "coding=l|x&statistic=count",
        "subject={}&statistic=count",
        "subject={}&coding=l|x",
        "subject={}&coding=l|x&statistic=kurtosis",
        "subject={}&code=x&statistic=count",
        "subject={}&coding=x&statistic=count",
        "subject={}&coding=l|x&statistic=count&duration=x",
        "subject={}&coding=l|x&statistic=count&duration=1e30",
        "subject={}&coding=l|x&statistic=count&period=2020",
        "subject={}&coding=l|x&statistic=count&include=x",
        "subject={}&coding=l|x&statistic=count&include=true&limit=0",
        "subject={}&coding=l|x&statistic=count&nothing=x",
        "subject={}&subject=b&coding=l|x&statistic=count",
    ],
)
def test_refuses(server: Served, child: str, query: str) -> None:
    assert server.http.get(f"/Observation/$stats?{query.format(child)}").status_code == 400
