"""Releases of code systems, and loading them into a new database; every concept is fictitious."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import snomed_shaped
from fhir_server.commands import load_terminology
from fhir_server.store.concepts import loading
from fhir_server.store.concepts.loading import Progress
from fhir_server.store.connection import Database
from fhir_server.store.database import open_database
from terminology.loaders import KINDS, Release
from tests.support.databases import opened

T = TypeVar("T")
TABLES = (
    "code_system", "concept_load", "concept", "concept_name", "concept_edge", "concept_member",
    "concept_replacement", "concept_image",
)  # fmt: skip


def release(folder: Path, version: str | None = None, kind: str = "snomed") -> Release:
    with load_terminology._files(folder) as files:
        return KINDS[kind](files, version or snomed_shaped.MODULE, "20260102")


def within(where: str, work: Callable[[Database], Awaitable[T]]) -> T:
    async def run() -> T:
        database = open_database(where)
        try:
            return await database.driven(work(database))  # type: ignore[arg-type]
        finally:
            database.close()

    return asyncio.run(run())


def load(
    where: str, given: Release, said: Callable[[Progress], None] = lambda _: None, **options: bool
) -> loading.Report:
    return within(where, partial(loading.load, release=given, said=said, **options))


def stored(where: str) -> dict[str, list[tuple[Any, ...]]]:
    with opened(where) as database:
        return {
            table: sorted(tuple(row) for row in database.read(f"SELECT * FROM {table}"))  # noqa: S608 - ours
            for table in TABLES
        }
