"""Fixtures that several test folders share."""

import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fhir_server.store.writer import ThreadWriter
from tests.support.databases import KINDS
from tests.support.server import Served, served


@pytest.hookimpl(tryfirst=True)  # before -m decides
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what is marked so on PostgreSQL alone."""
    for item in items:
        call = getattr(item, "callspec", None)  # of what has parameters
        chosen = call.params.values() if call else ()
        if item.get_closest_marker("postgresql_slow") and "postgresql" in chosen:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server with an empty registry, its doors open, for the tests of one module; on each database."""
    with served(tmp_path_factory.mktemp("server"), request.param) as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def _every_job_can_be_sent() -> Iterator[None]:
    """Send the server's own jobs, and what they return, as a writer in another process is sent them."""
    write = ThreadWriter.write

    async def sending(writer: ThreadWriter, job: Any) -> Any:
        function = job.func if isinstance(job, partial) else job
        if function.__module__.startswith("fhir_server."):
            job = pickle.loads(pickle.dumps(job))  # noqa: S301 - our own
        try:
            return pickle.loads(pickle.dumps(await write(writer, job)))  # noqa: S301
        except Exception as failure:
            raise pickle.loads(pickle.dumps(failure)) from None  # noqa: S301

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ThreadWriter, "write", sending)
        yield


@pytest.fixture(scope="session")
def library() -> Path:
    """The folder of public test suites beside the project; tests skip, saying so, without it."""
    folder = Path(__file__).parent.parent.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the public test suites (../shared/data) are not on this machine")
    return folder
