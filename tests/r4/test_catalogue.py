"""A canonical means one resource: the project's own first, then what was loaded, then R4's."""

from collections.abc import Iterable

import pytest

from r4.canonical import newest, split
from r4.definitions.catalogue import Catalogue
from r4.json import Resource

PATIENT = "http://hl7.org/fhir/StructureDefinition/Patient"
URL = "https://csor.example/fhir/ValueSet/a"


class Loaded:
    def __init__(self, *resources: Resource) -> None:
        self.resources = resources

    def find(self, kind: str, url: str, version: str | None) -> Resource | None:
        held = [r for r in self.resources if (r["resourceType"], r["url"]) == (kind, url)]
        if version is None:
            return held[-1] if held else None
        return next((each for each in held if each["version"] == version), None)

    def urls(self, kind: str) -> Iterable[str]:
        return {each["url"] for each in self.resources if each["resourceType"] == kind}


def value_set(version: str, url: str = URL) -> Resource:
    return {"resourceType": "ValueSet", "url": url, "version": version}


@pytest.mark.parametrize(
    ("canonical", "parts"),
    [("u", ("u", None)), ("u|1", ("u", "1")), ("u|1#part", ("u", "1")), ("u#part", ("u", None))],
)
def test_a_canonical_has_a_url_and_perhaps_a_version(
    canonical: str, parts: tuple[str, str | None]
) -> None:
    assert split(canonical) == parts


@pytest.mark.parametrize(
    ("versions", "last"),
    [
        (["1.9.0", "1.10.0"], "1.10.0"),
        (["1.0.0", "1.0.0-ballot"], "1.0.0"),
        (["1.0.0-ballot2", "1.0.0-ballot10"], "1.0.0-ballot10"),
        (["2024-11", "2025-03"], "2025-03"),
        (["", "0.1"], "0.1"),
    ],
)
def test_the_newest_version_comes_last_by_its_numbers(versions: list[str], last: str) -> None:
    assert newest(versions) == last
    assert newest(reversed(versions)) == last


def test_the_newest_of_our_own_is_meant_unless_a_version_is_named() -> None:
    catalogue = Catalogue.of([value_set("1.10.0"), value_set("1.9.0")])
    assert catalogue.find("ValueSet", URL) == value_set("1.10.0")
    assert catalogue.find("ValueSet", f"{URL}|1.9.0") == value_set("1.9.0")
    assert catalogue.find("ValueSet", f"{URL}|2.0.0") is None
    assert catalogue.find("CodeSystem", URL) is None


def test_our_own_comes_before_what_was_loaded_and_that_before_the_standard() -> None:
    theirs = {"resourceType": "StructureDefinition", "url": PATIENT, "version": "9", "loaded": True}
    catalogue = Catalogue.of([value_set("1")], Loaded(value_set("2"), theirs))
    assert catalogue.find("ValueSet", URL) == value_set("1")
    assert catalogue.find("ValueSet", f"{URL}|2") == value_set("2")
    assert catalogue.find("StructureDefinition", PATIENT) == theirs
    standard = catalogue.find("StructureDefinition", f"{PATIENT}|4.0.1")
    assert standard is not None
    assert standard["type"] == "Patient"


def test_urls_are_listed_once_wherever_they_are() -> None:
    catalogue = Catalogue.of([value_set("1"), value_set("2")], Loaded(value_set("3", "urn:b")))
    urls = catalogue.urls("ValueSet")
    assert urls.count(URL) == 1
    assert "urn:b" in urls
    assert "http://hl7.org/fhir/ValueSet/administrative-gender" in urls
    assert list(urls) == sorted(urls)
