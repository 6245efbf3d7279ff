"""Staging: dates become days and moments, decimals millionths, once and for every back end."""

from decimal import Decimal
from typing import Any

import pytest

from outcome_engine import staging
from outcome_engine.staging import Staged, columns, stage
from outcome_engine.views.view import read, view, views
from r4.issue import FhirError
from r4.json import decode
from tests.support.stored import stored_examples

DAY = 86400
_PYTHON = {"text": str, "boolean": bool, "integer": int}


def test_the_staged_columns_of_a_view() -> None:
    assert columns(view("patient")) == (
        Staged("child", "text"),
        Staged("id", "text"),
        Staged("patient", "text"),
        Staged("date", "text"),
        Staged("date__day", "integer"),
        Staged("date__from", "integer"),
        Staged("date__to", "integer"),
        Staged("date__at", "integer"),
        Staged("active", "boolean"),
        Staged("birth_date", "text"),
        Staged("birth_date__day", "integer"),
        Staged("birth_date__from", "integer"),
        Staged("birth_date__to", "integer"),
        Staged("birth_date__at", "integer"),
        Staged("gender", "text"),
        Staged("deceased", "boolean"),
    )
    kinds = {column.name: column.kind for column in columns(view("observation"))}
    assert (kinds["value_decimal"], kinds["value_integer"]) == ("integer", "integer")
    assert kinds["code_system"] == "text"


def test_a_child_s_rows_are_tuples_in_the_order_of_the_columns() -> None:
    resource = decode("""{
      "resourceType": "Observation", "id": "weight", "status": "final",
      "subject": {"reference": "Patient/merged"},
      "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
      "effectiveDateTime": "1970-01-02T01:00:00+01:00",
      "valueQuantity": {"value": 3.2, "code": "kg"}}""")
    [row] = stage(view("observation"), "survivor", [resource, {"resourceType": "Patient"}])
    names = [column.name for column in columns(view("observation"))]
    found = dict(zip(names, row, strict=True))
    assert {name: value for name, value in found.items() if value is not None} == {
        "child": "survivor",
        "id": "weight",
        "patient": "merged",
        "date": "1970-01-02T01:00:00+01:00",
        "date__day": 1,
        "date__from": 1,
        "date__to": 1,
        "date__at": DAY,
        "status": "final",
        "value_decimal": 3_200_000,
        "value_decimal__g": 3_200_000_000,
        "value_number": 3_200_000,
        "value_unit": "kg",
        "code_system": "http://loinc.org",
        "code_code": "29463-7",
    }
    assert stage(view("observation"), "survivor", [resource]) == [row]


@pytest.mark.parametrize("view_id", views())
def test_every_staged_value_is_of_its_kind(view_id: str) -> None:
    staged = stage(view(view_id), "child", stored_examples())
    kinds = [_PYTHON[column.kind] for column in columns(view(view_id))]
    assert staged
    for row in staged:
        assert len(row) == len(kinds)
        assert all(v is None or type(v) is kind for v, kind in zip(row, kinds, strict=True)), row


@pytest.mark.parametrize(
    ("text", "day", "moment"),
    [
        ("1970-01-01", 0, None),
        ("1969-12-31", -1, None),
        ("2000-02-29", 11016, None),
        ("2000-02", None, None),
        ("2000", None, None),
        (None, None, None),
        ("2001-02-29", None, None),
        ("1970-01-01T00:00:00Z", 0, 0),
        ("1970-01-01T00:00:00.999Z", 0, 0),
        ("1969-12-31T23:59:59.5Z", -1, -1),
        ("1970-01-01T00:30:00+01:00", 0, -1800),
        ("1970-01-01T23:30:00-02:00", 0, 23 * 3600 + 1800 + 7200),
        ("2016-12-31T23:59:60Z", 17166, 1483228800),
        ("2020-03-29T01:30:00.123456789+00:00", 18350, 1585445400),
        ("1970-01-01T00:00:00", 0, None),
    ],
)
def test_the_day_is_the_one_written_and_the_moment_that_of_the_zone(
    text: str | None, day: int | None, moment: int | None
) -> None:
    assert staging.day(text) == day
    assert staging.moment(text) == moment


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("1970-01-02T01:00:00+01:00", (1, 1)),
        ("1970-02", (31, 58)),
        ("1972-02", (761, 789)),
        ("1970", (0, 364)),
        ("1970-13", (None, None)),
        ("1970-02-30", (None, None)),
        (None, (None, None)),
    ],
)
def test_the_span_is_every_day_that_a_date_may_mean(text: str | None, span: Any) -> None:
    assert staging.span(text) == span


@pytest.mark.parametrize(
    ("number", "millionths"),
    [
        (None, None),
        (5, 5_000_000),
        (Decimal("0.1"), 100_000),
        (Decimal("-1.50"), -1_500_000),
        (Decimal("0.0000005"), 0),
        (Decimal("0.0000015"), 2),
        (Decimal("0.00000150000000000000000000000000001"), 2),
        (Decimal("0.00000249999999999999999999999999999"), 2),
        (Decimal("1E3"), 1_000_000_000),
        (Decimal("9223372036854.775807"), 2**63 - 1),
        (Decimal("9223372036854.775808"), None),
        (Decimal("1E400"), None),
        (10**13, None),
    ],
)
def test_a_decimal_is_counted_in_millionths_half_to_even(
    number: Any, millionths: int | None
) -> None:
    assert staging.micro(number) == millionths


@pytest.mark.parametrize(
    "column",
    [
        {"name": "a", "path": "name", "type": "HumanName"},
        {"name": "a", "path": "id"},
        {"name": "a", "path": "name.given", "type": "string", "collection": True},
    ],
)
def test_a_column_without_a_kind_is_refused(column: dict[str, Any]) -> None:
    own = read({"resource": "Patient", "select": [{"column": [column]}]})
    with pytest.raises(FhirError, match="`a` cannot be staged") as refused:
        columns(own)
    assert refused.value.status == 422


@pytest.mark.parametrize(
    ("number", "unit", "grams", "weeks"),
    [
        (2500, "g", 2_500_000_000, None),
        (Decimal("2.5"), "kg", 2_500_000_000, None),
        (Decimal("3.1234567"), "kg", 3_123_456_700, None),
        (2_500_000, "mg", 2_500_000_000, None),
        (Decimal("0.0001"), "mg", None, None),  # less than a millionth of a gram
        (38, "wk", None, 38_000_000),
        (266, "d", None, 38_000_000),
        (270, "d", None, None),  # 38 4/7 weeks are no decimal
        (88, "[oz_av]", None, None),
        (2500, None, None, None),
        (None, "g", None, None),
        (Decimal("1E+400"), "kg", None, None),
        (Decimal("1E-999999"), "kg", None, None),
    ],
)
def test_a_quantity_is_staged_in_grams_and_weeks_where_it_is_so_exactly(
    number: Decimal | int | None, unit: str | None, grams: int | None, weeks: int | None
) -> None:
    assert staging.measured(number, unit) == (grams, weeks)
    quantity = {"value": number, "code": unit}
    resource = {
        "resourceType": "Observation",
        "id": "o",
        "valueQuantity": {key: value for key, value in quantity.items() if value is not None},
    }
    [row] = stage(view("observation"), "child", [resource])
    names = [column.name for column in columns(view("observation"))]
    found = dict(zip(names, row, strict=True))
    assert (found["value_decimal__g"], found["value_decimal__wk"]) == (grams, weeks)
