"""Visit events of HL7 v2 through the MLLP port: what one after another leaves of a stay."""

from itertools import count
from typing import Any

import hl7.client
import pytest

from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
MRN = "https://csor.example/fhir/sid/RTH/mrn"
VISIT = "https://csor.example/fhir/sid/RTH/visit"
CONTROL_IDS = count(1)
CHILDREN = count(81001)


@pytest.fixture(scope="module", autouse=True)
def _hospital(server: Served) -> None:
    body = {"resourceType": "Organization", "identifier": [{"system": ODS, "value": "RTH"}]}
    server.http.put(f"/Organization?identifier={ODS}|RTH", json={**body, "name": "Oxford"})


@pytest.fixture
def child() -> str:
    """The hospital number of a child that no other test knows; its visit is number -1."""
    return str(next(CHILDREN))


def pid(child: str, death: str = "") -> str:
    fields = [""] * 31
    fields[1], fields[3] = "1", f"{child}^^^RTH^MR"
    fields[5], fields[7], fields[8], fields[30] = "Testchild^Ann", "20250430", "2", death
    return "|".join(["PID", *fields[1:]])


def pv1(child: str, **told: str) -> str:
    """A PV1 of the child's visit, with fields by number: `_3` is PV1-3."""
    fields = [""] * 46
    fields[1], fields[2], fields[19], fields[44] = "1", "I", f"{child}-1", "202505060915"
    for name, text in told.items():
        fields[int(name[1:])] = text
    return "|".join(["PV1", *fields[1:]])


def message(event: str, day: str, *segments: str) -> str:
    """A message of its own each time, recorded on a day of May 2025, at noon."""
    at = f"202505{day}1200"
    header = f"MSH|^~\\&|PAS|RTH|CSOR|CSOR|{at}||ADT^{event}|V{next(CONTROL_IDS)}|P|2.4"
    return "\r".join((header, f"EVN|{event}|{at}", *segments, ""))


def told(child: str, event: str, day: str, **fields: str) -> str:
    return message(event, day, pid(child), pv1(child, **fields))


def deliver(server: Served, *messages: str) -> None:
    """Send messages one after the other, each of them twice."""
    with hl7.client.MLLPClient("127.0.0.1", server.mllp_port) as client:
        for text in messages:
            control_id = text.split("|")[9]
            for again in (text, text.replace(f"|{control_id}|", f"|{control_id}-again|", 1)):
                answer = client.send_message(again).decode()
                assert "MSA|AA|" in answer, answer


def visit(server: Served, child: str, number: str = "1") -> dict[str, Any]:
    found = server.http.get(f"/Encounter?identifier={VISIT}|{child}-{number}").json()
    assert found["total"] == 1
    return found["entry"][0]["resource"]


def patient(server: Served, child: str) -> dict[str, Any]:
    found = server.http.get(f"/Patient?identifier={MRN}|{child}").json()
    assert found["total"] == 1
    return found["entry"][0]["resource"]


def stay(encounter: dict[str, Any]) -> list[tuple[str, str, str | None, str | None]]:
    """Each place of a stay: its name, its status, and the days from which and until when."""
    listed = []
    for each in encounter.get("location", []):
        period = each.get("period", {})
        days = (period.get(end, "")[:10][-2:] or None for end in ("start", "end"))
        listed.append((each["location"]["display"], each["status"], *days))
    return listed


def statuses(encounter: dict[str, Any]) -> list[str]:
    return [each["status"] for each in encounter.get("statusHistory", [])]


DISCHARGE = {"_3": "WARD1", "_36": "1", "_37": "19", "_45": "202505141000"}


def test_a_stay_with_a_transfer_taken_back_and_a_discharge_taken_back(
    server: Served, child: str
) -> None:
    deliver(
        server,
        told(child, "A01", "06", _3="WARD1"),
        told(child, "A02", "07", _3="WARD2", _6="WARD1"),
    )
    moved = visit(server, child)
    assert stay(moved) == [
        ("WARD1", "completed", "06", "07"),
        ("WARD2", "active", "07", None),
    ]
    deliver(server, told(child, "A12", "08", _3="WARD1", _6="WARD2"))
    assert stay(visit(server, child)) == [("WARD1", "active", "06", None)]

    deliver(server, told(child, "A03", "14", **DISCHARGE))
    ended = visit(server, child)
    assert (ended["status"], ended["period"]["end"][:10]) == ("finished", "2025-05-14")
    assert stay(ended) == [("WARD1", "completed", "06", "14")]

    deliver(server, told(child, "A13", "15", **DISCHARGE))
    goes_on = visit(server, child)
    assert (goes_on["status"], goes_on["period"].keys()) == ("in-progress", {"start"})
    assert "dischargeDisposition" not in goes_on.get("hospitalization", {})
    assert "extension" not in goes_on
    assert stay(goes_on) == [("WARD1", "active", "06", None)]

    deliver(server, told(child, "A03", "16", **DISCHARGE | {"_45": "202505161000"}))
    again = visit(server, child)
    assert (again["status"], again["period"]["end"][:10]) == ("finished", "2025-05-16")
    assert statuses(again) == ["in-progress", "finished", "in-progress"]
    assert again["meta"]["versionId"] == "6", "each message again changes nothing"


def test_what_was_recorded_before_the_last_change_does_not_undo_it(
    server: Served, child: str
) -> None:
    admitted, moved = told(child, "A01", "06", _3="WARD1"), told(child, "A02", "07", _3="WARD2")
    ended, reopened = told(child, "A03", "14", **DISCHARGE), told(child, "A13", "15")
    ended = ended.replace("WARD1", "WARD2")
    deliver(server, admitted, moved, ended)
    before = visit(server, child)
    deliver(server, admitted.replace("|V", "|late-V"), moved.replace("|V", "|late-V"))
    after = visit(server, child)
    assert (after["status"], stay(after)) == ("finished", stay(before))
    deliver(server, reopened, ended.replace("|V", "|late-V"))
    goes_on = visit(server, child)
    assert (goes_on["status"], goes_on["period"].keys()) == ("in-progress", {"start"})
    assert stay(goes_on) == [("WARD1", "completed", "06", "07"), ("WARD2", "active", "07", None)]


def test_a_pre_admission_is_cancelled_and_only_before_it_begins(server: Served, child: str) -> None:
    planned = {"_2": "P", "_44": "202506010900"}
    deliver(server, told(child, "A05", "06", **planned), told(child, "A27", "07", **planned))
    cancelled = visit(server, child)
    assert (cancelled["status"], statuses(cancelled)) == ("cancelled", ["planned"])

    deliver(server, told(child, "A08", "08", **planned))
    assert visit(server, child)["status"] == "cancelled", "an update admits nobody"
    deliver(server, told(child, "A05", "09", **planned))
    assert visit(server, child)["status"] == "planned", "the number is used for a stay after all"

    deliver(server, told(child, "A03", "14", **DISCHARGE), told(child, "A27", "15", **planned))
    ended = visit(server, child)
    assert (ended["status"], ended["period"]["start"][:10]) == ("finished", "2025-05-06")


def test_an_expected_child_is_admitted_to_its_bed(server: Served, child: str) -> None:
    deliver(server, told(child, "A14", "05", _2="P", _42="WARD1"))
    assert visit(server, child)["status"] == "planned"
    assert stay(visit(server, child)) == [("WARD1", "planned", None, None)]
    deliver(server, told(child, "A01", "06", _3="WARD1"))
    assert visit(server, child)["status"] == "in-progress"
    assert stay(visit(server, child)) == [("WARD1", "active", "06", None)]
    deliver(server, told(child, "A14", "05", _2="P", _42="WARD9"))
    assert visit(server, child)["status"] == "in-progress"
    assert stay(visit(server, child)) == [("WARD1", "active", "06", None)]


def test_a_leave_keeps_the_bed_and_ends_with_the_return_alone(server: Served, child: str) -> None:
    deliver(server, told(child, "A01", "06", _3="WARD1"), told(child, "A21", "07", _3="WARD1"))
    away = visit(server, child)
    assert (away["status"], stay(away)) == ("onleave", [("WARD1", "reserved", "06", None)])
    deliver(server, told(child, "A08", "08", _3="WARD1"))
    assert visit(server, child)["status"] == "onleave"
    deliver(server, told(child, "A22", "09", _3="WARD1"))
    back = visit(server, child)
    assert (back["status"], stay(back)) == ("in-progress", [("WARD1", "active", "06", None)])
    assert statuses(back) == ["in-progress", "onleave"]


def test_two_children_swap_their_beds_once(server: Served, child: str) -> None:
    other = str(next(CHILDREN))
    swap = message(
        "A17",
        "08",
        pid(child),
        pv1(child, _3="BED2", _6="BED1"),
        pid(other),
        pv1(other, _3="BED1", _6="BED2"),
    )
    deliver(server, told(child, "A01", "06", _3="BED1"), told(other, "A01", "07", _3="BED2"), swap)
    assert stay(visit(server, child)) == [
        ("BED1", "completed", "06", "08"),
        ("BED2", "active", "08", None),
    ]
    assert stay(visit(server, other)) == [
        ("BED2", "completed", "06", "08"),
        ("BED1", "active", "08", None),
    ]


def test_a_cancelled_admission_stays_cancelled_until_a_later_one(
    server: Served, child: str
) -> None:
    admitted = told(child, "A01", "06")
    deliver(server, admitted, told(child, "A11", "07"), admitted.replace("|V", "|late-V"))
    assert visit(server, child)["status"] == "cancelled"
    deliver(server, told(child, "A01", "08"))
    assert visit(server, child)["status"] == "in-progress"
    deliver(server, told(child, "A03", "14", **DISCHARGE), told(child, "A11", "15"))
    assert visit(server, child)["status"] == "finished"


def test_a_deleted_visit_was_entered_in_error_and_the_child_stays(
    server: Served, child: str
) -> None:
    deliver(server, told(child, "A01", "06"), told(child, "A23", "07"))
    assert visit(server, child)["status"] == "entered-in-error"
    assert patient(server, child)["active"] is True


def test_the_class_of_before_is_kept_with_its_time(server: Served, child: str) -> None:
    deliver(
        server,
        told(child, "A04", "06", _2="O"),
        told(child, "A06", "07"),
        told(child, "A04", "06", _2="O"),
    )
    inpatient = visit(server, child)
    assert inpatient["class"]["code"] == "IMP"
    (before,) = inpatient["classHistory"]
    assert (before["class"]["code"], before["period"]["end"][:10]) == ("AMB", "2025-05-07")
    deliver(server, told(child, "A07", "08", _2="O"))
    codes = [each["class"]["code"] for each in visit(server, child)["classHistory"]]
    assert codes == ["AMB", "IMP"]


def test_the_bed_stays_reserved_while_the_child_is_elsewhere(server: Served, child: str) -> None:
    deliver(
        server,
        told(child, "A01", "06", _3="WARD1"),
        told(child, "A09", "07", _3="WARD1", _11="XRAY"),
    )
    assert stay(visit(server, child)) == [
        ("WARD1", "reserved", "06", None),
        ("XRAY", "planned", None, None),
    ]
    deliver(server, told(child, "A10", "08", _3="WARD1", _11="XRAY"))
    assert stay(visit(server, child))[1] == ("XRAY", "active", "08", None)
    deliver(server, told(child, "A10", "09", _3="WARD1", _43="XRAY"))
    assert stay(visit(server, child)) == [
        ("WARD1", "active", "06", None),
        ("XRAY", "completed", "08", "09"),
    ]


def test_a_pending_transfer_is_awaited_until_it_happens_or_is_cancelled(
    server: Served, child: str
) -> None:
    deliver(server, told(child, "A01", "06", _3="W1"), told(child, "A15", "07", _3="W1", _42="W2"))
    assert stay(visit(server, child)) == [
        ("W1", "active", "06", None),
        ("W2", "planned", None, None),
    ]
    deliver(server, told(child, "A26", "08", _3="W1", _42="W2"))
    assert stay(visit(server, child)) == [("W1", "active", "06", None)]
    deliver(
        server,
        told(child, "A15", "09", _3="W1", _42="W2"),
        told(child, "A02", "10", _3="W2", _6="W1"),
    )
    assert stay(visit(server, child)) == [
        ("W1", "completed", "06", "10"),
        ("W2", "active", "10", None),
    ]


def test_a_late_transfer_takes_its_place_in_the_stay(server: Served, child: str) -> None:
    deliver(
        server,
        told(child, "A01", "06", _3="W1"),
        told(child, "A02", "10", _3="W3"),
        told(child, "A02", "08", _3="W2"),
    )
    assert stay(visit(server, child)) == [
        ("W1", "completed", "06", "08"),
        ("W2", "completed", "08", "10"),
        ("W3", "active", "10", None),
    ]


DEATH = {"_3": "WARD1", "_36": "4", "_37": "79", "_45": "202505141000"}


def test_a_death_that_only_a_discharge_told_goes_with_it(server: Served, child: str) -> None:
    deliver(server, told(child, "A01", "06"), told(child, "A03", "14", **DEATH))
    assert patient(server, child)["deceasedDateTime"][:10] == "2025-05-14"
    other_visit = told(child, "A13", "15", **DEATH).replace(f"|{child}-1|", f"|{child}-2|")
    deliver(server, other_visit)
    assert "deceasedDateTime" in patient(server, child), "another visit's discharge told of it"
    deliver(server, told(child, "A13", "16", **DEATH))
    living = patient(server, child)
    assert not [name for name in living if name.startswith("deceased")]
    assert "extension" not in living


@pytest.mark.parametrize("when", ["before", "with", "after"])
def test_a_death_that_the_hospital_told_stays(server: Served, child: str, when: str) -> None:
    told_of = message("A31", "13", pid(child, death="Y"))
    discharge = message("A03", "14", pid(child, "Y" if when == "with" else ""), pv1(child, **DEATH))
    sent = {"before": [told_of, discharge], "with": [discharge], "after": [discharge, told_of]}
    deliver(server, told(child, "A01", "06"), *sent[when], told(child, "A13", "15", **DEATH))
    assert [name for name in patient(server, child) if name.startswith("deceased")]


def test_a_discharge_that_comes_after_its_cancellation_tells_of_no_death(
    server: Served, child: str
) -> None:
    late = told(child, "A03", "14", **DEATH)
    deliver(server, told(child, "A01", "06"), told(child, "A13", "15", **DEATH), late)
    assert visit(server, child)["status"] == "in-progress"
    assert not [name for name in patient(server, child) if name.startswith("deceased")]


def test_a_late_discharge_tells_of_a_death_where_nothing_newer_is_known_of_the_visit(
    server: Served, child: str
) -> None:
    newer = message("A31", "16", pid(child))
    deliver(server, told(child, "A01", "06"), newer, told(child, "A03", "14", **DEATH))
    assert visit(server, child)["status"] == "finished"
    assert patient(server, child)["deceasedDateTime"][:10] == "2025-05-14"
