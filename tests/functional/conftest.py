"""What several modules of these tests stand on: a theatre, an EPR, and work on a new database."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_server.app import context
from fhir_server.context import Context
from fhir_server.settings import Settings
from tests.support.databases import KINDS, new_database
from tests.support.epr import Epr, opened
from tests.support.theatre import Theatre, registry, theatre


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """The registry of a theatre."""
    with registry(tmp_path_factory.mktemp("theatre")) as found:
        yield found


@pytest.fixture
async def room(made: Context) -> AsyncIterator[Theatre]:
    async with theatre(made) as found:
        yield found


@pytest.fixture(scope="module")
def epr() -> Iterator[Epr]:
    with opened() as found:
        yield found


@pytest.fixture(params=KINDS)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return Settings(database=new_database(request.param, tmp_path), bulk_folder=tmp_path / "bulk")


@pytest.fixture
def run(settings: Settings) -> Callable[[Callable[[Context], Coroutine[Any, Any, None]]], None]:
    """Do work with a context on a new database."""

    async def closed(work: Callable[[Context], Coroutine[Any, Any, None]]) -> None:
        opened_context = context(settings)
        try:
            await opened_context.database.driven(work(opened_context))
        finally:
            opened_context.database.close()

    return lambda work: asyncio.run(closed(work))
