"""The registry of both sides, on each database."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from fhir_server.app import application, context
from tests.support.analysts import settings
from tests.support.databases import new_database
from tests.support.everybody import Callers, Door
from tests.support.sides import filled


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]
)
def door(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("matrix")
    where = new_database(request.param, folder)
    made = context(settings(folder, where))
    asked = application(made)
    asked.callers = Callers()  # type: ignore[assignment]
    transport = httpx.ASGITransport(asked, client=("127.0.0.1", 1))
    with asyncio.Runner() as runner:
        http = httpx.AsyncClient(transport=transport, base_url="http://localhost")
        try:
            stored = runner.run(filled(made))
            found = Door(made, runner, http, stored, {})
            found.statement = found("registry", "GET", "/metadata").json()
            yield found
        finally:
            runner.run(http.aclose())
            made.database.close()
