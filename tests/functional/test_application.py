"""The HTTP door itself: how paths are found, HEAD, deletions without a target, files."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.app import application, context
from fhir_server.context import Context
from fhir_server.rest import sending
from fhir_server.rest.answers import Answer, Asked
from fhir_server.rest.request import Request
from fhir_server.rest.routes import TABLE, Interaction, routes
from fhir_server.settings import Settings
from tests.support.server import Served


def patient(key: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": key, "name": [{"family": "Testchild"}], **more}


@pytest.fixture(scope="module", autouse=True)
def _children(server: Served) -> None:
    long = {"text": {"status": "generated", "div": _narrative("word " * 1000)}}
    for body in (
        patient("short", birthDate="2020-02-29", gender="female"),
        patient("long", **long),
    ):
        assert server.http.put(f"/Patient/{body['id']}", json=body).status_code == 201


def _narrative(text: str) -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>'


class TestRoutes:
    @pytest.mark.parametrize(
        ("path", "code", "parameters"),
        [
            ("", "search-system", {}),
            ("metadata", "capabilities", {}),
            ("Patient", "search-type", {"type": "Patient"}),
            ("Patient/a", "read", {"type": "Patient", "id": "a"}),
            ("Patient/a/_history", "history-instance", {"type": "Patient", "id": "a"}),
            ("Patient/a/$everything", "$everything", {"type": "Patient", "id": "a"}),
            (
                "Patient/a/Observation",
                "search-compartment",
                {"type": "Patient", "id": "a", "member": "Observation"},
            ),
            ("Measure/a", "read", {"type": "Measure", "id": "a"}),
            ("Measure/$evaluate", "$evaluate", {"type": "Measure"}),
            ("Measure/a/$evaluate-measure", "$evaluate", {"type": "Measure", "id": "a"}),
            (
                "Patient/a/_history/3",
                "vread",
                {"type": "Patient", "id": "a", "version": "3"},
            ),
            ("_history", "history-system", {}),
        ],
    )
    def test_a_path_is_found_literal_segments_first(
        self, path: str, code: str, parameters: dict[str, str]
    ) -> None:
        found = routes().find(path.split("/") if path else [])
        assert found is not None
        assert (found.rows["GET"].code, found.parameters) == (code, parameters)

    @pytest.mark.parametrize("path", ["a/b/c/d/e", "Patient//a", "Patient/a/", "/Patient"])
    def test_what_is_in_no_row_is_not_found(self, path: str) -> None:
        assert routes().find(path.split("/")) is None

    def test_every_row_of_the_table_is_reached(self) -> None:
        tree = routes()
        for row in TABLE:
            path = row.path.strip("/").replace("{type}", "Basic")
            found = tree.find(path.split("/") if path else [])
            assert found is not None
            assert found.rows[row.method] is row

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/fhir/Patient/short", 200),
            ("/fhir/Patient/short/", 200),
            ("/fhir/Patient/", 200),
            ("/fhir/P%61tient/sh%6Frt", 200),
            ("/fhir/Patient/short%2F_history", 404),
            ("/fhir%2FPatient/short", 404),
            ("/fhir%2F", 404),
            ("http://localhost/fhir/Patient/short", 200),
            ("/fhir//Patient/short", 404),
            ("/fhir/Patient//short", 404),
            ("/fhir/Patient/short//", 404),
            ("//fhir/Patient/short", 404),
            ("/fhirs/Patient/short", 404),
            ("/Patient/short", 404),
        ],
    )
    def test_a_path_is_taken_as_it_is_written(self, server: Served, path: str, status: int) -> None:
        assert _raw(server, f"GET {path} HTTP/1.1").split()[1] == str(status)

    def test_a_method_that_a_url_does_not_serve_is_told_which_it_does(self, server: Served) -> None:
        answer = server.http.put("/metadata", json={})
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
        assert answer.json()["issue"][0]["code"] == "not-supported"

    def test_health_is_beside_the_fhir_endpoint(self, server: Served) -> None:
        answer = httpx.get(server.base_url.removesuffix("/fhir") + "/health")
        assert answer.json()["status"] == "ok"


def _raw(server: Served, line: str, *headers: str) -> str:
    """Send a request as it is written, which a client library would tidy; returns the answer."""
    host, port = server.base_url.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        lines = [line, f"Host: {host}", "Connection: close", *headers, "", ""]
        connection.sendall("\r\n".join(lines).encode())
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


class TestHead:
    @pytest.mark.parametrize("url", ["/Patient/short", "/Patient/long", "/Patient", "/Measure"])
    def test_it_answers_as_get_without_the_content(self, server: Served, url: str) -> None:
        full, head = server.http.get(url), server.http.head(url)
        assert head.status_code == 200
        assert head.content == b""
        same = ("content-length", "content-type", "etag", "last-modified", "content-encoding")
        assert [head.headers.get(name) for name in same] == [
            full.headers.get(name) for name in same
        ]

    def test_a_refusal_has_no_content_either(self, server: Served) -> None:
        head = server.http.head("/Patient/nobody")
        assert (head.status_code, head.content) == (404, b"")


def test_a_delete_without_an_id_or_criteria_is_refused(server: Served) -> None:
    for url in ("/Patient", "/Patient/"):
        answer = server.http.delete(url)
        assert answer.status_code == 400
        assert answer.json()["issue"][0]["code"] == "required"
    assert server.http.get("/Patient/short").status_code == 200


class TestFiles:
    @pytest.fixture(scope="class")
    @staticmethod
    def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
        made = tmp_path_factory.mktemp("files") / "Patient.ndjson"
        made.write_bytes(b'{"resourceType":"Patient"}\n' * 50_000)
        return made

    def test_a_file_is_sent_in_pieces_as_it_is(self, file: Path) -> None:
        events = asyncio.run(
            _sent("GET", Answer(b"", media_type="application/fhir+ndjson", file=file))
        )
        start, *pieces = events
        assert dict(start["headers"])[b"content-type"] == b"application/fhir+ndjson"
        assert dict(start["headers"])[b"content-length"] == b"%d" % file.stat().st_size
        assert len(pieces) > 3
        assert b"".join(piece["body"] for piece in pieces) == file.read_bytes()
        assert [piece.get("more_body", False) for piece in pieces][-1] is False

    def test_a_head_of_a_file_is_its_length(self, file: Path) -> None:
        start, body = asyncio.run(_sent("HEAD", Answer(b"", file=file)))
        assert dict(start["headers"])[b"content-length"] == b"%d" % file.stat().st_size
        assert body["body"] == b""


async def _sent(method: str, answer: Answer) -> list[Any]:
    events: list[Any] = []

    async def send(event: Any) -> None:
        events.append(event)

    await sending.send(Request(method, "/fhir/file", b"", {}), answer, {}, send)
    return events


@asynccontextmanager
async def answering(
    folder: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve one more row, which gives the answer to GET lines."""

    async def lines(_context: Context, _asked: Asked) -> Answer:
        return answer

    row = Interaction("GET", "/lines", "read", lines)
    monkeypatch.setattr("fhir_server.rest.application.routes", lambda: routes([row]))
    made = context(Settings(database=folder / "csor.db"))
    transport = httpx.ASGITransport(application(made), client=("127.0.0.1", 1))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost/fhir") as http:
            yield http
    finally:
        made.database.close()


async def test_what_has_a_media_type_is_sent_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Answer(b'{"one":1}\n', media_type="application/fhir+ndjson")
    async with answering(tmp_path, monkeypatch, given) as http:
        headers = {"Accept": "application/fhir+ndjson"}
        answer = await http.get("/lines?_pretty=true", headers=headers)
    assert (answer.status_code, answer.text) == (200, '{"one":1}\n')
    assert answer.headers["Content-Type"] == "application/fhir+ndjson"


async def test_a_file_that_is_gone_is_a_404(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Answer(b"", file=tmp_path / "gone.ndjson")
    async with answering(tmp_path, monkeypatch, given) as http:
        answer = await http.get("/lines")
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (404, "not-found")
