"""The artefact rule: the resource type decides the folder, the file's name is the address.

Every artefact carries what a reader needs to trust it, is valid, and refers to nothing that is missing.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outcome_engine.views import view
from profiles.validate import validate
from r4 import artefacts
from r4.json import decode
from terminology import Terminology
from terminology.systems import CSOR

ROOT = Path(__file__).parents[2]
HOME = {
    "profiles": {
        "StructureDefinition",
        "SearchParameter",
        "OperationDefinition",
        "CapabilityStatement",
        "MessageDefinition",
    },
    "questionnaires": {"Questionnaire"},
    "mappings": {"StructureMap"},
    "terminology": {"CodeSystem", "ValueSet", "ConceptMap", "NamingSystem"},
    "outcome_engine": {"Measure", "Library", "ViewDefinition"},
}
FOLDERS_OF_TERMINOLOGY = {
    "CodeSystem": "codesystems",
    "ValueSet": "valuesets",
    "ConceptMap": "conceptmaps",
    "NamingSystem": "namingsystems",
}
NO_CANONICAL = {"NamingSystem"}
"""R4 gives a NamingSystem neither url nor version nor title."""

REQUIRED = ("id", "name", "status", "date", "publisher", "description")
REQUIRED_OF_CANONICAL = ("url", "version")
UNTITLED = {"SearchParameter", *NO_CANONICAL}
"""R4 gives a SearchParameter no title: its name and code are what it is known by."""

TERMINOLOGY = Terminology.load()
NOT_ARTEFACTS = artefacts._NOT_ARTEFACTS | {"__pycache__"}


def paths() -> Iterator[Path]:
    for package in HOME:
        for path in sorted((ROOT / package).rglob("*.json")):
            relative = path.relative_to(ROOT)
            if not NOT_ARTEFACTS.intersection(relative.parts):
                yield relative


PATHS = list(paths())
RESOURCES = {path: decode((ROOT / path).read_bytes()) for path in PATHS}
LOADED = [resource for package in HOME for resource in artefacts.load(package)]


def of(resource_type: str) -> list[dict]:
    return [r for r in RESOURCES.values() if r["resourceType"] == resource_type]


each_artefact = pytest.mark.parametrize("path", PATHS, ids=str)


def test_every_file_is_loaded():
    assert len(LOADED) == len(PATHS)


@each_artefact
def test_it_lives_where_its_type_says(path):
    artefact = RESOURCES[path]
    assert artefact["resourceType"] in HOME[path.parts[0]]
    assert path.name == f"{artefact['resourceType']}-{artefact['id']}.json"
    if path.parts[0] == "terminology":
        assert path.parts[1] == FOLDERS_OF_TERMINOLOGY[artefact["resourceType"]]


@each_artefact
def test_it_says_what_it_is(path):
    artefact = RESOURCES[path]
    is_canonical = artefact["resourceType"] not in NO_CANONICAL
    needed = REQUIRED + (REQUIRED_OF_CANONICAL if is_canonical else ())
    needed += () if artefact["resourceType"] in UNTITLED else ("title",)
    assert [name for name in needed if not artefact.get(name)] == []
    if is_canonical:
        assert artefact["url"] == f"{CSOR}/{artefact['resourceType']}/{artefact['id']}"
        assert re.fullmatch(r"\d+\.\d+\.\d+", artefact["version"])
    assert artefact["status"] in ("draft", "active", "retired")
    assert re.fullmatch(r"[A-Z][A-Za-z0-9_]{0,254}", artefact["name"])


@each_artefact
def test_it_is_printed_for_people(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    lines = text.splitlines()
    assert text.endswith("}\n")
    assert len(lines) > len(RESOURCES[path])
    assert [line for line in lines if (len(line) - len(line.lstrip(" "))) % 2 or "\t" in line] == []


@each_artefact
def test_it_is_valid(path):
    artefact = RESOURCES[path]
    if artefact["resourceType"] == "ViewDefinition":  # of SQL on FHIR, not of R4: its own reader
        assert view.read(artefact).url == artefact["url"]
        return
    assert [issue for issue in validate(artefact, TERMINOLOGY) if issue.is_error] == []


def test_no_two_share_a_url():
    urls = [artefact["url"] for artefact in RESOURCES.values() if "url" in artefact]
    assert sorted(urls) == sorted(set(urls))


@each_artefact
def test_what_it_refers_to_is_there(path):
    types = {resource_type for home in HOME.values() for resource_type in home}
    held = {artefact.get("url") for artefact in RESOURCES.values()}
    mentioned = {text.partition("|")[0].partition("#")[0] for text in strings(RESOURCES[path])}
    ours = {url for url in mentioned if any(url.startswith(f"{CSOR}/{type_}/") for type_ in types)}
    assert ours - held == set()


def strings(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from strings(child)


@pytest.mark.parametrize("value_set", of("ValueSet"), ids=lambda value_set: value_set["id"])
def test_a_value_set_can_be_listed_and_its_codes_exist(value_set):
    codings = TERMINOLOGY.expand(value_set["url"])
    assert codings
    unknown = [
        c for c in codings if TERMINOLOGY.validate_in_system(c["system"], c["code"]) is False
    ]
    assert unknown == []


@pytest.mark.parametrize("concept_map", of("ConceptMap"), ids=lambda concept_map: concept_map["id"])
def test_a_concept_map_translates_every_code_it_names(concept_map):
    for group in concept_map["group"]:
        for element in group["element"]:
            arguments = (concept_map["url"], group["source"], element["code"])
            assert TERMINOLOGY.matches(*arguments), element["code"]
            for coding in TERMINOLOGY.translate(*arguments):
                known = TERMINOLOGY.validate_in_system(coding["system"], coding["code"])
                assert known is not False, coding
