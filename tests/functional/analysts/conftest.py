"""A registry that an analyst asks, on each database, for the tests of one module."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fhir_server.app import application, context
from tests.support.analysts import Callers, Registry, filled, settings
from tests.support.databases import KINDS, new_database
from tests.support.hospitals import Asking


@pytest.fixture(scope="module", params=KINDS)
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """A hospital and fourteen children."""
    folder: Path = tmp_path_factory.mktemp("analysts")
    made = context(settings(folder, new_database(request.param, folder)))
    door = application(made)
    door.callers = Callers()  # type: ignore[assignment]
    transport = httpx.ASGITransport(door, client=("127.0.0.1", 1))
    with asyncio.Runner() as runner:
        http = httpx.AsyncClient(transport=transport, base_url="http://localhost")
        try:
            yield filled(Asking(made, runner, http), 14, 20261123)
        finally:
            runner.run(http.aclose())
            made.database.close()
