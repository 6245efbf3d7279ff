"""Who is who over time, asked of one database: what is asked here is asked of both elsewhere."""

from collections.abc import Iterator

import pytest

from tests.functional.test_hl7v2 import HOSPITAL, ODS
from tests.support.server import Served, served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def _hospital(server: Served) -> None:
    assert server.http.put(f"/Organization?identifier={ODS}|RTH", json=HOSPITAL).status_code == 201
