"""The standard's own definitions, compiled from the npm package `hl7.fhir.r4.examples` 4.0.1.

Built by `python -m r4.definitions.build`; the wheel carries the result. Nothing of it is committed.
Each definition is its FHIR JSON without narrative, mappings and prose (see `build.KEPT_OF_ELEMENT`).
"""

import zlib
from functools import cache
from importlib.resources import files

import msgspec

from r4.json import Resource

KINDS = (
    "StructureDefinition",
    "SearchParameter",
    "CodeSystem",
    "ValueSet",
    "ConceptMap",
    "OperationDefinition",
    "CompartmentDefinition",
)
CORE = "http://hl7.org/fhir/StructureDefinition/"


class DefinitionsMissingError(RuntimeError):
    """The compiled definitions have not been built; the message says which command builds them."""


def urls(kind: str) -> tuple[str, ...]:
    """List the canonical urls of one kind of definition, in url order."""
    return tuple(_compiled(kind))


def definition(kind: str, url: str) -> Resource | None:
    """Return one definition by kind and canonical url (a `|version` suffix is ignored), or None."""
    known = url.partition("|")[0]
    return _decoded(kind, known) if known in _compiled(kind) else None


@cache
def _decoded(kind: str, url: str) -> Resource:
    """Decode a definition that is there, once; misses are not remembered, for users send urls."""
    decoded: Resource = msgspec.msgpack.decode(_compiled(kind)[url])
    return decoded


def structure(type_or_url: str) -> Resource | None:
    """Return the StructureDefinition of a type name ("Patient", "HumanName") or url, or None."""
    url = type_or_url if "/" in type_or_url else CORE + type_or_url
    return definition("StructureDefinition", url)


def every(kind: str) -> tuple[Resource, ...]:
    """Return all definitions of one kind, in url order."""
    return tuple(msgspec.msgpack.decode(raw) for raw in _compiled(kind).values())


@cache
def resource_types() -> tuple[str, ...]:
    """List the 146 concrete R4 resource types, sorted."""
    return tuple(_index()["resource_types"])


@cache
def _index() -> dict[str, list[str]]:
    return msgspec.msgpack.decode(_read("index"), type=dict[str, list[str]])


@cache
def _compiled(kind: str) -> dict[str, msgspec.Raw]:
    return msgspec.msgpack.decode(_read(kind), type=dict[str, msgspec.Raw])


def _read(name: str) -> bytes:
    file = files("r4.definitions") / "compiled" / f"{name}.bin"
    if not file.is_file():
        raise DefinitionsMissingError(
            "The compiled FHIR definitions are missing: run `python -m r4.definitions.build`."
        )
    return zlib.decompress(file.read_bytes())
