"""The HTTP door itself: how paths are found, what is compressed, who may ask from where, files."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.access import Callers, Client
from fhir_server.app import application, context
from fhir_server.context import Context
from fhir_server.rest import sending
from fhir_server.rest.answers import Answer, Asked
from fhir_server.rest.request import Request
from fhir_server.rest.routes import TABLE, Interaction, routes
from fhir_server.settings import Settings
from fhir_server.store import inbox
from fhir_server.store.database import Database
from r4.issue import FhirError
from tests.support.server import Served, served

JSON = {"Content-Type": "application/fhir+json"}
PAGE = "https://app.example"


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


class TestGzip:
    def test_a_long_answer_is_compressed_for_who_accepts_it(self, server: Served) -> None:
        plain = server.http.get("/Patient/long", headers={"Accept-Encoding": "identity"})
        small = server.http.get("/Patient/long", headers={"Accept-Encoding": "br, gzip;q=0.5"})
        assert "content-encoding" not in plain.headers
        assert small.headers["content-encoding"] == "gzip"
        assert {plain.headers["vary"], small.headers["vary"]} == {"Accept-Encoding"}
        assert int(small.headers["content-length"]) < int(plain.headers["content-length"]) / 5
        assert small.json() == plain.json()

    @pytest.mark.parametrize("accepted", ["identity", "br", "gzip;q=0", "*;q=0", "gzip;q=0, *"])
    def test_it_is_not_for_who_does_not(self, server: Served, accepted: str) -> None:
        answer = server.http.get("/Patient/long", headers={"Accept-Encoding": accepted})
        assert "content-encoding" not in answer.headers

    def test_a_short_answer_is_sent_as_it_is(self, server: Served) -> None:
        answer = server.http.get("/Patient/short", headers={"Accept-Encoding": "gzip"})
        assert not {"content-encoding", "vary"} & set(answer.headers)

    @pytest.mark.parametrize("members", [1, 3])
    def test_a_body_may_be_sent_compressed(self, server: Served, members: int) -> None:
        key = f"sent-compressed-{members}"
        raw = httpx.Request("PUT", "http://x", json=patient(key)).content
        size = len(raw) // members + 1
        pieces = [raw[start : start + size] for start in range(0, len(raw), size)]
        answer = server.http.put(
            f"/Patient/{key}",
            content=b"".join(map(gzip.compress, pieces)),
            headers={**JSON, "Content-Encoding": "gzip"},
        )
        assert answer.status_code == 201
        assert server.http.get(f"/Patient/{key}").json()["name"] == [{"family": "Testchild"}]

    @pytest.mark.parametrize(
        ("content", "encoding", "status"),
        [
            (gzip.compress(b"{}" * 99)[:-9], "gzip", 400),
            (b"{}", "gzip", 400),
            (gzip.compress(b"") * 10_000, "gzip", 400),
            (b"{}", "br", 415),
            (b"{}", "gzip, gzip", 415),
        ],
        ids=["cut off", "not gzip", "many files", "another encoding", "two encodings"],
    )
    def test_what_cannot_be_read_is_refused_and_kept_as_it_was_sent(
        self, server: Served, content: bytes, encoding: str, status: int
    ) -> None:
        headers = {**JSON, "Content-Encoding": encoding}
        answer = server.http.post("/Patient", content=content, headers=headers)
        assert answer.status_code == status
        kept = inbox.waiting(Database(server.context.settings.database), "refused")
        assert any(each.raw == content and f'"{encoding}"' in each.target for each in kept)

    def test_a_bomb_is_refused_before_it_is_made(self, tmp_path: Path) -> None:
        with served(tmp_path, max_body=100_000) as small:
            bomb = gzip.compress(b" " * 50_000_000)
            assert len(bomb) < 100_000
            headers = {**JSON, "Content-Encoding": "gzip"}
            answer = small.http.post("/Patient", content=bomb, headers=headers)
            assert answer.status_code == 413
            (kept,) = inbox.waiting(Database(small.context.settings.database), "refused")
            assert len(kept.raw) <= len(bomb)


class TestCors:
    @pytest.fixture(scope="class")
    @staticmethod
    def open_to_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
        folder = tmp_path_factory.mktemp("cors")
        clients = folder / "clients.toml"
        digest = "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0"  # of "token"
        clients.write_text(f'[[client]]\nname = "page"\ntoken_sha256 = "{digest}"\n')
        origins = f"{PAGE}, https://other.example/"
        with served(folder, cors_origins=origins, clients=clients) as running:
            yield running

    def test_a_preflight_is_told_what_is_allowed(self, open_to_pages: Served) -> None:
        asked = {"Origin": PAGE, "Access-Control-Request-Method": "PUT"}
        answer = open_to_pages.http.options("/Patient/a", headers=asked)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
        allowed = answer.headers["Access-Control-Allow-Headers"].lower()
        assert {"authorization", "content-type", "if-match", "prefer"} <= set(allowed.split(", "))
        assert answer.headers["Vary"] == "Origin"

    def test_a_page_that_is_let_in_still_needs_a_token(self, open_to_pages: Served) -> None:
        answer = open_to_pages.http.get("/Patient", headers={"Origin": PAGE})
        assert answer.status_code == 401
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE

    def test_with_a_token_it_reads_the_headers_that_fhir_needs(self, open_to_pages: Served) -> None:
        headers = {"Origin": PAGE, "Authorization": "Bearer token"}
        answer = open_to_pages.http.get("/Patient", headers=headers)
        assert answer.status_code == 200
        exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
        assert {"ETag", "Location", "Last-Modified", "Content-Location"} <= set(exposed)

    def test_another_page_is_not_let_in(self, open_to_pages: Served) -> None:
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
        answer = open_to_pages.http.options("/Patient", headers=asked)
        assert answer.status_code == 401
        assert "Access-Control-Allow-Origin" not in answer.headers

    def test_the_capability_statement_says_so(self, open_to_pages: Served, server: Served) -> None:
        stated = [
            each.http.get("/metadata").json()["rest"][0]["security"]["cors"]
            for each in (open_to_pages, server)
        ]
        assert stated == [True, False]

    def test_without_the_setting_no_page_is_told_anything(self, server: Served) -> None:
        asked = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
        answer = server.http.options("/Patient", headers=asked)
        assert answer.status_code == 401
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "vary" not in answer.headers


class TestCallers:
    def test_one_who_is_known_is_not_mistaken_for_another(self) -> None:
        digest = "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0"
        callers = Callers((Client("page", digest),))
        local = {b"host": b"localhost:8000"}
        token = {**local, b"authorization": b"Bearer token"}
        for _ in range(2):
            assert callers.identify("127.0.0.1", local).name == "local"
            assert callers.identify("127.0.0.1", token).name == "page"
            assert callers.identify("192.0.2.7", token).name == "page"
            for host, headers in (
                ("192.0.2.7", local),
                ("127.0.0.1", {**local, b"authorization": b"Bearer tokem"}),
                ("127.0.0.1", {**local, b"origin": b"https://evil.example"}),
                ("127.0.0.1", {b"host": b"evil.example"}),
            ):
                with pytest.raises(FhirError) as refusal:
                    callers.identify(host, headers)
                assert refusal.value.status == 401

    def test_a_crowd_does_not_fill_the_memory(self) -> None:
        callers = Callers(())
        for port in range(5000):
            callers.identify("127.0.0.1", {b"host": b"localhost:%d" % port})
        assert len(callers._known) <= 1024


class TestAbridgedReads:
    def test_elements_are_those_asked_for(self, server: Served) -> None:
        found = server.http.get("/Patient/short?_elements=gender").json()
        assert set(found) == {"resourceType", "id", "meta", "gender"}
        assert found["meta"]["tag"][0]["code"] == "SUBSETTED"

    def test_a_version_is_abridged_too(self, server: Served) -> None:
        found = server.http.get("/Patient/short/_history/1?_elements=gender").json()
        assert "gender" in found
        assert "birthDate" not in found

    def test_summaries(self, server: Served) -> None:
        text = server.http.get("/Patient/long?_summary=text").json()
        data = server.http.get("/Patient/long?_summary=data").json()
        assert "text" in text
        assert "name" not in text
        assert "text" not in data
        assert "name" in data

    @pytest.mark.parametrize(
        ("query", "name"),
        [("_summary=count", "_summary"), ("_summary=x", "_summary"), ("familly=x", "familly")],
    )
    def test_what_a_read_does_not_know_is_refused(
        self, server: Served, query: str, name: str
    ) -> None:
        answer = server.http.get(f"/Patient/short?{query}")
        assert answer.status_code == 400
        assert answer.json()["issue"][0]["expression"] == [f"http.{name}"]

    def test_unless_handling_is_lenient(self, server: Served) -> None:
        lenient = [("Prefer", "return=minimal"), ("Prefer", "handling=lenient")]
        answer = server.http.get("/Patient/short?familly=x", headers=lenient)
        assert answer.json() == server.http.get("/Patient/short").json()

    def test_format_and_pretty_are_known(self, server: Served) -> None:
        answer = server.http.get("/Patient/short?_format=json&_pretty=true")
        assert answer.text.startswith('{\n  "resourceType"')
        assert server.http.get("/Patient/short?%5Fformat=xml").text.startswith("<?xml")


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
