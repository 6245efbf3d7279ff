"""A long validation keeps nobody waiting: it is done in a thread, and others are answered meanwhile."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fhir_server import app
from fhir_server.interactions import conformance, dry_run
from fhir_server.rest.operations import LONG
from tests.support.outcomes import issues, rule
from tests.support.server import Served

MANY = 300


def transaction(many: int) -> dict[str, Any]:
    request = {"method": "POST", "url": "Patient"}
    patient = {"resourceType": "Patient", "name": [{"family": "Testchild", "given": ["Many"]}]}
    entries = [{"resource": {**patient}, "request": request} for _ in range(many)]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


@pytest.fixture
def stored(server: Served) -> str:
    answer = server.http.put("/Patient/read", json={"resourceType": "Patient", "id": "read"})
    assert answer.status_code in (200, 201)
    return "/Patient/read"


@pytest.fixture(
    params=[(dry_run, "unreadable", "POST"), (conformance, "_responses", "GET")],
    ids=["dry run", "stored"],
)
def waiting(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, threading.Event, threading.Event]:
    """Have validations wait, once they have begun, until they are let go on."""
    module, name, method = request.param
    begun, go_on = threading.Event(), threading.Event()
    function: Callable[..., Any] = getattr(module, name)

    def wait(*given: Any) -> Any:
        begun.set()
        assert go_on.wait(20), "nobody was answered meanwhile"
        return function(*given)

    monkeypatch.setattr(module, name, wait)
    return method, begun, go_on


def test_a_read_and_a_write_are_answered_while_a_long_validation_is_under_way(
    server: Served, stored: str, waiting: tuple[str, threading.Event, threading.Event]
) -> None:
    method, begun, go_on = waiting
    content = json.dumps(transaction(MANY))
    assert len(content) > LONG
    collection = {"resourceType": "Bundle", "id": "held", "type": "collection"}
    headers = {"Content-Type": "application/fhir+json"}
    with ThreadPoolExecutor(1) as thread:
        if method == "POST":
            asked = thread.submit(server.http.post, "/$validate", content=content, headers=headers)
        else:
            go_on.set()
            assert server.http.put("/Bundle/held", json=collection).status_code in (200, 201)
            go_on.clear()
            begun.clear()
            asked = thread.submit(server.http.get, "/Bundle/held/$validate")
        assert begun.wait(20)
        assert server.http.get(stored).status_code == 200
        body = {"resourceType": "Patient", "active": True}
        assert server.http.post("/Patient", json=body).status_code == 201
        assert not asked.done()
        go_on.set()
        assert asked.result().status_code == 200


def test_it_says_the_same_and_where(server: Served) -> None:
    bundle = transaction(MANY)
    bundle["entry"][MANY - 1]["resource"]["gender"] = "wrong"
    text = json.dumps(bundle, indent=1)
    headers = {"Content-Type": "application/fhir+json"}
    found = issues(server.http.post("/$validate", content=text, headers=headers))
    assert [rule(each) for each in found].count("would-create") == MANY - 1
    (wrong,) = [each for each in found if each["severity"] == "error"]
    line = next(at for at, each in enumerate(text.splitlines(), 1) if "gender" in each)
    assert wrong["location"][0].startswith(f"Line {line}, ")


def test_what_cannot_be_read_is_refused_alike(server: Served) -> None:
    headers = {"Content-Type": "application/fhir+json"}
    answer = server.http.post("/$validate", content=b"[" * (LONG + 1), headers=headers)
    assert answer.status_code == 400
    assert server.http.get("/Patient/nobody/$validate").status_code == 404


def test_threads_that_draw_ids_draw_none_twice() -> None:
    ids = app._Ids()
    with ThreadPoolExecutor(8) as threads:
        drawn = list(threads.map(lambda _: [ids() for _ in range(2000)], range(8)))
    assert len({each for some in drawn for each in some}) == 8 * 2000
