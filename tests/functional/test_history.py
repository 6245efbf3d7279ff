"""History: what was stored before is still there. https://hl7.org/fhir/R4/http.html#history."""

from typing import Any

import pytest

from tests.support.server import Served


@pytest.fixture(scope="module")
def child(server: Served) -> str:
    """A Patient in three versions; returns its id."""
    body: dict[str, Any] = {"resourceType": "Patient", "birthDate": "2020-01-01"}
    created = server.http.post("/Patient", json=body).json()
    for gender in ("female", "male"):
        server.http.put(
            f"/Patient/{created['id']}", json={**body, "id": created["id"], "gender": gender}
        )
    return str(created["id"])


def versions(bundle: dict[str, Any]) -> list[str]:
    return [entry["resource"]["meta"]["versionId"] for entry in bundle.get("entry", [])]


def test_an_instance_has_all_its_versions_newest_first(server: Served, child: str) -> None:
    bundle = server.http.get(f"/Patient/{child}/_history").json()
    assert (bundle["type"], bundle["total"]) == ("history", 3)
    assert versions(bundle) == ["3", "2", "1"]
    methods = [entry["request"]["method"] for entry in bundle["entry"]]
    assert methods == ["PUT", "PUT", "POST"]
    assert bundle["entry"][0]["response"]["etag"] == 'W/"3"'


def test_a_type_and_the_system_have_theirs(server: Served, child: str) -> None:
    of_type = server.http.get("/Patient/_history").json()
    assert versions(of_type) == ["3", "2", "1"]
    of_system = server.http.get("/_history?_count=5").json()
    assert of_system["total"] > of_type["total"]
    assert len(of_system["entry"]) == 5


def test_pages_are_stable_while_others_write(server: Served, child: str) -> None:
    url: str | None = f"/Patient/{child}/_history?_count=1"
    seen: list[str] = []
    while url:
        page = server.http.get(url).json()
        seen += versions(page)
        current = server.http.get(f"/Patient/{child}").json()
        if len(seen) == 1:
            server.http.put(f"/Patient/{child}", json={**current, "active": True})
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
    assert seen == ["3", "2", "1"]


def test_since_and_at_choose_by_time(server: Served, child: str) -> None:
    second = server.http.get(f"/Patient/{child}/_history/2").json()["meta"]["lastUpdated"]
    since = server.http.get(f"/Patient/{child}/_history", params={"_since": second}).json()
    assert versions(since)[-1] == "2"
    at = server.http.get(f"/Patient/{child}/_history", params={"_at": second}).json()
    assert "2" in versions(at)
    assert "4" not in versions(at)


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/Patient/nobody/_history", 404),
        ("/Patient/_history?_since=yesterday", 400),
        ("/Patient/_history?_count=many", 400),
        ("/Patient/_history?family=x", 400),
    ],
)
def test_what_cannot_be_answered_is_refused(server: Served, url: str, status: int) -> None:
    assert server.http.get(url).status_code == status


class TestConditionalRead:
    def test_if_modified_since(self, server: Served, child: str) -> None:
        answer = server.http.get(f"/Patient/{child}")
        stamp = answer.headers["Last-Modified"]
        again = server.http.get(f"/Patient/{child}", headers={"If-Modified-Since": stamp})
        assert again.status_code == 304
        earlier = {"If-Modified-Since": "Mon, 01 Jan 2018 00:00:00 GMT"}
        assert server.http.get(f"/Patient/{child}", headers=earlier).status_code == 200

    def test_head_is_a_get_without_a_body(self, server: Served, child: str) -> None:
        answer = server.http.head(f"/Patient/{child}")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["ETag"]


class TestPrefer:
    BODY = {"resourceType": "Patient", "birthDate": "2020-02-02"}  # noqa: RUF012 - not changed

    def test_minimal_answers_without_a_body(self, server: Served) -> None:
        answer = server.http.post("/Patient", json=self.BODY, headers={"Prefer": "return=minimal"})
        assert (answer.status_code, answer.content) == (201, b"")
        assert "/_history/1" in answer.headers["Location"]

    def test_operation_outcome_says_what_was_done(self, server: Served) -> None:
        headers = {"Prefer": "return=OperationOutcome"}
        answer = server.http.post("/Patient", json=self.BODY, headers=headers)
        assert answer.json()["resourceType"] == "OperationOutcome"

    def test_representation_is_the_default(self, server: Served) -> None:
        assert server.http.post("/Patient", json=self.BODY).json()["resourceType"] == "Patient"
