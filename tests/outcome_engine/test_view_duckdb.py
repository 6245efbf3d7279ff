"""Views as DuckDB queries: the same rows as Python's, and what is refused."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcome_engine.views.duckdb import DEEPEST, sql
from outcome_engine.views.rows import rows
from outcome_engine.views.view import View, view, views
from r4.issue import FhirError
from r4.json import Resource, encode
from tests.profiles.corpus import examples
from tests.support.duck import duck_rows
from tests.support.stored import stored_examples
from tests.support.view_resources import OBSERVATION, PROCEDURE

BEYOND = "Observation-decimal"
"""The example with numbers that no database column holds."""


def alike(own: View, resources: list[Resource]) -> int:
    """Compare both engines on resources, row by row; returns how many rows there were."""
    found, expected = duck_rows(own, resources), rows(own, resources)
    for row, other in zip(found, expected, strict=True):
        assert row == other  # a Decimal equals one with further zeros
        assert list(row) == list(other)
    return len(found)


@pytest.mark.parametrize("view_id", views())
def test_messages_and_notes_give_the_same_rows_on_both(view_id: str) -> None:
    own = view(view_id)
    assert alike(own, list(stored_examples())) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("view_id", views())
def test_the_examples_of_the_standard_give_the_same_rows_on_both(view_id: str) -> None:
    own = view(view_id)
    found = [(file, each) for file, each in examples() if each.get("resourceType") == own.resource]
    assert alike(own, [each for file, each in found if file != BEYOND]) > 0
    if view_id == "observation-component":
        with pytest.raises(duckdb.ConversionException, match=r"1\.000000000000000000E\+245"):
            duck_rows(own, [each for file, each in found if file == BEYOND])


@settings(max_examples=10, deadline=None)
@given(st.lists(st.one_of(OBSERVATION, PROCEDURE), min_size=1, max_size=40))
def test_whatever_a_resource_holds_both_give_the_same_rows(resources: list[Resource]) -> None:
    for view_id in ("observation", "observation-component", "procedure"):
        alike(view(view_id), resources)


def observed(value: str) -> str:
    return f'{{"resourceType": "Observation", "valueQuantity": {{"value": {value}}}}}'


def column(path: str, **more: Any) -> Resource:
    own = {"name": "found", "path": path, "type": "string", **more}
    return {"resource": "Patient", "select": [{"column": [own]}]}


def test_a_decimal_is_exact_where_a_double_would_not_be() -> None:
    texts = [
        observed(value) for value in ("12345678901234567890.123456789012345678", "0.10", "1e3")
    ]
    view_columns = [each.name for each in view("observation").columns]
    query = sql(view("observation"), "resources")
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE resources AS SELECT unnest($1) AS resource", [texts])
        found = [
            row[view_columns.index("value_decimal")] for row in connection.sql(query).fetchall()
        ]
    assert found == [Decimal("12345678901234567890.123456789012345678"), Decimal("0.1"), 1000]


def test_an_analyst_reads_exported_ndjson(tmp_path: Path) -> None:
    file = tmp_path / "Patient.ndjson"
    born = [{"resourceType": "Patient", "id": str(n), "birthDate": f"202{n}"} for n in range(3)]
    file.write_bytes(b"\n".join(encode(each) for each in born))
    source = f"read_ndjson_objects('{file}')"
    with duckdb.connect() as connection:
        connection.sql(sql(view("patient"), source, "json")).create_view("patients")
        found = connection.sql("SELECT id, birth_date FROM patients").fetchall()
    assert found == [("0", "2020"), ("1", "2021"), ("2", "2022")]


@pytest.mark.parametrize(
    ("path", "element", "said"),
    [
        ("name.family.matches('A')", "path", "`matches()` with 1 arguments"),
        ("name.family & 'x'", "path", "The operator `&`"),
        ("birthDate + 2 years", "path", "A quantity"),
        ("deceased", "path", "add ofType()"),
        ("multipleBirth.foo", "path", "`foo` of a choice without ofType()"),
        ("birthDate.extension('a').value", "path", "`extension` of a primitive"),
        ("active = 'yes'", "path", "A comparison of a boolean with a text"),
        ("name = name", "path", "A comparison of what is no primitive"),
        ("name | contact", "path", "A union"),
        ("iif(active, 'a', 1)", "path", "different kinds"),
        ("%context.id", "path", "`%context`"),
    ],
)
def test_what_is_not_written_as_sql_is_refused_by_name(path: str, element: str, said: str) -> None:
    with pytest.raises(FhirError) as refused:
        sql(column(path), "resources")
    [issue] = refused.value.issues
    assert (refused.value.status, issue.code) == (422, "not-supported")
    assert issue.expression == f"ViewDefinition.select[0].column[0].{element}"
    assert said in issue.diagnostics


def test_a_filter_that_is_no_boolean_is_refused_before_it_runs() -> None:
    with pytest.raises(FhirError, match="`gender`"):
        sql(column("id") | {"where": [{"path": "gender"}]}, "resources")


def test_several_values_in_one_row_make_the_query_fail() -> None:
    two = {"resourceType": "Patient", "name": [{"family": "A"}, {"family": "B"}]}
    with pytest.raises(FhirError, match="`found` finds several values"):
        duck_rows(column("name.family"), [two])
    with pytest.raises(FhirError, match="needs a single value"):
        duck_rows(column("iif(name.family = 'A', 'x', name.family)"), [two])


def test_a_repeat_has_an_end() -> None:
    def nested(levels: int) -> Resource:
        item: Resource = {"linkId": str(levels)}
        return item | ({"item": [nested(levels - 1)]} if levels else {})

    own = {"name": "link", "path": "linkId", "type": "string"}
    definition = {
        "resource": "QuestionnaireResponse",
        "select": [{"repeat": ["item"], "column": [own]}],
    }
    resource = {"resourceType": "QuestionnaireResponse", "item": [nested(DEEPEST - 1)]}
    assert duck_rows(definition, [resource]) == rows(definition, [resource])
    resource["item"] = [nested(DEEPEST)]
    assert len(rows(definition, [resource])) == DEEPEST + 1
    with pytest.raises(FhirError, match=f"descends {DEEPEST} levels at most"):
        duck_rows(definition, [resource])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("birthDate < @2020-03", "true"),
        ("birthDate < @2020-02", None),
        ("birthDate = @2020-02-29", "true"),
        ("birthDate >= @2021", "false"),
        ("deceased.ofType(dateTime) = @2020-03-01T00:30:00+01:00", "true"),
        ("deceased.ofType(dateTime) > @2020-02-29", None),
        ("deceased.ofType(dateTime) > @2020-02-28", "true"),
        ("name.given.count() = 3 and name.count() = 2", "true"),
        ("name.exists(use = 'usual')", "true"),
        ("(name.given | name.family).count() = 3", "true"),
        ("name.given = name.given", "true"),
        ("name.given != name.family", "true"),
        ("name.where(use = 'usual').given[1] + '!'", "May!"),
        ("iif(active, 'a', 'b')", "b"),
        ("iif(active.exists().not() implies active, 'a')", None),
        ("iif(name.empty() xor active.empty(), 'a', 'b')", "a"),
        ("(1 + 2 * 3).count() = 1 and -1 < 0 and 7 / 2 = 3.5", "true"),
        ("(1 / 0).empty() and 2.5 * 4 = 10 and (3 - 1) * 2 = 4", "true"),
        ("Patient.name.first().family", "Ada"),
        ("%resource.id", "p"),
        ("id.replace", None),
        ("name.where(use = '\\'; DROP TABLE resources; --').family", None),
        ("link.other.getReferenceKey(`x' OR true --`).first()", None),
        ("extension('a\\'b').value.ofType(string).first()", None),
    ],
)
def test_both_engines_agree_on_expressions(path: str, expected: str | None) -> None:
    resource = {
        "resourceType": "Patient",
        "id": "p",
        "birthDate": "2020-02-29",
        "deceasedDateTime": "2020-02-29T23:30:00Z",
        "name": [{"family": "Ada", "given": ["X"]}, {"use": "usual", "given": ["Ada", "May"]}],
    }
    kind = "boolean" if expected in ("true", "false") else "string"
    definition = column(path, type=kind)
    [row] = duck_rows(definition, [resource])
    assert [row] == rows(definition, [resource])
    assert row["found"] == {"true": True, "false": False}.get(expected or "", expected)


@pytest.mark.parametrize(
    "value", [{"valueInteger": 5}, {"valueQuantity": {"value": Decimal("0.10")}}]
)
def test_a_union_of_a_decimal_and_an_integer_is_a_decimal(value: Resource) -> None:
    definition = {
        **column("value.ofType(Quantity).value | value.ofType(integer)", type="decimal"),
        "resource": "Observation",
    }
    resource = {"resourceType": "Observation", "id": "o", **value}
    [row] = duck_rows(definition, [resource])
    assert [row] == rows(definition, [resource])
    assert row["found"] in (5, Decimal("0.1"))
