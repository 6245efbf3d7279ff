"""Observation/$grade: a post-operative event is graded as it is read, and no grade is stored."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from r4.json import decode
from tests.support.server import ROOT, Served, served

EVENT = (
    ROOT / "profiles/examples/csor-postoperative-event/valid/drained-under-general-anaesthesia.json"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(Path(tmp_path_factory.mktemp("grade")) / "csor.db") as running:
        event = decode(EVENT.read_bytes())
        for name in ("partOf", "performer"):
            del event[name]
        for body in (
            {"resourceType": "Patient", "id": "child"},
            event,
            {**event, "id": "told-of-nothing", "component": event["component"][3:4]},
        ):
            place = f"/{body['resourceType']}/{body['id']}"
            assert running.http.put(place, json=body).status_code == 201
        yield running


def test_an_event_is_graded_by_what_was_done_for_it(server: Served) -> None:
    answer = server.http.get("/Observation/event/$grade").json()
    told = {each["name"]: list(each.values())[1] for each in answer["parameter"]}
    assert told["grade"]["code"] == "iiib"
    assert (told["label"], told["presentAtDischarge"]) == ("IIIb", False)
    asked = {"resourceType": "Parameters", "parameter": []}
    assert server.http.post("/Observation/event/$grade", json=asked).json() == answer
    assert server.http.get("/Observation/event").json()["meta"]["versionId"] == "1"


@pytest.mark.parametrize(
    ("place", "status", "said"),
    [
        ("event/$grade?grading=clavien-madadi", 422, "Clavien-Madadi grade is not computed"),
        ("event/$grade?grading=asa", 400, "There is no grading"),
        ("told-of-nothing/$grade", 422, "add what was done for it"),
        ("nobody/$grade", 404, "nobody"),
    ],
)
def test_what_cannot_be_graded_is_refused_by_name(
    server: Served, place: str, status: int, said: str
) -> None:
    answer = server.http.get(f"/Observation/{place}")
    assert answer.status_code == status
    assert said in answer.json()["issue"][0]["diagnostics"]
