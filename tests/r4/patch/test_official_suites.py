"""HL7's own suites of the three patch formats: every case but those that exclusions.toml explains.

https://github.com/FHIR/fhir-test-cases/tree/master/r4/patch
"""

import tomllib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from r4 import xml
from r4.issue import FhirError
from r4.json import decode
from r4.patch import fhirpath_patch, json_patch, xml_patch

HERE = Path(__file__).parent
SUITES = Path(__file__).parents[4] / "shared" / "data" / "fhirpath-patch"
EXCLUSIONS: dict[str, dict[str, str]] = tomllib.loads((HERE / "exclusions.toml").read_text())

needs_suites = pytest.mark.skipif(
    not SUITES.is_dir(), reason="the public test suites (../shared/data) are not on this machine"
)


def _xml_cases(name: str) -> dict[str, Any]:
    file = SUITES / name
    if not file.exists():
        return {}
    return {case.get("name"): case for case in etree.parse(file).getroot().iter("case")}


def _json_cases() -> dict[str, Any]:
    file = SUITES / "json-patch-tests.json"
    listed = decode(file.read_bytes()) if file.exists() else []
    return {case["comment"]: case for case in listed}


FHIRPATH = _xml_cases("fhir-patch-tests.xml")
JSON = _json_cases()
XML = _xml_cases("xml-patch-tests.xml")


def _check(suite: str, name: str, passes: Callable[[], None]) -> None:
    if name not in EXCLUSIONS[suite]:
        passes()
        return
    with pytest.raises((AssertionError, FhirError)):
        passes()


@needs_suites
@pytest.mark.parametrize("name", FHIRPATH)
def test_fhirpath_patch_suite(name: str) -> None:
    case = FHIRPATH[name]

    def passes() -> None:
        resource, patch = _resource(case.find("input")), _resource(case.find("diff"))
        before = deepcopy((resource, patch))
        if case.find("error") is not None:
            with pytest.raises(FhirError):
                fhirpath_patch.apply(resource, patch)
        else:
            found = fhirpath_patch.apply(resource, patch)
            assert _comparable(found) == _comparable(_resource(case.find("output")))
        assert (resource, patch) == before

    _check("fhirpath", name, passes)


@needs_suites
@pytest.mark.parametrize("name", JSON)
def test_json_patch_suite(name: str) -> None:
    case = JSON[name]

    def passes() -> None:
        before = deepcopy(case)
        if "error" in case:
            with pytest.raises(FhirError):
                json_patch.apply(case["doc"], case["patch"])
        else:
            assert json_patch.apply(case["doc"], case["patch"]) == case["expected"]
        assert case == before

    _check("json", name, passes)


@needs_suites
@pytest.mark.parametrize("name", XML)
def test_xml_patch_suite(name: str) -> None:
    case = XML[name]

    def passes() -> None:
        target, patch = _bytes(case.find("target")), etree.tostring(_only(case, "{*}patch"))
        if case.find("error") is not None:
            with pytest.raises(FhirError):
                xml_patch.apply(target, patch)
        else:
            expected = _bytes(case.find("patched"))
            assert _canonical(xml_patch.apply(target, patch)) == _canonical(expected)

    _check("xml", name, passes)


@needs_suites
def test_every_exclusion_names_a_case_and_has_a_reason() -> None:
    for suite, cases in {"fhirpath": FHIRPATH, "json": JSON, "xml": XML}.items():
        assert EXCLUSIONS[suite].keys() <= cases.keys()
        assert all(EXCLUSIONS[suite].values())


def _only(parent: Any, path: str) -> Any:
    (found,) = parent.findall(path)
    return found


def _bytes(holder: Any) -> bytes:
    """Write what a case holds, white space before and after left out."""
    return b"".join(etree.tostring(each, encoding="UTF-8", with_tail=False) for each in holder)


def _canonical(xml: bytes) -> bytes:
    """Write XML so that what is the same reads the same, white space between elements aside."""
    root = etree.fromstring(xml)
    for node in root.iter():
        node.text = (
            node.text and " ".join(node.text.split()) if isinstance(node.tag, str) else node.text
        )
        node.tail = node.tail and " ".join(node.tail.split())
    return etree.tostring(root, method="c14n")


def _comparable(resource: Any) -> Any:
    div = resource.get("text", {}).get("div")
    if div is None:
        return resource
    return resource | {"text": resource["text"] | {"div": _canonical(div.encode())}}


def _resource(holder: Any) -> Any:
    return xml.decode(_bytes(holder))
