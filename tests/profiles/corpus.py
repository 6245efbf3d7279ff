"""The standard's own examples, one by one, decimals kept."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from r4.definitions.build import DOWNLOADS, PACKAGE, VERSION
from r4.json import Resource, decode

DEFINITIONS = {
    "CapabilityStatement",
    "CodeSystem",
    "CompartmentDefinition",
    "ConceptMap",
    "NamingSystem",
    "OperationDefinition",
    "SearchParameter",
    "StructureDefinition",
    "ValueSet",
}


GIANT = 1_000_000
"""Bytes: a dozen Bundles of definitions are larger, up to 50 times."""


def examples(*, giant: bool = False) -> Iterator[tuple[str, Resource]]:
    """Yield (file name without .json, resource) of the examples below that size, or above it.

    Skips the test where the package is not on this machine.
    """
    package = Path(__file__).parents[2] / DOWNLOADS / f"{PACKAGE}-{VERSION}.tgz"
    if not package.exists():
        pytest.skip(f"{package.name} is not here: `python -m r4.definitions.build` fetches it")
    with tarfile.open(package) as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if not name.endswith(".json") or name.partition("-")[0] in DEFINITIONS:
                continue
            if "-" in name and not name.startswith("ig-") and giant is (member.size > GIANT):
                yield name.removesuffix(".json"), decode(archive.extractfile(member).read())
