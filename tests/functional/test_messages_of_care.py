"""Orders, results, appointments through the MLLP port: sent, sent again, corrected, cancelled, purged."""

from typing import Any

import hl7.client
import pytest

from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
NHS = "https://fhir.nhs.uk/Id/nhs-number"
CHILD = "9990000018"
PID = f"PID|1||{CHILD}^^^NHS~70018^^^RTH^MR||Testchild-Wren^Fictitious||20200102|1"


@pytest.fixture(scope="module", autouse=True)
def _hospital(server: Served) -> None:
    hospital = {
        "resourceType": "Organization",
        "identifier": [{"system": ODS, "value": "RTH"}],
        "name": "A hospital",
    }
    assert server.http.put(f"/Organization?identifier={ODS}|RTH", json=hospital).status_code == 201


def send(server: Served, control_id: str, event: str, *lines: str) -> str:
    """Send a message about the child twice; return its acknowledgement, the same both times."""
    msh = f"MSH|^~\\&|EPR|RTH|CSOR|CSOR|202005061200||{event}|{control_id}|P|2.5"
    message = "\r".join((msh, *lines, ""))
    with hl7.client.MLLPClient("127.0.0.1", server.mllp_port) as client:
        answers = [client.send_message(message).decode() for _ in range(2)]
    code = next(line.split("|")[1] for line in answers[0].split("\r") if line[:3] == "MSA")
    # What was refused is not remembered: it is refused anew, at a time of its own.
    told = answers if code == "AA" else [timeless(answer) for answer in answers]
    assert told[0] == told[1]
    return code


def timeless(answer: str) -> str:
    """Return an acknowledgement without the time at which it was written (MSH-7)."""
    fields = answer.split("|")
    assert fields[0].endswith("MSH")
    return "|".join((*fields[:6], "", *fields[7:]))


def found(server: Served, query: str) -> list[dict[str, Any]]:
    answer = server.http.get(f"/{query}").json()
    assert answer["resourceType"] == "Bundle", answer
    return [entry["resource"] for entry in answer.get("entry", [])]


def one(server: Served, query: str) -> dict[str, Any]:
    (resource,) = found(server, query)
    return resource


def result(server: Served, control_id: str, status: str, value: str, code: str = "C") -> str:
    return send(
        server,
        control_id,
        "ORU^R01^ORU_R01",
        PID,
        "ORC|RE|P-1^EPR|F-1^LAB",
        f"OBR|1|P-1^EPR|F-1^LAB|fbc^Full blood count^L|||202005061000|||||||||||||||||LAB|{status}",
        f"OBX|1|NM|hb^Haemoglobin^L||{value}|g/L|||||{code}",
        "OBX|2|ED|letter^Letter^L||^application^pdf^Base64^JVBERg==||||||F",
        "SPM|1|S-1^S-2||BLD^Blood^L",
    )


def test_a_result_is_corrected_and_withdrawn_as_one_resource(server: Served) -> None:
    assert result(server, "R-1", "P", "95", "P") == "AA"
    report = one(server, "DiagnosticReport?patient.identifier=" + f"{NHS}|{CHILD}")
    assert report["status"] == "preliminary"
    assert result(server, "R-2", "C", "105") == "AA"
    assert result(server, "R-3", "C", "105", "W") == "AA"
    again = one(server, f"DiagnosticReport?patient=Patient/{child(server)}")
    assert (again["id"], again["status"]) == (report["id"], "corrected")
    assert again["meta"]["versionId"] == "2", "the third says the same of the report"
    (reference,) = again["result"]
    observation = server.http.get(f"/{reference['reference']}").json()
    assert (observation["status"], observation["meta"]["versionId"]) == ("entered-in-error", "3")
    assert one(server, f"Specimen?patient={child(server)}")["meta"]["versionId"] == "1"
    assert report["basedOn"][0]["identifier"]["value"] == "P-1"
    assert one(server, "DiagnosticReport?identifier=F-1")["id"] == report["id"]


ORDER = "OML^O21^OML_O21"
ASKED = "OBR|1|P-1^EPR||fbc^Full blood count^L|||||||||for theatre"


def test_an_order_is_one_resource_from_its_writing_to_its_cancelling(server: Served) -> None:
    new = ("ORC|NW|P-1^EPR|||||||202005060900", ASKED, "SPM|1|S-1||BLD^Blood^L")
    assert send(server, "O-1", ORDER, PID, *new) == "AA"
    order = one(server, f"ServiceRequest?patient={child(server)}")
    assert (order["status"], order["meta"]["versionId"]) == ("active", "1")
    assert send(server, "O-2", "ORM^O01", PID, "ORC|OK|P-1^EPR|F-1^LAB") == "AA"
    assert send(server, "O-3", ORDER, PID, "ORC|SC||F-1^LAB||CM") == "AA"
    done = one(server, "ServiceRequest?identifier=F-1")
    assert (done["id"], done["status"]) == (order["id"], "completed")
    assert [number["value"] for number in done["identifier"]] == ["P-1", "F-1"]
    assert done["note"] == [{"text": "for theatre"}], "what later messages do not mention stays"
    assert send(server, "O-4", ORDER, PID, "ORC|CA|P-1^EPR") == "AA"
    assert one(server, "ServiceRequest?identifier=P-1")["status"] == "revoked"
    assert send(server, "O-5", ORDER, PID, "ORC|SS|P-1^EPR") == "AE"


def test_a_drug_order_is_rejected_and_stores_nothing(server: Served) -> None:
    assert send(server, "D-1", "ORM^O01", PID, "ORC|NW|P-9^EPR", "RXO|paracetamol^^L") == "AR"
    assert send(server, "D-2", "RDE^O11", PID, "ORC|NW|P-9^EPR") == "AR"
    assert found(server, "ServiceRequest?identifier=P-9") == []


def booking(server: Served, control_id: str, event: str, sch: str, *lines: str) -> str:
    return send(server, control_id, f"SIU^{event}^SIU_S12", sch, PID, *lines)


def test_an_appointment_is_booked_moved_and_cancelled_as_one_resource(server: Served) -> None:
    people = ("RGS|1", "AIP|1||C9999991^Testsurgeon^Ann^^^Dr^^^GMC", "AIS|1||clinic^Clinic^L")
    first = f"SCH|P-7^PAS{'|' * 8}30|MIN|^^^20200620090000"
    assert booking(server, "S-1", "S12", first, *people) == "AA"
    booked = one(server, f"Appointment?patient={child(server)}")
    assert (booked["status"], booked["end"][11:16]) == ("booked", "09:30")
    second = f"SCH|P-7^PAS|F-7{'|' * 9}^^^20200627090000^20200627100000"
    assert booking(server, "S-2", "S13", second, *people) == "AA"
    moved = one(server, "Appointment?identifier=F-7")
    assert (moved["id"], moved["start"][:10]) == (booked["id"], "2020-06-27")
    assert "minutesDuration" not in moved
    assert booking(server, "S-3", "S15", "SCH||F-7||||ILL^Child is ill^L") == "AA"
    cancelled = one(server, f"Appointment?patient={child(server)}&status=cancelled")
    assert (cancelled["id"], cancelled["meta"]["versionId"]) == (booked["id"], "3")
    assert cancelled["start"] == moved["start"], "a cancellation need not repeat the time"
    assert booking(server, "S-4", "S13", second, *people) == "AA"
    again = one(server, "Appointment?identifier=P-7")
    assert (again["status"], "cancelationReason" in again) == ("booked", False)


def child(server: Served) -> str:
    return str(one(server, f"Patient?identifier={NHS}|{CHILD}")["id"])


KINDS = ("Appointment", "DiagnosticReport", "Observation", "ServiceRequest", "Specimen")


def test_each_kind_is_in_the_childs_compartment_and_leaves_with_it(server: Served) -> None:
    """Runs last: what the tests above have stored is what is purged."""
    patient = child(server)
    for kind in KINDS:
        assert found(server, f"Patient/{patient}/{kind}"), kind
    everything = found(server, f"Patient/{patient}/$everything?_count=100")
    assert {resource["resourceType"] for resource in everything} >= {"Patient", *KINDS}
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "reason", "valueString": "request 12 of the family"}],
    }
    answer = server.http.post(f"/Patient/{patient}/$purge", json=body)
    assert answer.status_code == 200, answer.text
    for kind in ("Patient", *KINDS):
        assert found(server, kind) == [], kind
        assert f"1 {kind}" in answer.json()["issue"][0]["diagnostics"]
