"""SQL on FHIR v2's own tests: shareable and experimental ones, all but those the exclusions explain.

https://github.com/FHIR/sql-on-fhir-v2/tree/master/tests
"""

import tomllib
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from outcome_engine.views.rows import rows
from r4.issue import FhirError
from r4.json import Resource, decode
from tests.support.duck import duck_rows

HERE = Path(__file__).parent
SUITE = Path(__file__).parents[3] / "shared" / "data" / "sql-on-fhir" / "tests"
SHAREABLE, EXPERIMENTAL = 123, 11
Row = dict[str, Any]
ENGINES: dict[str, Callable[[Resource, Iterable[Resource]], list[Row]]] = {
    "python": rows,
    "duckdb": duck_rows,
}


class Case(NamedTuple):
    """One test of the suite, with the resources of its file."""

    name: str
    test: dict[str, Any]
    resources: list[Resource]


@cache
def cases() -> tuple[Case, ...]:
    """List the tests, in the order of the files; none where the suite is not at hand."""
    found = []
    for path in sorted(SUITE.glob("*.json")):
        file = decode(path.read_bytes())
        for test in file["tests"]:
            found.append(Case(f"{path.stem}: {test['title']}", test, file["resources"]))
    return tuple(found)


def exclusions(engine: str) -> dict[str, str]:
    return tomllib.loads((HERE / "sql-on-fhir-exclusions.toml").read_text())[engine]


def failure(engine: str, case: Case) -> str:
    """Say how an engine fails a test; "" where it passes."""
    test = case.test
    try:
        found = ENGINES[engine](test["view"], case.resources)
    except FhirError as refused:
        return "" if test.get("expectError") else f"refused: {refused}"
    if test.get("expectError"):
        return f"an error was expected, not {found}"
    if alike(found) != alike(test["expect"]):
        return f"{found} instead of {test['expect']}"
    columns = test.get("expectColumns")
    if columns is not None and any(list(row) != columns for row in found):
        return f"columns {list(found[0])} instead of {columns}"
    return ""


def alike(found: list[Row]) -> list[str]:
    """Write rows so that equal ones are equal: without an order, 5 and 5.0 being one number."""
    return sorted(
        repr(sorted((name, _number(value)) for name, value in row.items())) for row in found
    )


def _number(value: Any) -> Any:
    if isinstance(value, list):
        return [_number(each) for each in value]
    if isinstance(value, Decimal):
        whole = value.to_integral_value()
        return int(whole) if whole == value else value.normalize()
    return value


@pytest.mark.parametrize("engine", ENGINES)
class TestSuite:
    """Not one test of its own for each: the suite is 134 tests of a millisecond."""

    def test_every_test_passes_but_those_that_are_explained(
        self, engine: str, library: Path
    ) -> None:
        assert library == SUITE.parent.parent
        excluded = exclusions(engine)
        failed = {case.name: said for case in cases() if (said := failure(engine, case))}
        assert {name: said for name, said in failed.items() if name not in excluded} == {}
        assert excluded.keys() - failed.keys() == set(), "excluded, but they pass: take them out"

    def test_no_shareable_test_is_excluded(self, engine: str, library: Path) -> None:
        tagged = [case.name for case in cases() if "shareable" in case.test["tags"]]
        assert library.is_dir()
        assert (len(tagged), len(cases()) - len(tagged)) == (SHAREABLE, EXPERIMENTAL)
        assert len(set(tagged)) == SHAREABLE
        assert exclusions(engine).keys() & set(tagged) == set()


def test_a_wrong_answer_is_noticed(library: Path) -> None:
    [case] = [case for case in cases() if case.name == "basic: basic attribute"]
    assert library.is_dir()
    assert failure("python", case) == ""
    wrong = case.test | {"expect": [{"id": "pt1"}, {"id": "pt2"}, {"id": "pt4"}]}
    assert "instead of" in failure("python", case._replace(test=wrong))
    more = case.test | {"expect": [*case.test["expect"], {"id": "pt3"}]}
    assert "instead of" in failure("python", case._replace(test=more))
    assert "expected" in failure("python", case._replace(test=case.test | {"expectError": True}))
