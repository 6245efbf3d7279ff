"""A registry of its own for the tests of one module: resources in, ids out, no HTTP between."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from fhir_server.app import context
from fhir_server.context import Context
from fhir_server.interactions.search import search
from fhir_server.settings import Settings
from fhir_server.store.commit import commit
from fhir_server.store.write import Commit, Write
from r4.json import Resource, decode, encode
from tests.support.databases import KINDS, new_database


@dataclass
class Registry:
    """A store and its search, nearly bare: nothing validates, so that a test states what it needs."""

    context: Context
    runner: asyncio.Runner
    versions: dict[tuple[str, str], int] = field(default_factory=dict)

    def put(self, *resources: Resource, deleted: bool = False) -> None:
        writes = []
        for resource in resources:
            place = (resource["resourceType"], resource["id"])
            self.versions[place] = self.versions.get(place, 0) + 1
            number = self.versions[place]
            moment = 1_700_000_000_000_000 + sum(self.versions.values())
            body = b"" if deleted else encode(resource)
            writes.append(Write(*place, number, moment, body, deleted=deleted))
        self.runner.run(commit(self.context.database, Commit(writes)))

    def bundle(self, kind: str, query: str = "", **more: Any) -> Any:
        pairs = parse_qsl(query, keep_blank_values=True)
        return decode(search(self.context, kind, pairs, **more))

    def bundle_of(self, kind: str, pairs: list[tuple[str, str]]) -> Any:
        return decode(search(self.context, kind, pairs))

    def follow(self, kind: str, url: str) -> Any:
        return self.bundle(kind, urlsplit(url).query)

    def found(self, kind: str, query: str = "") -> list[str]:
        """Return the ids that match, in the answer's order; the total must say the same."""
        bundle = self.bundle(kind, f"{query}&_count=1000")
        ids = [e["resource"]["id"] for e in entries(bundle, "match")]
        assert bundle["total"] == len(ids)
        return ids

    def ids(self, kind: str, query: str = "") -> set[str]:
        return set(self.found(kind, query))


def entries(bundle: Any, mode: str) -> list[Any]:
    return [e for e in bundle.get("entry", []) if e["search"]["mode"] == mode]


def link(bundle: Any, relation: str) -> str | None:
    return next((each["url"] for each in bundle["link"] if each["relation"] == relation), None)


@pytest.fixture(scope="module", params=KINDS)
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("search")
    made = context(Settings(database=new_database(request.param, folder)))
    with asyncio.Runner() as runner:
        try:
            yield Registry(made, runner)
        finally:
            made.database.close()


def resource(text: str) -> Resource:
    """Read a resource as it would arrive, so that its decimals are exact."""
    json.loads(text)
    found: Resource = decode(text)
    return found


__all__ = ["Path", "Registry", "entries", "link", "resource"]
