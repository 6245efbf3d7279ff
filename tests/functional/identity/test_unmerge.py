"""A merge that was wrong is undone: each child has again what came under its own numbers."""

from collections.abc import Callable
from typing import Any

import pytest

from fhir_server.commands.unmerge import unmerge
from fhir_server.store import inbox
from tests.functional.test_hl7v2 import NHS, admission, one, send
from tests.functional.test_moves import child, counts, event, mrg, pid, said, versions
from tests.support.server import Served

Undo = Callable[[Served, str, str], None]


def number_of(server: Served, control_id: str) -> int:
    every = inbox.every(server.context.database, "processed")
    return next(each.id for each in every if each.control_id == control_id)


def by_command(server: Served, stands: str, goes: str) -> None:
    unmerge(server.context.settings, number_of(server, f"{goes}-merge"), dry_run=False)


def by_message(server: Served, stands: str, goes: str) -> None:
    named = pid(goes, f"7{goes[-4:]}").replace("Wren", "Since")
    undo = event("A37", f"{goes}-undo", pid(stands), named)
    assert said(send(server, undo)) == ["AA"]


def merged(server: Served, stands: str, goes: str) -> None:
    """Admit two children, merge them, and let more come under either's numbers."""
    more = admission(f"{goes}-since", goes).replace(f"7{goes[-4:]}-1", f"7{goes[-4:]}-2")
    more = more.replace("Testchild-Wren", "Testchild-Since").replace("20200103101", "20200105101")
    theirs = admission(f"{stands}-since", stands).replace(f"7{stands[-4:]}-1", f"7{stands[-4:]}-2")
    both = admission(f"{goes}-both", goes).replace(f"7{goes[-4:]}-1", f"7{goes[-4:]}-3")
    both = both.replace(f"{goes}^^^NHS", f"{stands}^^^NHS")
    messages = [
        admission(f"{stands}-1", stands),
        admission(f"{goes}-1", goes),
        event("A40", f"{goes}-merge", pid(stands), mrg(goes, f"7{goes[-4:]}")),
        *(each.replace("EVN|A01|202001031015", "EVN|A01|202001051015")
          for each in (more, theirs, both)),
    ]  # fmt: skip
    assert said(send(server, *messages)) == ["AA"] * 6


@pytest.mark.parametrize(
    ("undo", "stands", "goes"),
    [(by_command, "9990000018", "9990000026"), (by_message, "9990000034", "9990000042")],
)
def test_each_has_again_what_came_under_its_own_numbers(
    server: Served, undo: Undo, stands: str, goes: str
) -> None:
    merged(server, stands, goes)
    weight = {
        "resourceType": "Observation", "status": "final", "code": {"text": "weight"},
        "subject": {"reference": f"Patient/{child(server, stands)}"},
        "encounter": {"reference": f"Encounter/{visit(server, f'7{goes[-4:]}-2')['id']}"},
    }  # fmt: skip
    weighed = server.http.post("/Observation", json=weight).json()["id"]
    assert counts(server, child(server, goes)) == [1, 1, 1]
    assert counts(server, child(server, stands)) == [4, 4, 1]
    undo(server, stands, goes)
    assert counts(server, child(server, goes)) == [2, 2, 1]
    assert counts(server, child(server, stands)) == [3, 3, 1], "what named both stays"
    observation = server.http.get(f"/Observation/{weighed}").json()
    assert observation["subject"]["reference"] == f"Patient/{child(server, goes)}"
    for number in (stands, goes):
        patient = one(server, f"Patient?identifier={NHS}|{number}")
        assert patient["active"] is True
        assert "link" not in patient
    assert patient["name"][0]["family"] == "Testchild-Since"
    after = versions(server, child(server, goes))
    told = server.http.get("/Provenance?_sort=-_lastUpdated&_count=1").json()["entry"][0]
    targets = {each["reference"] for each in told["resource"]["target"]}
    assert f"Observation/{weighed}" in targets
    assert f"Patient/{child(server, goes)}" in targets
    later = admission(f"{goes}-later", goes, event="A08")
    assert said(send(server, later)) == ["AA"]
    assert after.keys() == versions(server, child(server, goes)).keys()


def visit(server: Served, number: str) -> dict[str, Any]:
    return one(server, f"Encounter?identifier=https://csor.example/fhir/sid/RTH/visit|{number}")


def test_a_dry_run_says_what_would_change_and_changes_nothing(
    server: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    stands, goes = "9990000050", "9990000069"
    merged(server, stands, goes)
    before = versions(server, child(server, stands))
    number = number_of(server, f"{goes}-merge")
    unmerge(server.context.settings, number, dry_run=True)
    lines = capsys.readouterr().out.splitlines()
    assert versions(server, child(server, stands)) == before
    assert one(server, f"Patient?identifier={NHS}|{goes}")["active"] is False
    encounter = visit(server, f"7{goes[-4:]}-2")["id"]
    assert f"Encounter/{encounter}: Patient/{child(server, goes)}" in lines
    assert lines[-2] == "nothing was changed"
    assert lines[-1].startswith("1 messages named both")
    assert not any(name in line for line in lines for name in (stands, goes, "Testchild"))


def test_what_has_merged_nothing_is_refused(server: Served) -> None:
    send(server, admission("W-1", "9990000077"))
    for number, reason in ((number_of(server, "W-1"), "has merged no"), (999_999, "no processed")):
        with pytest.raises(Exception, match=reason):
            unmerge(server.context.settings, number, dry_run=False)
