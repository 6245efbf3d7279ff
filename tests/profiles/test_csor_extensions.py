"""The registry's extensions, by their examples: what is right passes, what is wrong is named exactly."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from profiles import own
from profiles.conformance import pages
from profiles.validate import validate
from r4 import artefacts
from r4.json import Resource, decode
from terminology import Terminology

EXAMPLES = Path(__file__).parents[2] / "profiles" / "examples"
EXTENSIONS = {
    structure["id"]: structure
    for structure in artefacts.by_url("profiles", "StructureDefinition").values()
    if not structure["id"].startswith(own.CLAIMED)
}
TERMINOLOGY = Terminology.load()
PAGE = dict(pages())["extensions.md"]
NOW = "2026-11-23T12:00:00Z"

each_extension = pytest.mark.parametrize("name", EXTENSIONS)


def examples(name: str, kind: str) -> Iterator[Path]:
    found = sorted((EXAMPLES / name / kind).glob("*.json"))
    assert found, f"{name} has no {kind} example"
    yield from (path for path in found if not path.name.endswith(".issues.json"))


def issues(path: Path) -> list[Resource]:
    found = validate(decode(path.read_bytes()), TERMINOLOGY, now=NOW)
    return [{k: v for k, v in asdict(issue).items() if v is not None} for issue in found]


@each_extension
def test_it_is_an_extension_on_elements(name: str) -> None:
    assert EXTENSIONS[name]["type"] == "Extension"
    assert {each["type"] for each in EXTENSIONS[name]["context"]} == {"element"}


@each_extension
def test_where_it_stands_rightly_there_is_no_issue(name: str) -> None:
    for path in examples(name, "valid"):
        assert EXTENSIONS[name]["url"] in set(urls(decode(path.read_bytes())))
        assert issues(path) == []


@each_extension
def test_where_it_does_not_exactly_the_issues_beside_it_are_found(name: str) -> None:
    for path in examples(name, "invalid"):
        found = issues(path)
        assert found == decode(path.with_suffix(".issues.json").read_bytes())
        assert {issue["severity"] for issue in found} == {"error"}


@each_extension
def test_its_page_shows_what_it_holds_and_its_examples(name: str) -> None:
    structure = EXTENSIONS[name]
    section = PAGE.partition(f"\n## {structure['title']}\n")[2].partition("\n## ")[0]
    assert f"- Canonical url: `{structure['url']}`" in section
    held = [each for each in structure["differential"]["element"] if "sliceName" in each]
    for element in held or [{"sliceName": "value"}]:
        assert f"| `{element['sliceName']}` |" in section
    for path in (*examples(name, "valid"), *examples(name, "invalid")):
        assert path.read_text(encoding="utf-8").rstrip() in section


def urls(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (each["url"] for each in node.get("extension", ()))
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, dict | list):
            yield from urls(child)
