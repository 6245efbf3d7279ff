"""Summary reports as a table, for those who analyse them: CSV and Apache Parquet.

One row a report (the nation, a hospital, a Group), stratum and population; the score and its interval are
repeated on the populations that they are computed from. Nothing is in it that the reports do not say:
what they mask is masked.
https://parquet.apache.org/docs/file-format/ and https://www.rfc-editor.org/rfc/rfc4180
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from io import BytesIO, StringIO
from typing import Any, Literal

from outcome_engine.extensions import EXTENSION
from outcome_engine.reports.groups import HOSPITAL, stratum_of
from r4.json import Resource

Kind = Literal["text", "integer", "decimal", "boolean"]
Row = dict[str, str | int | bool | Decimal | None]

COLUMNS: Mapping[str, Kind] = {
    "measure": "text",
    "period_start": "text",
    "period_end": "text",
    "snapshot": "text",
    "illustrative": "boolean",
    "about": "text",
    "group": "text",
    "stratifier": "text",
    "stratum": "text",
    "population": "text",
    "count": "integer",
    "quantity": "decimal",
    "masked": "boolean",
    "score": "decimal",
    "interval_method": "text",
    "interval_level": "decimal",
    "interval_lower": "decimal",
    "interval_upper": "decimal",
}
"""The columns in order. `about` is `national`, the reference of a hospital, or a Group's; `quantity` is a
count that is no whole number: what is expected."""
_PLACES = Decimal("0.000001")
_DIGITS = 18
_INTERVAL = EXTENSION + "outcome-interval"


def rows(reports: Iterable[Resource]) -> Iterator[Row]:
    """Yield the rows of summary MeasureReports, in the order of the reports."""
    for report in reports:
        whole = _whole(report)
        for group in report["group"]:
            of_group: Row = {**whole, "group": group["id"], "stratifier": None, "stratum": None}
            yield from _counted(of_group, group)
            for stratifier in group.get("stratifier", ()):
                code = stratifier["code"][0]["coding"][0]["code"]
                for stratum in stratifier["stratum"]:
                    about: Row = {"stratifier": code, "stratum": stratum_of(stratum)}
                    yield from _counted({**of_group, **about}, stratum)


def as_csv(table: Iterable[Row]) -> bytes:
    """Write rows as CSV in UTF-8 with a header; what is absent is an empty field."""
    text = StringIO()
    writer = csv.DictWriter(text, list(COLUMNS))
    writer.writeheader()
    for row in table:
        writer.writerow({name: _text(row[name]) for name in COLUMNS})
    return text.getvalue().encode()


def as_parquet(table: Iterable[Row]) -> bytes:
    """Write rows as one Parquet file; decimals have six places, what is absent is NULL."""
    import pyarrow  # noqa: PLC0415 - heavy, and of no use to a server that only writes FHIR
    from pyarrow import parquet  # noqa: PLC0415

    kinds = {
        "text": pyarrow.string(),
        "integer": pyarrow.int64(),
        "decimal": pyarrow.decimal128(_DIGITS, -int(_PLACES.as_tuple().exponent)),
        "boolean": pyarrow.bool_(),
    }
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    listed = [{name: _placed(row[name]) for name in COLUMNS} for row in table]
    file = BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(listed, schema=schema), file)
    return file.getvalue()


def _whole(report: Resource) -> Row:
    parts = {each["url"]: each for each in report["extension"]}
    made = parts.get(EXTENSION + "report-provenance", {}).get("extension", ())
    hospital = parts.get(HOSPITAL, {}).get("valueReference", {}).get("reference")
    subject = report.get("subject", {})
    return {
        "measure": report["measure"],
        "period_start": report["period"]["start"],
        "period_end": report["period"]["end"],
        "snapshot": next((e["valueInstant"] for e in made if e["url"] == "snapshot"), None),
        "illustrative": EXTENSION + "report-illustrative" in parts,
        "about": hospital or subject.get("reference") or subject.get("display") or "national",
    }


def _counted(about: Row, counted: Resource) -> Iterator[Row]:
    score = counted.get("measureScore", {})
    found: Row = {**about, "score": score.get("value"), **_interval(score, counted)}
    for population in counted["population"]:
        code = population["code"]["coding"][0]["code"]
        count, quantity = population.get("count"), _quantity(population)
        masked = count is None and quantity is None
        yield {**found, "population": code, "count": count, "quantity": quantity, "masked": masked}


def _quantity(population: Resource) -> Decimal | None:
    """Return a count that is no whole number: what is expected of a case-mix."""
    extensions = population.get("extension", ())
    found = (e["valueQuantity"]["value"] for e in extensions if "valueQuantity" in e)
    return next(found, None)


def _interval(*places: Resource) -> Row:
    listed = (each for place in places for each in place.get("extension", ()))
    found = next((each["extension"] for each in listed if each["url"] == _INTERVAL), ())
    parts = {part["url"]: _value(part) for part in found}
    return {f"interval_{name}": parts.get(name) for name in ("method", "level", "lower", "upper")}


def _value(part: Resource) -> Any:
    return next(value for key, value in part.items() if key.startswith("value"))


def _text(value: str | int | bool | Decimal | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _placed(value: str | int | bool | Decimal | None) -> str | int | bool | Decimal | None:
    return value.quantize(_PLACES) if isinstance(value, Decimal) else value


TABLES: Mapping[str, Callable[[Iterable[Row]], bytes]] = {
    "text/csv": as_csv,
    "application/vnd.apache.parquet": as_parquet,
}
"""How rows are written, by media type."""
