"""What has been published goes through XML unchanged, to the digit and to the narrative's spelling."""

import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fhir.resources.R4B import get_fhir_model_class
from lxml import etree

from r4 import json, xml
from r4.definitions.build import DOWNLOADS, PACKAGE, VERSION
from r4.issue import FhirError
from r4.json import Resource
from tests.profiles.corpus import examples

EXCLUSIONS = tomllib.loads((Path(__file__).parent / "xml-exclusions.toml").read_text())
ALL_OF_THEM = 5306


@pytest.fixture(scope="module")
def corpus() -> dict[str, Resource]:
    return dict(examples())


def ordered(value):
    """The same JSON with its properties in one order: FHIR gives their order no meaning."""
    if isinstance(value, dict):
        return {name: ordered(value[name]) for name in sorted(value)}
    return [ordered(each) for each in value] if isinstance(value, list) else value


def lost(named: Iterator[tuple[str, Resource]]) -> dict[str, str]:
    """File -> what the way through XML does to it, for those that it changes or that are refused."""
    found = {}
    for name, resource in named:
        try:
            again = xml.decode(xml.encode(resource), strict=True)
        except FhirError as refused:
            found[name] = str(refused)
            continue
        if json.encode(ordered(again)) != json.encode(ordered(resource)):
            found[name] = "changed"
    return found


def whole_package() -> Iterator[tuple[str, Resource]]:
    package = Path(__file__).parents[2] / DOWNLOADS / f"{PACKAGE}-{VERSION}.tgz"
    if not package.exists():
        pytest.skip(f"{package.name} is not here: `python -m r4.definitions.build` fetches it")
    with tarfile.open(package) as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if name.endswith(".json") and name not in ("package.json", ".index.json"):
                yield name.removesuffix(".json"), json.decode(archive.extractfile(member).read())


def test_the_standards_examples_go_to_xml_and_back_unchanged(corpus):
    assert len(corpus) > 700
    expected = {name for name in EXCLUSIONS["examples"] if name in corpus}
    assert set(lost(iter(corpus.items()))) == expected


@pytest.mark.slow
def test_so_do_its_definitions_and_bundles_of_35_megabytes():
    seen = []

    def counted() -> Iterator[tuple[str, Resource]]:
        for name, resource in whole_package():
            seen.append(name)
            yield name, resource

    assert set(lost(counted())) == set(EXCLUSIONS["examples"])
    assert len(seen) == ALL_OF_THEM


def test_indentation_changes_nothing(corpus):
    changed = [
        name
        for name, resource in list(corpus.items())[::5]
        if xml.decode(xml.encode(resource, pretty=True)) != resource
    ]
    assert changed == []


@pytest.mark.slow
def test_another_library_reads_our_xml_as_it_reads_json(corpus):
    read, otherwise = 0, set()
    for name, resource in corpus.items():
        plain = without_what_the_other_loses(resource)
        try:
            model = get_fhir_model_class(resource["resourceType"])
            expected = model.model_validate(plain)
        except ValueError:
            continue  # R4B is not R4: what it refuses as JSON says nothing of XML
        read += 1
        try:
            is_same = model.model_validate_xml(xml.encode(plain)) == expected
        except KeyError:
            is_same = False
        if not is_same:
            otherwise.add(name)
    assert otherwise == set(EXCLUSIONS["fhir-resources"])
    assert read > 600


@pytest.mark.parametrize(
    "name", ["Patient-example", "Observation-f001", "Encounter-example", "Questionnaire-gcs"]
)
def test_we_read_the_xml_of_another_library_as_its_json(name, corpus):
    model = get_fhir_model_class(corpus[name]["resourceType"])
    theirs = model.model_validate(without_what_the_other_loses(corpus[name]))
    written = theirs.model_dump_xml()
    assert xml.decode(written) == json.decode(theirs.model_dump_json())


def without_what_the_other_loses(value):
    """Without narratives, whose text it spells anew, and the ids of elements, which it drops."""
    if isinstance(value, dict):
        return {
            name: without_what_the_other_loses(each)
            for name, each in value.items()
            if not (name == "text" and isinstance(each, dict) and "div" in each)
            and not (name == "id" and "resourceType" not in value)
        }
    if isinstance(value, list):
        return [without_what_the_other_loses(each) for each in value]
    return value


def test_the_xml_of_uk_core_is_read_and_written_again_as_it_is(library):
    files = sorted((library / "ukcore").rglob("*.xml"))
    assert len(files) > 300
    refused, changed = set(), []
    for file in files:
        published = file.read_bytes()
        try:
            resource = xml.decode(published, strict=True)
        except FhirError:
            refused.add(file.stem)
            continue
        if canonical(xml.encode(resource)) != canonical(published):
            changed.append(file.stem)
    assert changed == []
    assert refused == set(EXCLUSIONS["ukcore"])


def canonical(text: bytes) -> bytes:
    """Canonical XML without comments and without the white space between FHIR's elements."""
    root = etree.fromstring(text, etree.XMLParser(remove_comments=True))
    for element in root.iter("{http://hl7.org/fhir}*"):
        element.text = (element.text or "").strip() or None
        for child in element:
            child.tail = (child.tail or "").strip() or None
    return etree.tostring(root, method="c14n")
