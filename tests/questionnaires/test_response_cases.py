"""HL7's test cases for responses: the same issues (severity, code, rule, place), case by case."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from questionnaires import check
from r4.json import decode
from terminology import Terminology
from tests.support.countries import code_systems

EXCLUDED: dict[str, str] = tomllib.loads(
    (Path(__file__).parent / "exclusions.toml").read_text(encoding="utf-8")
)["excluded"]


@pytest.fixture(scope="module")
def terminology() -> Terminology:
    """Three cases draw on the codes of countries."""
    return Terminology.of(code_systems())


@pytest.fixture(scope="module")
def cases(library: Path) -> Path:
    folder = library / "sdc" / "fhir-test-cases"
    if not folder.is_dir():
        pytest.skip("HL7's questionnaire cases are not on this machine")
    return folder


def test_every_case_has_the_expected_issues(cases: Path, terminology: Terminology) -> None:
    names = _names(cases)
    run = [name for name in names if name not in EXCLUDED]
    differing = {
        name: (expected, found)
        for name in run
        if (expected := _expected(cases, name)) != (found := _found(cases, name, terminology))
    }
    assert differing == {}
    assert (len(names), len(run)) == (74, 71)


def test_every_exclusion_is_a_case_with_a_reason(cases: Path) -> None:
    assert EXCLUDED.keys() <= set(_names(cases))
    assert all(reason.endswith(".") for reason in EXCLUDED.values())


@pytest.mark.parametrize("name", EXCLUDED)
def test_a_case_that_is_excluded_has_no_form_or_other_issues_here(
    name: str, cases: Path, terminology: Terminology
) -> None:
    if _form(cases, name).exists():
        assert _expected(cases, name) != _found(cases, name, terminology)


def _names(cases: Path) -> list[str]:
    manifest = decode((cases / "manifest.json").read_bytes())
    return [case["name"] for case in manifest["test-cases"]]


def _form(cases: Path, name: str) -> Path:
    return cases / f"{name.removesuffix('-qr')}-q.json"


def _expected(cases: Path, name: str) -> list[tuple[Any, ...]]:
    outcome = cases / "outcomes" / f"R4.{name}-base.json"
    issues = decode(outcome.read_bytes()).get("issue", []) if outcome.exists() else []
    return sorted(
        (i["severity"], i["code"], i["details"]["coding"][-1]["code"], i["expression"][0])
        for i in issues
    )


def _found(cases: Path, name: str, terminology: Terminology) -> list[tuple[Any, ...]]:
    response = decode((cases / f"{name}.json").read_bytes())
    questionnaire = decode(_form(cases, name).read_bytes())
    strict = response["status"] == "completed"
    issues = check(questionnaire, response, terminology, strict=strict)
    return sorted((i.severity, i.code, i.rule, i.expression) for i in issues)
