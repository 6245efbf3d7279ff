"""`_summary` and `_elements` on a read: https://hl7.org/fhir/R4/search.html#summary."""

import pytest

from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow

CHILD = {
    "resourceType": "Patient",
    "id": "short",
    "name": [{"family": "Testchild"}],
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">-</div>'},
    "birthDate": "2020-02-29",
    "gender": "female",
}


@pytest.fixture(scope="module", autouse=True)
def _child(server: Served) -> None:
    assert server.http.put("/Patient/short", json=CHILD).status_code == 201


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
        text = server.http.get("/Patient/short?_summary=text").json()
        data = server.http.get("/Patient/short?_summary=data").json()
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
