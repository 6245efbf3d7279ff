"""Fixtures that several test folders share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import KINDS
from tests.support.server import Served, served


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server with an empty registry, its doors open, for the tests of one module; on each database."""
    with served(tmp_path_factory.mktemp("server"), request.param) as running:
        yield running


@pytest.fixture(scope="session")
def library() -> Path:
    """The folder of public test suites beside the project; tests skip, saying so, without it."""
    folder = Path(__file__).parent.parent.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the public test suites (../shared/data) are not on this machine")
    return folder
