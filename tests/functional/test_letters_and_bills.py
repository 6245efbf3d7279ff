"""Letters and bills over MLLP: a note, its correction, replacement and end; one stay, billed."""

import base64
from typing import Any

import pytest

from tests.functional.test_hl7v2 import HOSPITAL, NHS, ODS, admission, msa, one, send
from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow

LOCAL = "https://csor.example/fhir/sid/RTH/document"
NUMBER = "9990000093"
BILLED = "9990000115"
PR1 = "PR1|1||H41.1^Rectosigmoidectomy^OPCS4||202001041330"
DG1 = "DG1|1||Q43.1^Hirschsprung's disease^I10||20200103|F"


@pytest.fixture(scope="module", autouse=True)
def _hospital(server: Served) -> None:
    server.http.put(f"/Organization?identifier={ODS}|RTH", json=HOSPITAL).raise_for_status()


def message(event: str, control_id: str, header: str, *obx: str, number: str = NUMBER) -> str:
    when = "202505081500"
    return "\r".join(
        (
            f"MSH|^~\\&|EPR|RTH|CSOR|CSOR|{when}||MDM^{event}|{control_id}|P|2.4",
            f"EVN|{event}|{when}",
            f"PID|1||{number}^^^NHS||Testchild-Wren^Fictitious||20250430|1",
            f"PV1|1|I||||||||||||||||||D{number}-1",
            f"TXA|{header}",
            *obx,
            "",
        )
    )


def header(number: str, state: str, parent: str = "", title: str = "Operation note") -> str:
    return f"1|OP||||202505081445||||||{number}|{parent}||||{state}||||||||{title}"


def twice(server: Served, sent: str) -> None:
    """Send a message twice: it is accepted, and the second time changes nothing."""
    first = msa(send(server, sent)[0])
    before = every(server)
    assert (first[1], msa(send(server, sent)[0])) == ("AA", first)
    assert every(server) == before


def every(server: Served) -> list[tuple[str, str]]:
    child = one(server, f"Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|{NUMBER}")
    found = server.http.get(f"/DocumentReference?subject=Patient/{child['id']}").json()
    return [(e["resource"]["id"], e["resource"]["meta"]["versionId"]) for e in found["entry"]]


def document(server: Served, number: str) -> dict[str, Any]:
    return one(server, f"DocumentReference?identifier={LOCAL}|{number}")


def text(found: dict[str, Any]) -> str:
    return base64.b64decode(found["content"][0]["attachment"]["data"]).decode()


def test_a_note_is_stored_edited_authenticated_replaced_and_cancelled(server: Served) -> None:
    twice(server, message("T01", "DM-1", header("N-1", "DI")))
    assert "data" not in document(server, "N-1")["content"][0]["attachment"]

    twice(server, message("T02", "DM-2", header("N-1", "DO"), "OBX|1|TX|OP||as dictated"))
    assert text(document(server, "N-1")) == "as dictated"

    twice(server, message("T08", "DM-3", header("N-1", "DO"), "OBX|1|TX|OP||as corrected"))
    twice(server, message("T03", "DM-4", header("N-1", "LA", title="Signed note")))
    signed = document(server, "N-1")
    assert (text(signed), signed["docStatus"]) == ("as corrected", "final")
    assert (signed["description"], signed["status"]) == ("Signed note", "current")

    pdf = base64.b64encode(b"%PDF-1.4 replaced").decode()
    embedded = f"OBX|1|ED|OP||EPR^AP^PDF^Base64^{pdf}"
    twice(server, message("T10", "DM-5", header("N-2", "LA", "N-1"), embedded))
    former, current = document(server, "N-1"), document(server, "N-2")
    assert (former["status"], text(former)) == ("superseded", "as corrected")
    assert current["relatesTo"] == [
        {"code": "replaces", "target": {"reference": f"DocumentReference/{former['id']}"}}
    ]
    assert current["content"][0]["attachment"]["data"] == pdf

    twice(server, message("T11", "DM-6", header("N-2", "LA")))
    cancelled = document(server, "N-2")
    assert (cancelled["status"], cancelled["docStatus"]) == ("entered-in-error",) * 2
    assert cancelled["content"][0]["attachment"]["data"] == pdf
    assert cancelled["relatesTo"] == current["relatesTo"]


def test_a_late_message_does_not_bring_back_what_is_replaced_or_in_error(server: Served) -> None:
    send(server, message("T09", "DM-10", header("L-2", "LA", "L-1")))
    send(server, message("T02", "DM-11", header("L-1", "LA"), "OBX|1|TX|OP||the first"))
    late = document(server, "L-1")
    assert (late["status"], late["docStatus"], text(late)) == ("superseded", "final", "the first")

    send(server, message("T11", "DM-12", header("L-2", "LA")))
    send(server, message("T04", "DM-13", header("L-2", "LA"), "OBX|1|TX|OP||the second"))
    ended = document(server, "L-2")
    assert (ended["status"], ended["docStatus"]) == ("entered-in-error",) * 2
    assert text(ended) == "the second"


def test_an_addendum_refers_to_its_note_whichever_comes_first(server: Served) -> None:
    send(server, message("T06", "DM-20", header("A-2", "AU", "A-1"), "OBX|1|TX|OP||more"))
    send(server, message("T02", "DM-21", header("A-1", "AU"), "OBX|1|TX|OP||the note"))
    note = document(server, "A-1")
    assert (note["status"], text(note)) == ("current", "the note")
    (relation,) = document(server, "A-2")["relatesTo"]
    assert relation["target"]["reference"] == f"DocumentReference/{note['id']}"


def test_a_number_that_is_another_childs_document_is_refused(server: Served) -> None:
    send(server, message("T02", "DM-30", header("O-1", "AU"), "OBX|1|TX|OP||the note"))
    other = message("T03", "DM-31", header("O-1", "AU"), number="9990000107")
    assert msa(send(server, other)[0])[1] == "AE"
    replacing = message("T09", "DM-32", header("O-2", "AU", "O-1"), number="9990000107")
    assert msa(send(server, replacing)[0])[1] == "AE"
    assert document(server, "O-1")["status"] == "current"


def test_wrong_base64_is_refused_at_its_place_and_nothing_is_stored(server: Served) -> None:
    wrong = message("T02", "DM-40", header("W-1", "AU"), "OBX|1|ED|OP||EPR^AP^PDF^Base64^JVB*Ri0=")
    answer = send(server, wrong)[0]
    assert msa(answer)[1] == "AE"
    assert any(line.startswith("ERR") and "OBX^1^5" in line for line in answer)
    assert server.http.get(f"/DocumentReference?identifier={LOCAL}|W-1").json()["total"] == 0


def bill(kind: str, control_id: str, *segments: str) -> str:
    lines = admission(control_id, BILLED).replace("||AL|NE", "||").split("\r")
    event = kind.partition("^")[2]
    msh = lines[0].replace("ADT^A01^ADT_A01", kind)
    return "\r".join((msh, f"EVN|{event}|20200106", lines[2], lines[3], *segments, ""))


def test_a_bill_tells_of_the_stay_that_the_admission_told_of(server: Served) -> None:
    sent = [
        admission("C-1", BILLED),
        *(bill("DFT^P03", "C-2", "FT1|1|||20200104||CG|T", PR1, DG1),) * 2,
        *(bill("BAR^P05", "C-3", DG1, PR1, "IN1|1|NHS|1"),) * 2,
        *(bill("BAR^P12", "C-4", DG1, PR1).replace("|2.4|", "|2.5|"),) * 2,
        bill("BAR^P01", "C-5"),
    ]
    assert [msa(answer)[1] for answer in send(server, *sent)] == ["AA"] * len(sent)
    child = one(server, f"Patient?identifier={NHS}|{BILLED}")["id"]
    stay = one(server, f"Encounter?patient={child}")
    assert (stay["status"], stay["meta"]["versionId"]) == ("in-progress", "1")
    condition = one(server, f"Condition?patient={child}")
    assert condition["code"]["coding"][0]["code"] == "Q43.1"
    operation = one(server, f"Procedure?patient={child}")
    assert operation["encounter"]["reference"] == f"Encounter/{stay['id']}"
    assert one(server, f"EpisodeOfCare?patient={child}")["status"] == "active"
