"""Records that may be one child's become a Task for a steward, once, and are never merged."""

from typing import Any

import pytest

from tests.functional.test_hl7v2 import NHS, admission, msa, one, send
from tests.functional.test_moves import child, event, mrg, pid
from tests.support.server import Served

TASK = "https://csor.example/fhir/CodeSystem/task"


def tasks(server: Served, patient: str) -> list[dict[str, Any]]:
    query = f"/Task?code={TASK}|possible-duplicate&status=requested&patient={patient}"
    return [entry["resource"] for entry in server.http.get(query).json().get("entry", ())]


def named(control_id: str, number: str, name: str, born: str = "20200102") -> str:
    text = admission(control_id, number).replace("Testchild-Wren^Fictitious", name)
    return text.replace("20200102", born)


def test_a_new_child_like_another_is_put_beside_it_once(server: Served) -> None:
    first, second = "9990000018", "9990000026"
    send(server, named("A-1", first, "Testchild, One^Ann"))
    send(server, named("A-2", second, "TESTCHILD, ONE^ann^Bea"))
    send(server, named("A-3", second, "TESTCHILD, ONE^ann^Bea"))
    (task,) = tasks(server, child(server, second))
    assert task["focus"]["reference"] == f"Patient/{child(server, first)}"
    for number in (first, second):
        patient = one(server, f"Patient?identifier={NHS}|{number}")
        assert patient["active"] is True
        assert "link" not in patient


@pytest.mark.parametrize(
    ("number", "name", "born"),
    [
        ("9990000042", "Testchild-Two^Bea", "20200102"),
        ("9990000050", "Testchild-Two^Ann", "20200103"),
        ("9990000069", "Testchild-Two-Wren^Ann", "20200102"),
        ("9990000077", "Testchild-Two", "20200102"),
    ],
    ids=["another given name", "another day", "a longer name", "no given name"],
)
def test_what_differs_is_no_duplicate(server: Served, number: str, name: str, born: str) -> None:
    send(server, named("B-1", "9990000034", "Testchild-Two^Ann"))
    send(server, named(f"B-{number}", number, name, born))
    assert child(server, number)
    assert tasks(server, child(server, number)) == []


def test_numbers_of_several_records_are_refused_and_put_before_a_steward(server: Served) -> None:
    first, second = "9990000085", "9990000093"
    send(server, named("C-1", first, "Testchild-Three^Ann"))
    send(server, named("C-2", second, "Testchild-Three^Bea"))
    both = event("A31", "C-3", pid(first, f"7{second[-4:]}"))
    for _ in range(2):
        assert msa(send(server, both)[0])[1] == "AE"
    found = [*tasks(server, child(server, first)), *tasks(server, child(server, second))]
    (task,) = found
    about = {task["focus"]["reference"], task["for"]["reference"]}
    assert about == {f"Patient/{child(server, number)}" for number in (first, second)}
    merge = event("A40", "C-4", pid(first), mrg(second, f"7{second[-4:]}"))
    assert msa(send(server, merge)[0])[1] == "AA"
    done = {**task, "status": "completed"}
    assert server.http.put(f"/Task/{task['id']}", json=done).status_code == 200
    assert msa(send(server, both)[0])[1] == "AA"
    assert tasks(server, child(server, first)) == []


def test_a_task_does_not_keep_a_child_from_being_purged(server: Served) -> None:
    first, second = "9990000107", "9990000115"
    send(server, named("D-1", first, "Testchild-Four^Ann"))
    send(server, named("D-2", second, "Testchild-Four^Ann"))
    gone = child(server, second)
    assert len(tasks(server, gone)) == 1
    reason = {"name": "reason", "valueString": "asked for"}
    body = {"resourceType": "Parameters", "parameter": [reason]}
    assert server.http.post(f"/Patient/{gone}/$purge", json=body).status_code == 200
    assert server.http.get(f"/Patient/{gone}").status_code in (404, 410)
    assert child(server, first)
