"""The audit names the children of whom an answer told, whatever was asked for."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_server.store import audit, audit_search, chain
from fhir_server.store.audit import Access
from fhir_server.store.search.keys import place
from tests.support.databases import KINDS
from tests.support.server import Served, put, served

MANY = 12


def child(name: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": name, "name": [{"family": "Wren"}], **more}


def weight(name: str, subject: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": name, "status": "final", "code": {"text": "weight"},
        "subject": {"reference": f"Patient/{subject}"},
    }  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def ward(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Children c0, c1, …, each with an observation; c0 and c1 are in a Group; c0's parents answered."""
    with served(tmp_path_factory.mktemp("ward"), request.param) as server:
        named = [f"c{number}" for number in range(MANY)]
        answers = {
            "resourceType": "QuestionnaireResponse", "id": "answers", "status": "completed",
            "subject": {"reference": "Patient/c0"}, "source": {"reference": "Patient/c0"},
        }  # fmt: skip
        members = [{"entity": {"reference": f"Patient/{each}"}} for each in named[:2]]
        group = {
            "resourceType": "Group", "id": "g", "type": "person", "actual": True, "member": members,
        }  # fmt: skip
        put(server, *map(child, named), *(weight(f"w-{each}", each) for each in named))
        put(server, answers, group)
        yield server


def told(server: Served, method: str, url: str, **more: Any) -> set[str]:
    """Ask, and return the children whom the row of it names."""
    last = _last(server)
    answer = server.http.request(method, url, **more)
    assert answer.status_code < 500, answer.text
    (row,) = _since(server, last)
    return set(audit_search.patients(server.context.database, [row]).values())


def _last(server: Served) -> int:
    return int(server.context.database.read("SELECT coalesce(max(id), 0) FROM audit")[0][0])


def _since(server: Served, last: int) -> list[Access]:
    for _ in range(100):
        time.sleep(audit.DELAY)
        found = [
            each
            for each in audit_search.page(server.context.database, (), None, 50)
            if each.id > last
        ]
        if found:
            return found
    raise AssertionError("nothing was recorded")


def test_reads_and_histories_name_the_child_whose_it_is(ward: Served) -> None:
    for url in ("/Patient/c3", "/Observation/w-c3", "/Observation/w-c3/_history/1",
                "/Patient/c3/_history", "/Observation/w-c3/_history"):  # fmt: skip
        assert told(ward, "GET", url) == {"c3"}, url


def test_a_page_of_a_search_names_those_on_it(ward: Served) -> None:
    every = {f"c{number}" for number in range(MANY)}
    assert told(ward, "GET", "/Observation", params={"_count": 50}) == every
    assert told(ward, "POST", "/Patient/_search", data={"family": "Wren"}) == every
    assert told(ward, "GET", "/Patient", params={"_count": 5}) < every
    assert told(ward, "GET", "/Observation", params={"patient": "Patient/c4"}) == {"c4"}
    with_child = {"_id": "w-c5", "_include": "Observation:subject"}
    assert told(ward, "GET", "/Observation", params=with_child) == {"c5"}
    with_weight = {"_id": "c6", "_revinclude": "Observation:subject"}
    assert told(ward, "GET", "/Patient", params=with_weight) == {"c6"}
    assert told(ward, "GET", "/Patient/c7/Observation") == {"c7"}
    assert told(ward, "GET", "/Patient/c7/$everything") == {"c7"}


def test_what_tells_of_nobody_names_nobody(ward: Served) -> None:
    assert told(ward, "GET", "/Patient", params={"_summary": "count"}) == set()
    assert told(ward, "GET", "/Patient/nobody") == set()
    assert told(ward, "GET", "/Questionnaire", params={"_count": 2}) == set()
    assert told(ward, "GET", "/metadata") == set()


def test_what_is_the_registrys_alone_names_those_whom_it_is_about(ward: Served) -> None:
    assert told(ward, "GET", "/QuestionnaireResponse/answers") == {"c0"}
    assert told(ward, "GET", "/Group/g") == {"c0", "c1"}


def test_operations_name_those_whom_their_answers_are_about(ward: Served) -> None:
    assert told(ward, "GET", "/Observation/$lastn?patient=Patient/c2&max=1") <= {"c2"}
    sent = {
        "resourceType": "Parameters",
        "parameter": [{"name": "resource", "resource": child("x")}],
    }
    assert told(ward, "POST", "/Patient/$validate", json=sent) == set()


def test_a_write_names_its_child_and_one_in_vain_whom_it_found(ward: Served) -> None:
    assert told(ward, "PUT", "/Observation/new", json=weight("new", "c8")) == {"c8"}
    assert told(ward, "PUT", "/Observation/new", json=weight("new", "c9")) == {"c8", "c9"}
    assert told(ward, "DELETE", "/Observation/new") == {"c9"}
    found = {"If-None-Exist": "_id=c1"}
    assert told(ward, "POST", "/Patient", json=child("x"), headers=found) == {"c1"}
    named = {"resourceType": "Group", "type": "person", "actual": True,
             "member": [{"entity": {"reference": "Patient/c10"}}]}  # fmt: skip
    assert told(ward, "POST", "/Group", json=named) == {"c10"}


def test_each_entry_of_a_batch_names_its_own(ward: Served) -> None:
    last = _last(ward)
    entries = [{"request": {"method": "GET", "url": f"Patient/c{number}"}} for number in (1, 2)]
    ward.http.post("", json={"resourceType": "Bundle", "type": "batch", "entry": entries})
    found = [audit_search.patients(ward.context.database, [each]) for each in _since(ward, last)]
    assert [set(each.values()) for each in found] == [{"c2"}, {"c1"}]


def test_a_query_is_recorded_by_its_names_and_no_value(ward: Served) -> None:
    asked = {
        "/Patient?family=Wren&identifier=9449305552&_count=1": "family&identifier&_count",
        "/Observation?patient.name:exact=Wren&code=8302-2": "patient.name:exact&code",
        "/Observation?_has:Provenance:target:agent=x&_sort=-date": "_has:Provenance:target:agent&_sort",
        "/Patient?9449305552=Wren&Wren": "other&other",
    }  # fmt: skip
    for url, names in asked.items():
        last = _last(ward)
        ward.http.get(url)
        (row,) = _since(ward, last)
        assert row.query == names
    last = _last(ward)
    ward.http.post("/Patient/_search", data={"family": "Wren"})
    assert _since(ward, last)[0].query == "family"


def test_who_asked_is_recorded_with_role_and_address(ward: Served) -> None:
    last = _last(ward)
    ward.http.get("/Patient/c1")
    ward.http.put("/Patient/c11", json=child("c11", gender="female"))
    for _ in range(20):
        if len(found := _since(ward, last)) == 2:
            break
    assert [(each.agent.role, each.agent.address) for each in found] == [
        ("registry", "127.0.0.1")
    ] * 2


def test_an_export_names_whom_its_files_are_about(ward: Served) -> None:
    headers = {"Prefer": "respond-async", "Accept": "application/fhir+json"}
    last = _last(ward)
    kicked = ward.http.get("/Patient/$export?_type=Observation&patient=Patient/c1", headers=headers)
    while ward.http.get(kicked.headers["Content-Location"]).status_code == 202:
        time.sleep(0.05)
    time.sleep(2 * audit.DELAY)
    (row,) = (each for each in _since(ward, last) if each.query == "_type=Observation")
    assert row.interaction == "$export"
    assert set(audit_search.patients(ward.context.database, [row]).values()) == {"c1"}


def test_a_purge_hides_the_child_and_the_chain_holds(tmp_path: Path) -> None:
    for kind in KINDS:
        with served(tmp_path / kind, kind) as server:
            put(server, child("ada"), child("bea"))
            server.http.get("/Patient", params={"_count": 10})
            database = server.context.database
            of_ada = audit_search.of_child(database, "ada")
            before = _settled(server, 2, of_ada)
            reason = [{"name": "reason", "valueString": "the family asked"}]
            body = {"resourceType": "Parameters", "parameter": reason}
            server.http.post("/Patient/ada/$purge", json=body).raise_for_status()
            after = audit_search.page(database, [of_ada], None, 50)
            assert [each.id for each in after[1:]] == [each.id for each in before]
            assert after[0].interaction == "purge"
            assert set(audit_search.patients(database, after).values()) == {"bea"}
            with database.snapshot() as read:
                assert [p for step in chain.verify(read) for p in step.problems] == []
                texts = read("SELECT children FROM audit WHERE children IS NOT NULL")
            gone = str(place("Patient", "ada"))
            assert not any(gone in row[0].split() for row in texts)


def _settled(server: Served, many: int, *conditions: Any) -> list[Access]:
    for _ in range(100):
        found = audit_search.page(server.context.database, conditions, None, 50)
        if len(found) >= many:
            return found
        time.sleep(audit.DELAY)
    raise AssertionError("not recorded")
