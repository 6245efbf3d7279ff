"""The standard's own examples are valid, and what another library refuses this validator refuses."""

import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from profiles import by_hand, invariants
from profiles.findings import Run
from profiles.validate import validate
from r4 import definitions, fhirpath
from r4.issue import Issue
from r4.json import encode
from terminology import Terminology
from tests.profiles.corpus import examples
from tests.profiles.mutants import mutants

EXCLUSIONS = tomllib.loads((Path(__file__).parent / "exclusions.toml").read_text())
MUTATED = (
    "Patient-example",
    "Observation-example",
    "Condition-example2",
    "EpisodeOfCare-example",
    "Organization-hl7",
)
NOT_DECIDED_BY_FHIRPATH = {"que-7"}
"""Its expression asks for the expression language's Boolean, which no FHIR element is."""


@pytest.fixture(scope="module")
def corpus() -> dict[str, dict]:
    return dict(examples())


@pytest.fixture(scope="module")
def issues(corpus) -> dict[str, list[Issue]]:
    terminology = Terminology.load()
    return {name: validate(resource, terminology) for name, resource in corpus.items()}


def test_the_standards_examples_are_valid_but_for_those_that_break_its_rules(issues):
    refused = {name: errors(found) for name, found in issues.items()}
    assert len(issues) > 700
    assert {name: rules for name, rules in refused.items() if rules} == {
        name: set(reasons) for name, reasons in EXCLUSIONS.items() if name in issues
    }


@pytest.mark.slow
def test_the_standards_bundles_of_definitions_are_valid_likewise():
    terminology = Terminology.load()
    named = {name for name, _ in examples()}
    for name, resource in examples(giant=True):
        named.add(name)
        assert errors(validate(resource, terminology)) == set(EXCLUSIONS.get(name, ()))
    assert EXCLUSIONS.keys() <= named


def errors(issues: list[Issue]) -> set[str | None]:
    return {issue.rule for issue in issues if issue.is_error}


def test_no_rule_fails_to_be_checked_on_the_standards_examples(issues):
    failed = [issue for found in issues.values() for issue in found if issue.code == "processing"]
    assert failed == []


def test_what_fhir_resources_refuses_is_refused_here(corpus):
    terminology = Terminology.load()
    agreed, disputed = 0, []
    for name in MUTATED:
        model = get_fhir_model_class(corpus[name]["resourceType"])
        for change, mutant in mutants(corpus[name]):
            if _is_refused(model, mutant):
                agreed += 1
                if not any(issue.is_error for issue in validate(mutant, terminology)):
                    disputed.append((name, change))
    assert disputed == []
    assert agreed > 1000


def _is_refused(model, resource) -> bool:
    try:
        model.model_validate_json(encode(resource))
    except ValidationError:
        return True
    return False


def test_rules_written_by_hand_say_what_their_fhirpath_says(monkeypatch, corpus):
    """Wherever the expression is true or false, on the examples and on mutants of some of them."""
    disagreements: list[tuple[str, dict]] = []
    decided: dict[str, set[bool]] = defaultdict(set)

    def comparing(key: str, holds):
        expression, type_code = _expression(key)
        compiled = fhirpath.compile(expression)

        def compare(value: dict, run: Run) -> bool:
            environment = fhirpath.Environment(resource=run.resource, root_resource=run.root)
            answer = compiled(value, environment, type=value.get("resourceType", type_code))
            is_misspelt = any(name.endswith("Z") for name in value)  # refused for that already
            if answer in ([True], [False]) and not is_misspelt:
                decided[key].add(answer[0])
                if answer != [holds(value, run)]:
                    disagreements.append((key, value))
            return holds(value, run)

        return compare

    table = {key: comparing(key, holds) for key, holds in by_hand.BY_HAND.items()}
    monkeypatch.setattr(invariants, "BY_HAND", table)
    terminology = Terminology.load()
    for resource in corpus.values():
        validate(resource, terminology)
    for name in MUTATED:
        for _, mutant in mutants(corpus[name]):
            validate(mutant, terminology)
    assert [pair for pair in disagreements if pair[0] not in NOT_DECIDED_BY_FHIRPATH] == []
    assert set(decided) == set(by_hand.BY_HAND)


def test_a_rule_that_is_not_asked_without_a_property_holds_without_it(corpus):
    asked = set()
    for resource in corpus.values():
        for held in _objects(resource):
            for key, name in by_hand.NEEDS.items():
                if name in held:
                    asked.add(key)
                    without = {each: value for each, value in held.items() if each != name}
                    assert by_hand.BY_HAND[key](without, Run(resource, resource)), (key, without)
    assert asked == set(by_hand.NEEDS)


def _objects(node: Any) -> Iterator[dict]:
    if isinstance(node, dict):
        yield node
    if isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _objects(child)


def _expression(key: str) -> tuple[str, str]:
    wanted = key.rpartition("/")[2]
    for structure in definitions.every("StructureDefinition"):
        if structure["url"] == definitions.CORE + structure["type"]:
            for element in structure["snapshot"]["element"]:
                for constraint in element.get("constraint", ()):
                    if constraint["key"] == wanted and "/" not in key.replace(
                        f"{element['path']}/", ""
                    ):
                        return constraint["expression"], element["path"]
    pytest.fail(f"no constraint {key}")
    raise AssertionError
