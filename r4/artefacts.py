"""The artefacts that a package carries: one resource a file, the file's name its address.

`<package>/**/<ResourceType>-<id>.json`; folders named `examples` are not artefacts.
"""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from r4.json import Resource, decode

_NOT_ARTEFACTS = {"examples", "parameters", "compiled", "sites"}


@cache
def load(package: str) -> tuple[Resource, ...]:
    """Load every artefact of a package ("terminology"), in the order of their paths."""
    return tuple(decode(file.read_bytes()) for file in _files(files(package)))


def by_url(package: str, resource_type: str) -> dict[str, Resource]:
    """Map canonical url to artefact, for one resource type of one package."""
    return {
        artefact["url"]: artefact
        for artefact in load(package)
        if artefact["resourceType"] == resource_type and "url" in artefact
    }


def _files(folder: Traversable) -> Iterator[Traversable]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            if entry.name not in _NOT_ARTEFACTS:
                yield from _files(entry)
        elif entry.name.endswith(".json") and "-" in entry.name:
            yield entry
