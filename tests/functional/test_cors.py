"""Which pages may call, and who calls: https://hl7.org/fhir/R4/security.html#cors."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_server.access import Callers, Clients
from r4.issue import FhirError
from tests.support.server import Served, served

PAGE = "https://app.example"
DIGEST = "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0"  # of "token"


class TestCors:
    @pytest.fixture(scope="class")
    @staticmethod
    def open_to_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
        folder = tmp_path_factory.mktemp("cors")
        clients = folder / "clients.toml"
        clients.write_text(f'[[client]]\nname = "page"\ntoken_sha256 = "{DIGEST}"\n')
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
    def test_one_who_is_known_is_not_mistaken_for_another(self, tmp_path: Path) -> None:
        file = tmp_path / "clients.toml"
        file.write_text(f'[[client]]\nname = "page"\ntoken_sha256 = "{DIGEST}"\n')
        callers = Callers(Clients(file))
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
        callers = Callers(Clients(None))
        for port in range(5000):
            callers.identify("127.0.0.1", {b"host": b"localhost:%d" % port})
        assert len(callers._known) <= 1024
