"""What a commit is asked to do, as values: the new versions, and what must still hold."""

from dataclasses import dataclass

from fhir_server.store.index import Rows
from fhir_server.store.search.parse import Query


@dataclass(frozen=True, slots=True)
class Write:
    """A new version of a resource: version 1 has no predecessor, another one follows version - 1."""

    type: str
    id: str
    version: int
    updated: int
    body: bytes
    rows: Rows
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Guard:
    """A search that must still find exactly these ids."""

    query: Query
    ids: tuple[str, ...]
