"""Bodies sent gzipped, and answers that are: https://www.rfc-editor.org/rfc/rfc9110#section-8.4."""

import gzip
from pathlib import Path

import httpx
import pytest

from fhir_server.store import inbox
from tests.support.databases import opened
from tests.support.server import Served, served

pytestmark = pytest.mark.postgresql_slow

JSON = {"Content-Type": "application/fhir+json"}
CHILD = {"resourceType": "Patient", "name": [{"family": "Testchild"}]}
LONG = '<div xmlns="http://www.w3.org/1999/xhtml">' + "word " * 1000 + "</div>"


@pytest.fixture(scope="module", autouse=True)
def _children(server: Served) -> None:
    for key, more in (("short", {}), ("long", {"text": {"status": "generated", "div": LONG}})):
        body = {**CHILD, **more, "id": key}
        assert server.http.put(f"/Patient/{key}", json=body).status_code == 201


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
        raw = httpx.Request("PUT", "http://x", json={**CHILD, "id": key}).content
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
        with opened(server.context.settings.database) as database:
            kept = list(inbox.every(database, "refused"))
        assert any(each.raw == content and f'"{encoding}"' in each.target for each in kept)

    def test_a_bomb_is_refused_before_it_is_made(self, tmp_path: Path) -> None:
        with served(tmp_path, max_body=100_000) as small:
            bomb = gzip.compress(b" " * 50_000_000)
            assert len(bomb) < 100_000
            headers = {**JSON, "Content-Encoding": "gzip"}
            answer = small.http.post("/Patient", content=bomb, headers=headers)
            assert answer.status_code == 413
            with opened(small.context.settings.database) as database:
                (kept,) = inbox.every(database, "refused")
            assert len(kept.raw) <= len(bomb)
