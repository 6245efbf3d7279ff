"""HL7 v2 through the MLLP port: what is acknowledged is stored, what is refused is kept and replayable."""

import asyncio
import re
from pathlib import Path
from typing import Any

import hl7.client
import pytest

from fhir_server.commands.inbox import replay
from tests.support.server import Served

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
NHS = "https://fhir.nhs.uk/Id/nhs-number"
HOSPITAL = {
    "resourceType": "Organization",
    "active": True,
    "identifier": [{"system": ODS, "value": "RTH"}],
    "name": "Oxford University Hospitals NHS Foundation Trust",
}


@pytest.fixture(scope="module", autouse=True)
def _hospital(server: Served) -> None:
    assert server.http.put(f"/Organization?identifier={ODS}|RTH", json=HOSPITAL).status_code == 201


def admission(
    control_id: str, number: str = "9990000018", *, facility: str = "RTH", event: str = "A01"
) -> str:
    """Admit a child, whose hospital and visit numbers follow from its NHS number."""
    mrn = f"7{number[-4:]}"
    return "\r".join(
        (
            f"MSH|^~\\&|PAS|{facility}|CSOR|CSOR|202001031015||ADT^{event}^ADT_A01|{control_id}|P|2.4|||||GBR|UNICODE",
            f"EVN|{event}|202001031015",
            f"PID|1||{number}^^^NHS~{mrn}^^^{facility}^MR||Testchild-Wren^Fictitious||20200102|1||||||||||||||A",
            f"PV1|1|I|RTH^NICU^1||||C9999991^Testsurgeon^Fictitious^^^Dr^^^GMC|||171|||||||||{mrn}-1^^^VISITID|||||||||||||||||||||||||202001031000",
            "DG1|1||Q43.1^Hirschsprung's disease^I10||20200103|A",
            "",
        )
    )


def send(server: Served, *messages: str) -> list[list[str]]:
    """Send over one connection with an independent client; returns MSA as fields, one a message."""
    answers = []
    with hl7.client.MLLPClient("127.0.0.1", server.mllp_port) as client:
        for message in messages:
            answers.append(client.send_message(message).decode())
    return [answer.replace("\x0b", "").split("\r") for answer in answers]


def msa(answer: list[str]) -> list[str]:
    return next(line for line in answer if line.startswith("MSA")).split("|")


def one(server: Served, query: str) -> dict[str, Any]:
    found = server.http.get(f"/{query}").json()
    assert found["total"] == 1, found
    return found["entry"][0]["resource"]


def test_an_admission_makes_child_spell_diagnosis_and_case(server: Served) -> None:
    answer = send(server, admission("A-1"))[0]
    assert msa(answer)[1:3] == ["AA", "A-1"]
    child = one(server, f"Patient?identifier={NHS}|9990000018")
    assert child["birthDate"] == "2020-01-02"
    assert one(server, f"Encounter?patient={child['id']}")["class"]["code"] == "IMP"
    condition = one(server, f"Condition?patient={child['id']}")
    case = one(server, f"EpisodeOfCare?patient={child['id']}")
    assert case["type"][0]["coding"][0]["code"] == "hirschsprung"
    assert case["diagnosis"][0]["condition"]["reference"] == f"Condition/{condition['id']}"


def test_the_same_message_again_changes_nothing(server: Served) -> None:
    first, again = send(server, admission("A-2", "9990000026"), admission("A-2", "9990000026"))
    assert first == again
    child = one(server, f"Patient?identifier={NHS}|9990000026")
    assert child["meta"]["versionId"] == "1"


def test_the_same_control_id_with_other_content_is_not_a_duplicate(server: Served) -> None:
    send(server, admission("A-3", "9990000034"))
    answer = send(server, admission("A-3", "9990000042"))[0]
    assert msa(answer)[1] == "AE"
    assert server.http.get(f"/Patient?identifier={NHS}|9990000042").json()["total"] == 0


def test_an_unknown_hospital_is_refused_kept_and_replayed_once_known(server: Served) -> None:
    answer = send(server, admission("A-4", "9990000050", facility="RGT"))[0]
    assert msa(answer)[1] == "AE"
    assert any(line.startswith("ERR") and "RGT" in line for line in answer)
    body = {**HOSPITAL, "identifier": [{"system": ODS, "value": "RGT"}]}
    server.http.put(f"/Organization?identifier={ODS}|RGT", json=body)
    replay(server.context.settings, [])
    assert one(server, f"Patient?identifier={NHS}|9990000050")


def test_a_wrong_check_digit_is_refused_with_its_place(server: Served) -> None:
    answer = send(server, admission("A-5", "9990000019"))[0]
    assert msa(answer)[1] == "AE"
    assert any(line.startswith("ERR") and "PID^1^3" in line for line in answer)


@pytest.mark.parametrize(
    "message",
    ["nonsense", "MSH|^~\\&|A|RTH\r", "PID|1\r", admission("A-6", event="Z99"), "MSH"],
)
def test_what_is_no_message_is_rejected_and_the_connection_lives(
    server: Served, message: str
) -> None:
    async def talk() -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.mllp_port)
        answers = []
        for text in (message, admission("A-7", "9990000069")):
            writer.write(b"\x0b" + text.encode() + b"\x1c\x0d")
            answers.append(await asyncio.wait_for(reader.readuntil(b"\x1c\x0d"), 10))
        writer.close()
        return answers

    refused, accepted = asyncio.run(talk())
    assert b"MSA|AR|" in refused or b"MSA|AE|" in refused
    assert b"MSA|AA|A-7" in accepted


def test_a_merge_keeps_the_survivor_and_follows_the_old_number(server: Served) -> None:
    unnumbered = (
        admission("A-8").replace("9990000018^^^NHS~70018", "88001").replace("70018-1", "88001-1")
    )
    known = admission("A-9", "9990000077").replace("70077", "88002")
    merge = "\r".join(
        (
            "MSH|^~\\&|PAS|RTH|CSOR|CSOR|202001041015||ADT^A40^ADT_A39|A-10|P|2.4",
            "EVN|A40|202001041015",
            "PID|1||9990000077^^^NHS~88002^^^RTH^MR||Testchild-Wren^Fictitious||20200102|1",
            "MRG|88001^^^RTH^MR",
            "",
        )
    )
    late = unnumbered.replace("|A-8|", "|A-11|").replace("Q43.1^Hirsch", "Q43.1^Late Hirsch")
    assert [msa(a)[1] for a in send(server, unnumbered, known, merge, merge, late)] == ["AA"] * 5
    local = "https://csor.example/fhir/sid/RTH/mrn"
    retired = one(server, f"Patient?identifier={local}|88001")
    survivor = one(server, f"Patient?identifier={local}|88002")
    assert retired["active"] is False
    assert retired["link"][0]["other"]["reference"] == f"Patient/{survivor['id']}"
    assert server.http.get(f"/Encounter?patient={survivor['id']}").json()["total"] == 2


MRN = "https://csor.example/fhir/sid/RTH/mrn"


def test_a_newborn_is_one_child_before_and_after_its_nhs_number_comes(server: Served) -> None:
    numbered = admission("N-2", "9990000085")
    unnumbered = numbered.replace("9990000085^^^NHS~", "")
    messages = [
        unnumbered.replace("|N-2|", "|N-1|"),
        numbered,
        unnumbered.replace("|N-2|", "|N-3|"),
        numbered.replace("|N-2|", "|N-4|").replace("~70085^^^RTH^MR", ""),
    ]
    assert [msa(answer)[1] for answer in send(server, *messages)] == ["AA"] * 4
    child = one(server, f"Patient?identifier={NHS}|9990000085")
    assert one(server, f"Patient?identifier={MRN}|70085")["id"] == child["id"]
    assert one(server, f"EpisodeOfCare?patient={child['id']}")
    assert one(server, f"Encounter?patient={child['id']}")


def test_two_records_that_turn_out_to_be_one_childs_are_refused_until_they_are_merged(
    server: Served,
) -> None:
    both = admission("T-4", "9990000093")
    by_number = both.replace("~70093^^^RTH^MR", "").replace("|T-4|", "|T-1|")
    by_mrn = both.replace("9990000093^^^NHS~", "").replace("|T-4|", "|T-2|")
    by_mrn = by_mrn.replace("70093-1", "70093-2")
    merge = "\r".join(
        (
            "MSH|^~\\&|PAS|RTH|CSOR|CSOR|202001041015||ADT^A40^ADT_A39|T-3|P|2.4",
            "EVN|A40|202001041015",
            "PID|1||9990000093^^^NHS~70093^^^RTH^MR||Testchild-Wren^Fictitious||20200102|1",
            "MRG|70093^^^RTH^MR",
            "",
        )
    )
    assert [msa(answer)[1] for answer in send(server, by_number, by_mrn)] == ["AA", "AA"]
    refused = send(server, both)[0]
    assert msa(refused)[1] == "AE"
    assert "A40" in "".join(refused)
    assert msa(send(server, merge)[0])[1] == "AA"
    assert one(server, f"Patient?identifier={NHS}|9990000093")["active"] is True
    assert one(server, f"Patient?identifier={MRN}|70093")["active"] is False
    assert msa(send(server, both)[0])[1] == "AA", "both records now stand for the survivor"


@pytest.mark.parametrize("readable", [True, False])
def test_a_message_with_a_byte_order_mark_is_answered_and_replayed_under_its_control_id(
    server: Served, readable: bool
) -> None:
    message = b"\xef\xbb\xbf" + admission(f"B-{readable}", "9990000107").encode()
    if not readable:
        message += b"\rthis is no segment"
    first, again = frames(server, message, message)
    assert msa(first)[1:3] == ["AA" if readable else "AR", f"B-{readable}"]
    assert msa(again)[:3] == msa(first)[:3]
    assert (first == again) is readable


def test_an_answer_comes_in_the_senders_charset_and_separators(server: Served) -> None:
    message = admission("Ö-1", "9990000115").replace("UNICODE", "8859/1").encode("iso-8859-1")
    (answer,) = frames(server, message, charset="iso-8859-1")
    assert msa(answer) == ["MSA", "AA", "Ö-1"]
    swapped = admission("S-1", "9990000123").translate(str.maketrans("|^~", "*:+"))
    (answer,) = frames(server, swapped.encode())
    assert answer[0].startswith("MSH*:+\\&*CSOR*CSOR*PAS*RTH*")
    assert answer[1] == "MSA*AA*S-1"


def test_each_unreadable_message_is_rejected_as_such(server: Served) -> None:
    for content in (b"one", b"another", b"another"):
        (answer,) = frames(server, content)
        assert msa(answer)[1] == "AR"
        assert next(line for line in answer if line.startswith("ERR")).split("|")[3][:3] == "100"


def test_a_message_of_too_many_segments_is_rejected_with_a_clear_text(server: Served) -> None:
    result = "OBX|1|NM|364589006^x^SCT||3100|g|||||F"
    message = "\r".join([admission("L-1", "9990000131").rstrip(), *[result] * 20_000])
    answer = send(server, message)[0]
    assert msa(answer)[1:3] == ["AR", "L-1"]
    assert "20005 segments; at most 5000" in "".join(answer)


def frames(server: Served, *messages: bytes, charset: str = "utf-8") -> list[list[str]]:
    """Send bytes as they are, each in a frame; returns the segments of each answer."""

    async def talk() -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.mllp_port)
        answers = []
        for message in messages:
            writer.write(b"\x0b" + message + b"\x1c\x0d")
            answers.append(await asyncio.wait_for(reader.readuntil(b"\x1c\x0d"), 10))
        writer.close()
        return answers

    return [
        answer.strip(b"\x0b\x1c\r").decode(charset).split("\r") for answer in asyncio.run(talk())
    ]


def test_the_twenty_foreign_messages_are_each_answered_as_they_ask(
    server: Served, library: Path
) -> None:
    files = sorted((library / "hl7v2" / "whistle").glob("*.hl7"))
    assert len(files) == 20
    silent = []

    async def talk() -> dict[str, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.mllp_port)
        answers = {}
        for file in files:
            fields = [*re.split(rb"[\r\n]", file.read_bytes())[0].split(b"|"), *[b""] * 16]
            writer.write(b"\x0b" + file.read_bytes() + b"\x1c\x0d")
            if fields[14:16] == [b"NE", b"NE"]:
                silent.append(file.name)
                continue
            while answers.get(file.name, "CA") == "CA":
                answer = await asyncio.wait_for(reader.readuntil(b"\x1c\x0d"), 10)
                _, code, control_id = msa(answer.decode().split("\r"))[:3]
                assert control_id == fields[9].decode()
                answers[file.name] = code
                if code not in ("AA", "CA"):
                    assert b"\rERR|" in answer, f"{file.name} is refused without a reason"
                if fields[15] == b"":
                    break
        writer.close()
        return answers

    answers = asyncio.run(talk())
    assert len(silent) == 1
    assert len(answers) == 19
    assert set(answers.values()) <= {"AA", "AE", "AR", "CA", "CR"}
    assert {"CA", "CR"} & set(answers.values()), "some ask for an acknowledgement of receipt alone"
