"""What one request may take: of time, of length, of the database. Sockets are real, and so are the limits."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fhir_server.interactions.limits import limits
from fhir_server.store import read as store
from fhir_server.store.database import open_database
from r4.issue import FhirError
from tests.support.databases import KINDS, new_database
from tests.support.server import Served, served

ENDLESS = (
    "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2000000000)"
    " SELECT count(*) FROM n"
)
LATE = 1.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    limited = {"request_seconds": LATE, "max_url": 4000, "max_headers": 8000, "max_body": 50_000}
    with served(
        tmp_path_factory.mktemp("limits"), outcomes=False, mllp=False, **limited
    ) as running:
        yield running


def connected(server: Served) -> socket.socket:
    place = ("127.0.0.1", server.context.settings.fhir_port)
    return socket.create_connection(place, timeout=15 * LATE)


def rest(connection: socket.socket) -> bytes:
    """Read until the server closes."""
    found = b""
    while piece := connection.recv(65536):
        found += piece
    return found


def answer(raw: bytes) -> tuple[int, dict[str, Any]]:
    head, _, content = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(content)["issue"][0] if content else {}


class TestTime:
    def test_a_connection_that_says_nothing_is_closed(self, server: Served) -> None:
        began = time.monotonic()
        with closing(connected(server)) as connection:
            assert rest(connection) == b""
        assert time.monotonic() - began >= LATE

    def test_a_head_that_comes_byte_by_byte_is_not_waited_for(self, server: Served) -> None:
        with closing(connected(server)) as connection:
            connection.sendall(b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            raw = dripped(connection)
        status, issue = answer(raw)
        assert (status, issue["code"]) == (408, "timeout")
        assert "within 1 seconds" in issue["diagnostics"]

    def test_a_body_that_comes_byte_by_byte_is_not_waited_for(self, server: Served) -> None:
        before = stored(server)
        with closing(connected(server)) as connection:
            connection.sendall(
                b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\n"
                b'Content-Type: application/fhir+json\r\nContent-Length: 40000\r\n\r\n{"resourceType":'
            )
            raw = dripped(connection)
        status, issue = answer(raw)
        assert (status, issue["code"]) == (408, "timeout")
        assert stored(server) == before

    def test_beside_fhir_too(self, server: Served) -> None:
        with closing(connected(server)) as connection:
            connection.sendall(
                b"POST /token HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 4000\r\n\r\na="
            )
            assert answer(dripped(connection))[0] == 408

    def test_others_are_answered_meanwhile(self, server: Served) -> None:
        slow = [connected(server) for _ in range(50)]
        try:
            for each in slow:
                each.sendall(b"GET /fhir/metadata HTTP/1.1\r\nHost: loc")
            assert server.http.get("/Patient").status_code == 200
        finally:
            for each in slow:
                each.close()

    def test_a_second_request_has_its_own_time(self, server: Served) -> None:
        asked = b"GET /fhir/Patient?_summary=count HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with closing(connected(server)) as connection:
            for _ in range(3):
                connection.sendall(asked)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
                time.sleep(LATE / 2)


def dripped(connection: socket.socket) -> bytes:
    """Send a byte now and then until the server has had enough; returns what it says."""
    connection.settimeout(LATE / 10)
    found, deadline = b"", time.monotonic() + 15 * LATE
    while time.monotonic() < deadline:
        try:
            connection.sendall(b"x")
        except OSError:
            return found
        try:
            piece = connection.recv(65536)
        except TimeoutError:
            continue
        except ConnectionError:
            return found
        if not piece:
            return found
        found += piece
    raise AssertionError("the server waits still")


def stored(server: Served) -> int:
    return int(server.http.get("/Patient?_summary=count").json()["total"])


class TestLength:
    def asked(self, server: Served, head: bytes) -> tuple[int, dict[str, Any]]:
        with closing(connected(server)) as connection:
            connection.sendall(head)
            return answer(rest(connection))

    def test_a_long_url_is_refused(self, server: Served) -> None:
        line = b"GET /fhir/Patient?name=" + b"a" * 4000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
        status, issue = self.asked(server, line)
        assert (status, issue["code"]) == (414, "too-long")
        assert "4000 bytes: search by POST" in issue["diagnostics"]

    def test_a_url_as_long_as_may_be_is_answered(self, server: Served) -> None:
        path = "/fhir/Patient?name="
        answer = server.http.get(f"/Patient?name={'a' * (4000 - len(path))}")
        assert answer.status_code == 200

    @pytest.mark.parametrize(
        "headers", [b"X-Long: " + b"a" * 8000 + b"\r\n", b"X-Many: 1\r\n" * 101]
    )
    def test_long_headers_are_refused(self, server: Served, headers: bytes) -> None:
        head = b"GET /fhir/Patient HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n"
        status, issue = self.asked(server, head)
        assert (status, issue["code"]) == (431, "too-long")

    def test_a_header_without_an_end_is_refused_before_it_ends(self, server: Served) -> None:
        head = b"GET /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nX-Long: "
        status, _ = self.asked(server, head + b"a" * 100_000)
        assert status == 431

    def test_a_refusal_of_a_head_has_the_headers_of_every_answer(self, server: Served) -> None:
        with closing(connected(server)) as connection:
            connection.sendall(b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head, _, content = rest(connection).partition(b"\r\n\r\n")
        assert b"\r\nx-content-type-options: nosniff\r\n" in head + b"\r\n"
        assert json.loads(content)["resourceType"] == "OperationOutcome"

    def test_a_body_that_is_too_large_is_refused_as_soon_as_it_is(self, server: Served) -> None:
        answer = server.http.post("/Patient", content=b" " * 60_000)
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (413, "too-long")

    def test_what_is_no_http_is_refused_in_fhirs_words(self, server: Served) -> None:
        status, issue = self.asked(server, b"MSH|^~\\&|PAS|RTH\r\n\r\n")
        assert (status, issue["code"]) == (400, "structure")

    def test_a_web_socket_is_not_opened(self, server: Served) -> None:
        head = (
            b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        with closing(connected(server)) as connection:
            connection.sendall(head)
            assert connection.recv(65536).split()[1] != b"101"


class TestCost:
    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("/Patient?" + "&".join("name=a" for _ in range(101)), "at most 100 parameters"),
            ("/Patient?name=" + ",".join("a" * 1 for _ in range(201)), "at most 200 values"),
            (
                "/Observation?subject:Patient." + "link:Patient." * 10 + "name=a",
                "A chain has at most 10 links",
            ),
            ("/Patient?" + "_has:Patient:link:" * 11 + "name=a", "A chain has at most 10 links"),
            (
                "/Observation?"
                + "&".join(["subject:Patient.link:Patient.link:Patient.link.name=a"] * 99),
                "to more than 300 types",
            ),
            ("/Patient?_filter=" + " or ".join("name eq a" for _ in range(201)), "200 comparisons"),
            ("/Patient?_filter=" + "(" * 22 + "name eq a" + ")" * 22, "nested at most 20 deep"),
        ],
    )
    def test_a_search_that_costs_too_much_is_refused_with_its_limit(
        self, server: Served, path: str, said: str
    ) -> None:
        kind, _, query = path.strip("/").partition("?")
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = server.http.post(f"/{kind}/_search", content=query, headers=form)
        (issue,) = answer.json()["issue"]
        assert (answer.status_code, issue["code"]) == (422, "too-costly")
        assert said in issue["diagnostics"]

    def test_a_page_has_at_most_a_thousand(self, server: Served) -> None:
        asked = {"_count": "100000", "_elements": "id", "_type": "CodeSystem,ValueSet"}
        found = server.http.get("/", params=asked)
        assert found.status_code == 200
        assert len(found.json()["entry"]) <= 1000

    def test_every_limit_is_stated_in_words_and_for_programs(self, server: Served) -> None:
        (rest,) = server.http.get("/metadata").json()["rest"]
        stated = {
            each["extension"][0]["valueCode"]: each["extension"][1]["valueInteger"]
            for each in rest["extension"]
        }
        known = limits(server.context.settings)
        assert stated == {each.name: each.most for each in known}
        assert (stated["url-bytes"], stated["request-bytes"]) == (4000, 50_000)
        for each in known:
            assert f"- {each.most} {each.text}; beyond: {each.answer}" in rest["documentation"]


@pytest.mark.parametrize("kind", KINDS)
class TestQueries:
    def test_one_that_takes_too_long_is_answered_503_and_the_next_one_is_answered(
        self, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = store.page

        def slow(context_database: Any, query: Any) -> Any:
            if query.type == "Basic":
                context_database.read(ENDLESS)
            return page(context_database, query)

        monkeypatch.setattr(store, "page", slow)
        limited = {"query_seconds": 0.5, "outcomes": False, "mllp": False}
        with served(tmp_path, kind, **limited) as server:
            began = time.monotonic()
            answer = server.http.get("/Basic")
            took = time.monotonic() - began
            (issue,) = answer.json()["issue"]
            assert (answer.status_code, issue["code"]) == (503, "timeout")
            assert "longer than the 0.5 seconds" in issue["diagnostics"]
            assert 0.5 <= took < 10
            assert server.http.get("/Patient").status_code == 200

    def test_a_command_has_all_the_time_it_needs(self, kind: str, tmp_path: Path) -> None:
        database = open_database(new_database(kind, tmp_path))
        try:
            ((many,),) = database.read(ENDLESS.replace("2000000000", "1000000"))
            assert many == 1_000_000
        finally:
            database.close()


def test_sqlite_ends_a_query_of_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    database = open_database(tmp_path / "csor.db")
    try:
        database.limit(0.2)
        with pytest.raises(FhirError) as refused:
            database.read(ENDLESS)
        assert refused.value.status == 503
        assert database.read("SELECT 1") == [(1,)]
    finally:
        database.close()
