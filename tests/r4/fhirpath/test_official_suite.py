"""HL7's own FHIRPath suite for R4: every test but those that exclusions.toml explains.

https://github.com/HL7/FHIRPath/blob/master/tests/r4/tests-fhir-r4.xml
"""

import tomllib
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest

from r4 import fhirpath
from r4.definitions import build
from r4.issue import FhirError
from r4.json import decode

HERE = Path(__file__).parent
DATA = Path(__file__).parents[4] / "shared" / "data" / "fhirpath"
SUITE = DATA / "tests-fhir-r4.xml"
PACKAGE = build.DOWNLOADS / f"{build.PACKAGE}-{build.VERSION}.tgz"
NOW = "2026-11-22T10:30:00.000Z"
KINDS = {"wont_fix", "bug", "not_yet"}

# Inputs that the suite names by another name than the standard's package of examples.
IN_PACKAGE = {
    "appointment-examplereq": "Appointment-examplereq",
    "explanationofbenefit-example": "ExplanationOfBenefit-EB3500",
    "valueset-example-expansion": "ValueSet-example-expansion",
}
# Inputs that the suite names but that are not at hand, made here from what its tests say.
MADE_HERE: dict[str, Any] = {
    "parameters-example-types": {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "string", "valueString": "string"},
            {"name": "integer", "valueInteger": 1},
            {"name": "uuid", "valueUuid": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"},
            {"name": "decimal", "valueDecimal": Decimal("1.0")},
        ],
    },
    "patient-container-example": {
        "resourceType": "Patient",
        "contained": [{"resourceType": "Organization", "id": "1"}],
    },
    "patient-example-period": {
        "resourceType": "Patient",
        "identifier": [{"period": {"start": "2021-03-02", "end": "2021-03"}}],
    },
    "patient-name-extensions": {
        "resourceType": "Patient",
        "name": [
            {
                "given": [None, "James"],
                "_given": [{"extension": [{"url": "http://example.com", "valueCode": "x"}]}],
            }
        ],
    },
}
# What the suite's XML says and its JSON twin, or the package's edition, does not.
ALSO: dict[str, Any] = {
    "observation-example": {
        "extension": [
            {
                "url": "http://example.com/fhir/StructureDefinition/patient-age",
                "valueAge": {"value": 41, "system": "http://unitsofmeasure.org", "code": "a"},
            }
        ]
    },
    "valueset-example-expansion": {"version": "20150622"},
}


class Case(NamedTuple):
    group: str
    name: str
    expression: str
    input: str
    is_invalid: bool
    is_strict: bool
    is_predicate: bool
    outputs: tuple[tuple[str | None, str], ...]
    is_ordered: bool


def _cases() -> list[Case]:
    if not SUITE.exists():
        return []
    suite = ElementTree.parse(SUITE).getroot()  # noqa: S314 - HL7's own file
    return [_case(group, test) for group in suite.iter("group") for test in group.iter("test")]


def _case(group: ElementTree.Element, test: ElementTree.Element) -> Case:
    expression = test.find("expression")
    assert expression is not None
    refused = expression.get("invalid")
    return Case(
        group.get("name", ""),
        test.get("name", ""),
        expression.text or "",
        test.get("inputfile", "").rpartition(".")[0],
        refused is not None,
        test.get("mode") == "strict" or refused is not None,
        test.get("predicate") == "true",
        tuple((each.get("type"), each.text or "") for each in test.findall("output")),
        test.get("ordered") != "false",
    )


CASES = _cases()
EXCLUSIONS: dict[str, dict[str, str]] = tomllib.loads((HERE / "exclusions.toml").read_text())


@cache
def _package() -> dict[str | None, Any]:
    wanted = set(IN_PACKAGE.values())
    found: dict[str | None, Any] = {}
    kinds = tuple(name.partition("-")[0] for name in wanted)
    for resource in build.resources(PACKAGE, kinds) if PACKAGE.exists() else ():
        name = f"{resource['resourceType']}-{resource.get('id')}"
        if name in wanted:
            found[name] = resource
    return found


@cache
def _input(name: str) -> Any:
    file = DATA / "input" / f"{name}.json"
    published = decode(file.read_bytes()) if file.exists() else _package().get(IN_PACKAGE.get(name))
    return published | ALSO.get(name, {}) if published else MADE_HERE.get(name)


def _found(case: Case) -> list[str]:
    environment = fhirpath.Environment(now=NOW, strict=case.is_strict)
    resource = _input(case.input)
    if case.input and resource is None:
        pytest.skip(f"the input {case.input} is not at hand")
    compiled = fhirpath.compile(case.expression)
    if case.is_predicate:
        return [_shown(compiled.is_true(resource, environment))]
    return [_shown(value) for value in compiled(resource, environment)]


def _shown(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}"
        case {"value": number, "code": code}:
            return f"{_shown(number)} '{code}'"
        case _:
            return str(value)


def _expected(case: Case) -> list[str]:
    dates = [text.removeprefix("@") for _, text in case.outputs]
    return [text.removeprefix("T") if text[1:3].isdigit() else text for text in dates]


def _passes(case: Case) -> bool:
    try:
        found = _found(case)
    except FhirError:
        return case.is_invalid
    if case.is_invalid:
        return False
    expected = _expected(case)
    return found == expected if case.is_ordered else sorted(found) == sorted(expected)


@pytest.mark.skipif(not CASES, reason="the suite is in ../shared/data, which is absent here")
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.group}/{case.name}")
def test_official_suite(case: Case) -> None:
    exclusion = EXCLUSIONS.get(case.name)
    if exclusion is None:
        assert _passes(case), f"{case.expression!r}: {_explained(case)}"
    else:
        assert not _passes(case), f"{case.name} passes: its exclusion is stale"


def _explained(case: Case) -> str:
    try:
        return f"expected {_expected(case) or case.is_invalid}, found {_found(case)}"
    except FhirError as problem:
        return f"expected {_expected(case)}, raised {problem}"


def test_every_exclusion_has_a_kind_and_a_reason() -> None:
    assert all(each["kind"] in KINDS and each["reason"] for each in EXCLUSIONS.values())


@pytest.mark.skipif(not CASES, reason="the suite is in ../shared/data, which is absent here")
def test_every_exclusion_names_a_test_of_the_suite() -> None:
    assert EXCLUSIONS.keys() <= {case.name for case in CASES}
