"""SCH, RGS and the AI segments to Appointment: which one, its status, its time, who takes part."""

import pytest

from tests.mappings.messages import SEGMENTS, deletions, entries, mapped, one, refused

TIME = {11: "^^^20250620090000^20250620093000"}


def sch(fields: dict[int, str]) -> str:
    given = {1: "P7^PAS"} | fields
    return "|".join(["SCH", *(given.get(number, "") for number in range(1, max(given) + 1))])


def segments(event: str, fields: dict[int, str], lines: tuple[str, ...]) -> dict[str, str]:
    msh = SEGMENTS["MSH"].replace("ADT^A01^ADT_A01", f"SIU^{event}^SIU_S12")
    return {"MSH": msh, "EVN": sch(fields), "PV1": "", "REST": "\r".join(lines)}


def booking(*lines: str, event: str = "S12", fields: dict[int, str] = TIME) -> dict:
    return mapped(**segments(event, fields, lines))


def appointment(*lines: str, event: str = "S12", fields: dict[int, str] = TIME) -> dict:
    return one(booking(*lines, event=event, fields=fields), "Appointment")


def refusal(*lines: str, event: str = "S12", fields: dict[int, str] = TIME):
    return refused(**segments(event, fields, lines))[1]


@pytest.mark.parametrize(
    ("event", "filler", "status"),
    [
        *(("S12", "", "booked"), ("S13", "", "booked"), ("S14", "", "booked")),
        *(("S15", "", "cancelled"), ("S16", "", "cancelled"), ("S17", "", "entered-in-error")),
        *((f"S{number}", "", "booked") for number in range(18, 23)),
        *(("S26", "", "noshow"), ("S15", "Booked", "cancelled"), ("S26", "Booked", "noshow")),
        *(("S12", "Pending", "pending"), ("S14", "STARTED", "checked-in")),
        *(("S14", "Complete", "fulfilled"), ("S14", "Noshow", "noshow"), ("S14", "odd", "booked")),
    ],
)
def test_the_status_is_the_events_and_of_a_booking_the_fillers(event, filler, status):
    found = appointment(event=event, fields=TIME | {25: filler})
    assert found["status"] == status


@pytest.mark.parametrize("event", ["S23", "S24", "S25"])
def test_events_about_the_schedule_are_not_supported(event):
    assert refusal(event=event) == ("201", "MSH^1^9^1^2")


@pytest.mark.parametrize(
    ("fields", "lines", "times"),
    [
        (TIME, (), ("09:00", "09:30")),
        ({11: "^^^202506200900", 9: "45", 10: "MIN"}, (), ("09:00", "09:45")),
        ({9: "1.5", 10: "hours"}, ("TQ1|1||||||202506200900",), ("09:00", "10:30")),
        ({}, ("TQ1|1||||||202506200900|202506201000",), ("09:00", "10:00")),
        ({}, ("RGS|1", "AIS|1||x^^L|202506200900|||20|min"), ("09:00", "09:20")),
        ({}, ("RGS|1", "AIL|1||CLIN||||||", "AIP|1||7^Doe||||||"), None),
        ({}, ("RGS|1", "AIP|1||7^Doe|||202506200900|||20"), ("09:00", "09:20")),
    ],
)
def test_the_time_is_that_of_sch_else_tq1_else_of_the_first_resource(fields, lines, times):
    if times is None:
        assert refusal(*lines, fields=fields) == ("101", "SCH^1^11")
        return
    found = appointment(*lines, fields=fields)
    assert (found["start"][11:16], found["end"][11:16]) == times
    assert found["start"].endswith("+01:00")


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, ("101", "SCH^1^11")),
        ({11: "^^^202506200900"}, ("101", "SCH^1^11")),
        ({11: "^^^202506200900", 9: "3", 10: "weeks"}, ("101", "SCH^1^11")),
        ({11: "^^^20250620^20250621"}, ("102", "SCH^1^11")),
        ({11: "^^^99991231235900", 9: "5"}, ("102", "SCH^1^11")),
        ({11: "^^^202506200900^202506200800"}, ("102", "SCH^1^11")),
        ({1: "", **TIME}, ("101", "SCH^1^1")),
    ],
)
def test_a_booking_without_its_time_or_number_is_refused(fields, found):
    assert refusal(fields=fields) == found


def test_a_cancellation_needs_no_time_and_keeps_its_reason():
    found = appointment(event="S15", fields={6: "PAT^By the parents^L", 25: "Cancelled"})
    assert found["cancelationReason"]["text"] == "By the parents"
    assert "start" not in found


def test_an_appointment_that_stands_again_loses_the_reason_and_the_old_duration():
    (entry,) = entries(booking(event="S13", fields=TIME | {6: "X^^L"}), "Appointment")
    assert "cancelationReason" not in entry["resource"]
    assert set(deletions(entry)) == {"cancelationReason", "minutesDuration"}


def test_an_appointment_is_found_by_either_number_and_each_occurrence_is_its_own():
    (entry,) = entries(booking(fields=TIME | {2: "F7", 3: "2"}), "Appointment")
    base = "https://csor.example/fhir/sid/RTH"
    assert entry["request"]["url"] == (
        f"Appointment?identifier={base}/placer-appointment.PAS|P7.2,{base}/filler-appointment|F7.2"
    )
    assert appointment(fields=TIME | {3: "1"})["identifier"][0]["value"] == "P7"


def test_the_child_and_each_resource_take_part():
    bundle = booking(
        *("RGS|1", "AIS|1||a^A^L", "AIS|2||b^B^L", "AIG|1||M1^Machine^L", "AIL|1||CLIN^R2"),
        "AIP|1||C9999991^Testsurgeon^Ann^^^Dr^^^GMC~7^Testnurse|CONS^Consultant^L",
    )
    found = one(bundle, "Appointment")
    (child,), (surgeon,) = entries(bundle, "Patient"), entries(bundle, "Practitioner")
    actors = [participant["actor"] for participant in found["participant"]]
    assert [actor.get("reference") or actor["display"] for actor in actors] == [
        *(child["fullUrl"], "Machine", "CLIN, R2", surgeon["fullUrl"], "Testnurse")
    ]
    assert {participant["status"] for participant in found["participant"]} == {"accepted"}
    assert found["participant"][3]["type"][0]["text"] == "Consultant"
    assert [service["text"] for service in found["serviceType"]] == ["A", "B"]


def test_what_is_marked_as_deleted_does_not_take_part():
    bundle = booking("RGS|1", "AIS|1|D|a^A^L", "AIP|1|D|7^Testnurse", "AIL|1|D|CLIN", event="S20")
    (entry,) = entries(bundle, "Appointment")
    assert len(entry["resource"]["participant"]) == 1
    assert "serviceType" not in entry["resource"]
    assert "serviceType" in deletions(entry)


def test_reasons_notes_and_orders_are_kept():
    fields = TIME | {7: "FU^Follow-up^L", 8: "OPA^Outpatient^L", 26: "O1^EPR", 27: "O2^LAB"}
    found = appointment(
        "NTE|1||one", "DG1|1||Q43.1^Hirschsprung^I10", "RGS|1", "AIS|1||a^A^L", "NTE|1||two",
        fields=fields,
    )  # fmt: skip
    assert [reason["text"] for reason in found["reasonCode"]] == ["Follow-up", "Hirschsprung"]
    assert found["appointmentType"]["text"] == "Outpatient"
    assert found["comment"] == "one\ntwo"
    assert [order["identifier"]["value"] for order in found["basedOn"]] == ["O1", "O2"]


def test_a_booking_opens_no_visit_and_is_of_one_child():
    bundle = booking("PV1|1|O|CLIN|||||||||||||||V1|||||||||||||||||||||||||202506200900")
    assert entries(bundle, "Encounter") == []
    assert refusal(SEGMENTS["PID"])[0] == "100"
