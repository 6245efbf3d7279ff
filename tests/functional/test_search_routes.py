"""Search where it is asked for: of every type, in a compartment, leniently, and everything of a child."""

from typing import Any

import pytest

from tests.support.server import Served


@pytest.fixture(scope="module")
def child(server: Served) -> str:
    body: dict[str, Any] = {"resourceType": "Patient", "name": [{"family": "Testchild-Knot"}]}
    key = str(server.http.post("/Patient", json=body).json()["id"])
    for text in ("weight", "length"):
        observation = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": text},
            "subject": {"reference": f"Patient/{key}"},
        }
        assert server.http.post("/Observation", json=observation).status_code == 201
    return key


def kinds(bundle: dict[str, Any]) -> list[str]:
    return sorted(entry["resource"]["resourceType"] for entry in bundle.get("entry", []))


def test_every_type_is_searched_from_the_base(server: Served, child: str) -> None:
    for url in ("", "/"):
        found = server.http.get(f"{url}?_type=Patient,Observation&_count=10").json()
        assert kinds(found) == ["Observation", "Observation", "Patient"]
    posted = server.http.post("/_search", data={"_type": "Patient"}).json()
    assert kinds(posted) == ["Patient"]


def test_a_compartment_holds_what_is_the_childs(server: Served, child: str) -> None:
    found = server.http.get(f"/Patient/{child}/Observation").json()
    assert kinds(found) == ["Observation", "Observation"]
    assert kinds(server.http.get(f"/Patient/{child}/*").json()).count("Observation") == 2
    assert server.http.get("/Patient/nobody/Observation").status_code == 404
    assert server.http.get(f"/Patient/{child}/Medication").status_code == 404


def test_everything_of_a_child(server: Served, child: str) -> None:
    found = server.http.get(f"/Patient/{child}/$everything").json()
    assert kinds(found) == ["Observation", "Observation", "Patient"]
    assert server.http.get("/Patient/nobody/$everything").status_code == 404


def test_lenient_handling_leaves_out_what_is_unknown_and_says_so(
    server: Served, child: str
) -> None:
    lenient = {"Prefer": "handling=lenient"}
    answer = server.http.get("/Patient?familly=x", headers=lenient)
    assert answer.status_code == 200
    assert "familly" not in answer.json()["link"][0]["url"]
    assert server.http.get("/Patient?familly=x").status_code == 400


def test_chains_includes_and_has_work_over_http(server: Served, child: str) -> None:
    chained = server.http.get("/Observation?subject:Patient.family=testchild-knot").json()
    assert chained["total"] == 2
    included = server.http.get("/Observation?_include=Observation:subject").json()
    assert kinds(included) == ["Observation", "Observation", "Patient"]
    reverse = server.http.get("/Patient?_has:Observation:subject:status=final").json()
    assert reverse["total"] == 1


def test_a_reverse_include_follows_canonical_urls(server: Served, child: str) -> None:
    url = "http://x.example/Library/l"
    library = {
        "resourceType": "Library",
        "status": "draft",
        "url": url,
        "version": "1",
        "type": {"text": "x"},
    }
    assert server.http.post("/Library", json=library).status_code == 201
    measure = {"resourceType": "Measure", "status": "draft", "library": [f"{url}|1"]}
    assert server.http.post("/Measure", json=measure).status_code == 201
    found = server.http.get(f"/Library?url={url}&_revinclude=Measure:depends-on").json()
    assert kinds(found) == ["Library", "Measure"]
    assert kinds(server.http.get("/Measure?depends-on.version=1").json()) == ["Measure"]


@pytest.mark.parametrize(
    "query", ["name=%00", "_id=%00", "_id=%ED%A0%80", "name=%FF", "_list=%00", "_page=%00", "%00=x"]
)
def test_odd_bytes_are_never_a_failure_of_the_server(server: Served, query: str) -> None:
    assert server.http.get(f"/Patient?{query}").status_code in (200, 400)


def test_every_reverse_include_that_is_stated_is_served(server: Served) -> None:
    rest = server.http.get("/metadata").json()["rest"][0]
    (patient,) = (each for each in rest["resource"] if each["type"] == "Patient")
    for stated in patient["searchRevInclude"][:40]:
        answer = server.http.get("/Patient", params={"_revinclude": stated, "_count": "1"})
        assert answer.status_code == 200, stated
