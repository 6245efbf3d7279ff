"""Identity over time: numbers that change, visits that move from child to child, merges undone."""

from typing import Any

import pytest

from tests.functional.test_hl7v2 import HOSPITAL, MRN, NHS, ODS, admission, msa, one, send
from tests.support.server import Served

VISIT = "https://csor.example/fhir/sid/RTH/visit"
KINDS = ("Encounter", "Condition", "EpisodeOfCare")


@pytest.fixture(scope="module", autouse=True)
def _hospital(server: Served) -> None:
    assert server.http.put(f"/Organization?identifier={ODS}|RTH", json=HOSPITAL).status_code == 201


def event(code: str, control_id: str, *lines: str) -> str:
    """Write an ADT message of an event, later than the admissions."""
    head = f"MSH|^~\\&|PAS|RTH|CSOR|CSOR|202001041015||ADT^{code}|{control_id}|P|2.4"
    return "\r".join((head, f"EVN|{code}|202001041015", *lines, ""))


def pid(*numbers: str, account: str = "") -> str:
    listed = "~".join(f"{n}^^^NHS" if len(n) == 10 else f"{n}^^^RTH^MR" for n in numbers)
    return f"PID|1||{listed}||Testchild-Wren^Fictitious||20200102|1||||||||||{account}"


def mrg(*numbers: str, account: str = "", visit: str = "") -> str:
    listed = "~".join(f"{n}^^^NHS" if len(n) == 10 else f"{n}^^^RTH^MR" for n in numbers)
    return f"MRG|{listed}||{account}||{visit}"


def said(answers: list[list[str]]) -> list[str]:
    return [msa(answer)[1] for answer in answers]


def versions(server: Served, child: str) -> dict[str, str]:
    return {
        f"{kind}/{entry['resource']['id']}": entry["resource"]["meta"]["versionId"]
        for kind in KINDS
        for entry in server.http.get(f"/{kind}?patient={child}").json().get("entry", ())
    }


def counts(server: Served, child: str) -> list[int]:
    return [server.http.get(f"/{kind}?patient={child}").json()["total"] for kind in KINDS]


def child(server: Served, number: str) -> str:
    system = NHS if len(number) == 10 else MRN
    return str(one(server, f"Patient?identifier={system}|{number}")["id"])


@pytest.mark.parametrize(
    ("code", "numbers"),
    [("A34", ("9990000018", "9990000026")), ("A36", ("9990000034", "9990000042")),
     ("A18", ("9990000050", "9990000069"))],
)  # fmt: skip
def test_older_merges_merge_as_a40_does(
    server: Served, code: str, numbers: tuple[str, str]
) -> None:
    send(server, *(admission(f"{code}-{n}", n) for n in numbers))
    stands, goes = numbers
    merge = event(code, f"{code}-m", pid(stands), mrg(goes), "PV1|1|I")
    assert said(send(server, merge)) == ["AA"]
    retired = one(server, f"Patient?identifier={NHS}|{goes}")
    assert retired["active"] is False
    assert retired["link"][0]["other"]["reference"] == f"Patient/{child(server, stands)}"


def test_a_visit_moves_with_all_that_belongs_to_it(server: Served) -> None:
    wrong, right = "9990000077", "9990000085"
    send(server, admission("V-1", wrong), event("A28", "V-2", pid(right, "70085")))
    move = event("A44", "V-3", pid(right, account="70077-1"), mrg(wrong, account="70077-1"))
    assert said(send(server, move)) == ["AA"]
    before, after = child(server, wrong), child(server, right)
    assert counts(server, before) == [0, 0, 0]
    assert counts(server, after) == [1, 1, 1]
    moved = versions(server, after)
    told = server.http.get("/Provenance?_sort=-_lastUpdated&_count=1").json()["entry"][0]
    targets = {each["reference"] for each in told["resource"]["target"]}
    assert targets >= moved.keys()
    again = move.replace("|V-3|", "|V-4|")
    assert said(send(server, again)) == ["AA"]
    assert versions(server, after) == moved, "what is there already is unchanged"
    late = admission("V-5", wrong, event="A08")
    assert said(send(server, late)) == ["AE"], "the visit is no longer this child's"
    back = admission("V-6", wrong).replace("70077-1", "70077-2")
    assert said(send(server, back)) == ["AA"]
    assert counts(server, before) == [1, 1, 1], "a case of its own again"


def test_a_case_that_the_right_child_has_already_was_opened_in_error(server: Served) -> None:
    wrong, right = "9990000093", "9990000107"
    send(server, admission("C-1", wrong), admission("C-2", right))
    move = event("A44", "C-3", pid(right), mrg(wrong, visit="70093-1"))
    assert said(send(server, move)) == ["AA"]
    assert counts(server, child(server, right)) == [2, 2, 1]
    case = one(server, f"EpisodeOfCare?patient={child(server, wrong)}")
    assert case["status"] == "entered-in-error"
    assert not case.keys() & {"diagnosis", "identifier"}
    again = admission("C-4", wrong).replace("70093-1", "70093-2")
    assert said(send(server, again)) == ["AA"]
    cases = server.http.get(f"/EpisodeOfCare?patient={child(server, wrong)}").json()["entry"]
    assert sorted(each["resource"]["status"] for each in cases) == ["active", "entered-in-error"]


def test_a_move_that_cannot_be_is_refused_with_its_reason(server: Served) -> None:
    send(server, *(admission(f"R-{n}", n) for n in ("9990000115", "9990000123", "9990000131")))
    stays = versions(server, child(server, "9990000115"))
    moves = {
        "not known here": event("A44", "R-1", pid("9990000158"), mrg("9990000115", visit="70115-1")),
        "|70115-9 is not known": event("A44", "R-2", pid("9990000123"), mrg("9990000115", visit="70115-9")),
        "is already that of": event("A44", "R-3", pid("9990000123"), mrg("9990000131", visit="70115-1")),
        "MRG-3": event("A44", "R-4", pid("9990000123"), mrg("9990000115")),
    }  # fmt: skip
    for reason, move in moves.items():
        answer = send(server, move)[0]
        assert msa(answer)[1] == "AE"
        assert reason in "".join(answer).replace("\\F\\", "|")
    assert server.http.get(f"/Patient?identifier={NHS}|9990000158").json()["total"] == 0
    assert versions(server, child(server, "9990000115")) == stays


def visits(server: Served, number: str) -> list[dict[str, Any]]:
    found = server.http.get(f"/Encounter?identifier={VISIT}|{number}").json()
    return [entry["resource"] for entry in found.get("entry", ())]


def test_two_visits_that_were_one_are_joined(server: Served) -> None:
    number = "9990000166"
    first = admission("J-1", number)
    second = admission("J-2", number).replace("70166-1", "70166-2")
    second = second.replace("Q43.1^Hirschsprung's disease", "Q43.2^Other")
    send(server, first, second)
    join = event("A35", "J-3", pid(number, account="70166-2"), mrg(number, account="70166-1"))
    assert said(send(server, join, join.replace("|J-3|", "|J-4|"))) == ["AA", "AA"]
    (stands,) = visits(server, "70166-2")
    assert [each["id"] for each in visits(server, "70166-1")] == [stands["id"]]
    assert stands["meta"]["versionId"] == "2"
    assert [each.get("use") for each in stands["identifier"]] == [None, "old"]
    assert len(stands["diagnosis"]) == 2
    conditions = server.http.get(f"/Condition?encounter=Encounter/{stands['id']}").json()
    assert conditions["total"] == 2
    listed = server.http.get(f"/Encounter?patient={child(server, number)}").json()["entry"]
    statuses = sorted(each["resource"]["status"] for each in listed)
    assert statuses == ["entered-in-error", "in-progress"]
    assert said(send(server, first.replace("|J-1|", "|J-5|"))) == ["AA"]
    assert len(visits(server, "70166-1")) == 1, "the old number finds the visit that stands"


@pytest.mark.parametrize(("known", "number"), [("1", "9990000174"), ("2", "9990000182")])
def test_a_visit_gets_its_other_number_where_only_one_is_known(
    server: Served, known: str, number: str
) -> None:
    mrn = f"7{number[-4:]}"
    send(server, admission(f"O-{number}", number).replace(f"{mrn}-1", f"{mrn}-{known}"))
    accounts = {"account": f"{mrn}-2"}, {"account": f"{mrn}-1"}
    join = event("A35", f"O-{mrn}", pid(number, **accounts[0]), mrg(number, **accounts[1]))
    assert said(send(server, join)) == ["AA"]
    (stands,) = visits(server, f"{mrn}-2")
    assert visits(server, f"{mrn}-1") == [stands]
    assert stands["status"] == "in-progress"


def test_numbers_that_change_stay_as_old_ones(server: Served) -> None:
    wrong, right = "9990000190", "9990000204"
    send(server, admission("N-1", wrong))
    before = child(server, wrong)
    change = event("A47", "N-2", pid(right, "70190"), mrg(wrong))
    assert said(send(server, change, change.replace("|N-2|", "|N-3|"))) == ["AA", "AA"]
    patient = one(server, f"Patient?identifier={NHS}|{right}")
    assert patient["id"] == before
    uses = {each["value"]: each.get("use") for each in patient["identifier"]}
    assert uses == {wrong: "old", right: "official", "70190": "usual"}
    assert patient["meta"]["versionId"] == "2"
    assert said(send(server, event("A31", "N-4", pid(wrong, "70190")))) == ["AE"]


def test_an_old_hospital_number_stays_old(server: Served) -> None:
    send(server, admission("H-1", "9990000212"))
    change = event("A47", "H-2", pid("9990000212", "80212"), mrg("70212"))
    late = event("A31", "H-3", pid("9990000212", "70212"))
    assert said(send(server, change, late)) == ["AA", "AA"]
    patient = one(server, f"Patient?identifier={MRN}|70212")
    uses = {each["value"]: each.get("use") for each in patient["identifier"]}
    assert uses == {"9990000212": "official", "70212": "old", "80212": "usual"}
    back = event("A47", "H-4", pid("9990000212", "70212"), mrg("80212"))
    assert said(send(server, back)) == ["AA"]
    patient = one(server, f"Patient?identifier={MRN}|70212")
    assert {each["value"]: each.get("use") for each in patient["identifier"]}["70212"] == "usual"


def test_a_number_of_another_record_is_no_change_of_numbers(server: Served) -> None:
    send(server, admission("X-1", "9990000220"), admission("X-2", "9990000239"))
    change = event("A47", "X-3", pid("9990000239"), mrg("9990000220"))
    answer = send(server, change)[0]
    assert msa(answer)[1] == "AE"
    assert "A40" in "".join(answer)


def test_unlinking_makes_two_records_of_two_children_again(server: Served) -> None:
    stands, goes = "9990000247", "9990000255"
    send(server, admission("U-1", stands), admission("U-2", goes))
    merge = event("A40", "U-3", pid(stands), mrg(goes))
    undo = event("A37", "U-4", pid(stands), pid(goes))
    assert said(send(server, merge, undo, undo.replace("|U-4|", "|U-5|"))) == ["AA"] * 3
    for number in (stands, goes):
        patient = one(server, f"Patient?identifier={NHS}|{number}")
        assert patient["active"] is True
        assert "link" not in patient
        assert patient["meta"]["versionId"] == "3"
    assert said(send(server, event("A37", "U-6", pid(stands), pid("9990000263")))) == ["AE"]
