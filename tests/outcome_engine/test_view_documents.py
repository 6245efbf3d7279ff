"""docs/views.md: what it tells an analyst to run does what it says, and its lists are true."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from outcome_engine.views.duckdb import sql
from outcome_engine.views.page import page
from outcome_engine.views.view import views
from r4.json import encode
from tests.support.stored import stored_examples

DOCUMENT = (Path(__file__).parents[2] / "docs" / "views.md").read_text()


def test_the_example_makes_a_table_of_each_view_from_an_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    for view in views().values():
        found = [each for each in stored_examples() if each["resourceType"] == view.resource]
        (folder / f"{view.resource}.000.ndjson").write_bytes(b"\n".join(map(encode, found)))
    monkeypatch.chdir(tmp_path)
    [code] = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own document
    registry = names["registry"]
    try:
        tables = {name for (name,) in registry.sql("SHOW TABLES").fetchall()}
        assert tables == {view.name for view in views().values()}
        operations = names["found"].fetchall()
        assert operations[0][2] > 1
        assert {urgency for _, urgency, _ in operations} > {None}
        weights = registry.sql("SELECT value_decimal FROM Observations ORDER BY 1 DESC").fetchall()
        assert isinstance(weights[-1][0] or weights[0][0], Decimal)
    finally:
        registry.close()


def test_the_example_passes_over_types_that_the_export_has_no_file_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "export").mkdir()
    found = [each for each in stored_examples() if each["resourceType"] == "Procedure"]
    (tmp_path / "export" / "Procedure.0.ndjson").write_bytes(b"\n".join(map(encode, found)))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    [code] = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    exec(code, names)  # noqa: S102 - our own document
    registry = names["registry"]
    try:
        assert registry.sql("SHOW TABLES").fetchall() == [("Procedures",)]
    finally:
        registry.close()


def test_every_view_stands_in_its_list_and_every_column_on_its_page() -> None:
    listed = re.findall(r"^\| `([a-z-]+)` \| one for", DOCUMENT, re.MULTILINE)
    assert set(listed) == set(views())
    reference = page()
    for view in views().values():
        assert f"the table `{view.name}`" in reference
        assert all(f"| `{column.name}` | {column.type} |" in reference for column in view.columns)
    assert "| `value_decimal` | decimal | DECIMAL(38, 18) |" in reference
    assert "| `value_boolean` | boolean | BOOLEAN |" in reference
    assert "| `value_integer` | integer | BIGINT |" in reference


def test_what_a_path_finds_is_of_the_type_that_its_column_declares() -> None:
    """DuckDB's types come of FHIR's definitions, the page's of the columns: they are the same."""
    reference = page()
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE resources (resource JSON)")
        for view in views().values():
            found = connection.sql(sql(view, "resources"))
            assert found.columns == [column.name for column in view.columns]
            section = reference.split(f"## {view.id}: ")[1].split("\n## ")[0]
            stored = re.findall(r"^\| `\w+` \| \w+ \| ([^|]+) \|", section, re.MULTILINE)
            assert [str(kind).replace(",", ", ") for kind in found.types] == stored
