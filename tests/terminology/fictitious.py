"""Fictitious code systems for the tests of the terminology service: one as a resource, one as a release."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from terminology import Terminology
from terminology.concepts import Concepts, index
from terminology.loaded import LoadedConcept
from terminology.systems import SNOMED_CT

OURS = "https://example.org"
TREE = {
    "resourceType": "CodeSystem",
    "url": f"{OURS}/tree",
    "version": "2",
    "status": "active",
    "content": "complete",
    "concept": [
        {
            "code": "animal",
            "concept": [
                {
                    "code": "mammal",
                    "display": "Mammal",
                    "designation": [{"language": "cy", "value": "Mamal"}],
                    "concept": [{"code": "cat", "display": "Cat"}],
                },
                {"code": "bird", "property": [{"code": "flies", "valueBoolean": True}]},
            ],
        },
        {
            "code": "bat",
            "display": "Bat",
            "property": [
                {"code": "parent", "valueCode": "mammal"},
                {"code": "flies", "valueBoolean": True},
            ],
        },
        {"code": "stone", "display": "Stone"},
        {
            "code": "dodo",
            "display": "Dodo",
            "property": [{"code": "inactive", "valueBoolean": True}],
        },
    ],
}

RELEASE = {
    "url": SNOMED_CT,
    "version": "http://snomed.info/sct/83821000000107/version/20260101",
    "content": "complete",
    "concept": [
        {
            "code": "1",
            "display": "Everything",
            "concept": [
                {
                    "code": "10",
                    "display": "Left thing",
                    "concept": [
                        {"code": "100", "display": "Left small thing"},
                        {"code": "101", "display": "Left large thing"},
                    ],
                },
                {
                    "code": "11",
                    "display": "Right thing",
                    "concept": [{"code": "110", "display": "Right small thing"}],
                },
            ],
        },
        {
            "code": "999",
            "display": "Old thing",
            "property": [{"code": "inactive", "valueBoolean": True}],
        },
    ],
}
"""Shaped as SNOMED CT is, and named as it is; none of these codes is one of SNOMED CT's."""
REFSETS = {"700": ("100", "110"), "701": ("999", "100")}


class Release:
    """A loaded code system: what a store of a release answers, over an index and reference sets."""

    def __init__(self, concepts: Concepts, refsets: dict[str, tuple[str, ...]]) -> None:
        self.concepts, self.refsets = concepts, refsets
        self.url, self.version = concepts.url, concepts.version
        self.is_complete = concepts.is_complete
        self.concept = concepts.concept
        self.subsumes = concepts.subsumes
        self.ancestors = concepts.ancestors
        self.descendants = concepts.descendants

    def is_member(self, refset: str, code: str) -> bool:
        return code in self.refsets.get(refset, ())

    def members(self, refset: str) -> Iterator[str]:
        return iter(self.refsets.get(refset, ()))

    def search(
        self,
        words: str,
        language: str | None,
        within: Callable[[str], bool] | None,
        offset: int,
        count: int,
    ) -> tuple[Sequence[LoadedConcept], int | None]:
        return self.concepts.search(words, language, within, offset, count)


class Shelf:
    """What an operator has loaded: one release."""

    def __init__(self, release: Release) -> None:
        self.release = release

    def system(self, url: str, version: str | None = None) -> Release | None:
        is_it = url == self.release.url and version in (None, self.release.version)
        return self.release if is_it else None


def snomed_shaped() -> Release:
    return Release(index(RELEASE), REFSETS)


def service(*resources: dict[str, Any]) -> Terminology:
    """The service over the fictitious tree; nothing is loaded."""
    return Terminology.of([TREE, *resources])


def loaded_service(*resources: dict[str, Any]) -> Terminology:
    """The service over the fictitious tree and the fictitious release."""
    return Terminology.of([TREE, *resources], Shelf(snomed_shaped()))


def value_set(name: str, *include: dict[str, Any], **more: Any) -> dict[str, Any]:
    exclude = {"exclude": more.pop("exclude")} if "exclude" in more else {}
    return {
        "resourceType": "ValueSet",
        "url": f"{OURS}/vs/{name}",
        "status": "active",
        "compose": {"include": list(include), **exclude},
        **more,
    }


def including(system: str, *filters: tuple[str, str, str]) -> dict[str, Any]:
    listed = [{"property": p, "op": op, "value": v} for p, op, v in filters]
    return {"system": system} | ({"filter": listed} if listed else {})
