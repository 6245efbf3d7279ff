"""A message that comes late overwrites nothing that its sender has told since, and adds what is absent."""

import asyncio
from functools import partial
from typing import Any

import pytest

from fhir_server.store import applied, inbox
from fhir_server.store.search.keys import place
from tests.functional.test_hl7v2 import HOSPITAL, MRN, NHS, ODS, admission, msa, one, send
from tests.support.server import Served

STALE = "https://csor.example/fhir/StructureDefinition/stale"


@pytest.fixture(scope="module", autouse=True)
def _hospital(server: Served) -> None:
    assert server.http.put(f"/Organization?identifier={ODS}|RTH", json=HOSPITAL).status_code == 201


def update(control_id: str, number: str, told: str, *, family: str) -> str:
    """Update a child (A08) at a time, with a name."""
    text = admission(control_id, number, event="A08").replace("|AL|NE", "||")
    return text.replace("EVN|A08|202001031015", f"EVN|A08|{told}").replace("Testchild-Wren", family)


def named(server: Served, number: str) -> str:
    return one(server, f"Patient?identifier={NHS}|{number}")["name"][0]["family"]


def test_an_older_update_overwrites_nothing_and_is_processed(server: Served) -> None:
    number = "9990000158"
    newer = update("S-1", number, "202001051200", family="Testchild-New")
    older = update("S-2", number, "202001041200", family="Testchild-Old")
    older = older.replace("|1||||||||||||||A", "|1|||||0123|||||||||A")
    assert [msa(answer)[1] for answer in send(server, newer, older)] == ["AA", "AA"]
    child = one(server, f"Patient?identifier={NHS}|{number}")
    assert child["name"][0]["family"] == "Testchild-New"
    assert child["telecom"][0]["value"] == "0123", "what was absent is added"
    told = {
        provenance["entity"][0]["what"]["identifier"]["value"]: [
            target["reference"].partition("/")[0]
            for target in provenance["target"]
            if target.get("extension") == [{"url": STALE, "valueBoolean": True}]
        ]
        for provenance in provenances(server, child["id"])
    }
    assert told == {"RTH:S-1": [], "RTH:S-2": ["Patient", "Encounter", "Condition"]}
    reasons = {
        each.control_id: each.reason for each in inbox.every(server.context.database, "processed")
    }
    assert reasons["S-1"] is None
    assert "Patient" in str(reasons["S-2"])


def provenances(server: Served, child: str) -> list[dict[str, Any]]:
    found = server.http.get(f"/Provenance?target=Patient/{child}").json()
    return [entry["resource"] for entry in found["entry"]]


@pytest.mark.parametrize(
    ("number", "first", "second", "stands"),
    [
        ("9990000166", "202001051200", "202001051200", "Testchild-Second"),
        ("9990000174", "20200105120030", "202001051200", "Testchild-Second"),
        ("9990000182", "20200105120030", "20200105120029", "Testchild-First"),
        ("9990000190", "202001051200", "20200105", "Testchild-First"),
        ("9990000204", "20201025013000+0100", "20201025012900+0000", "Testchild-Second"),
        ("9990000212", "20201025015900", "20201025010500", "Testchild-Second"),
        ("9990000220", "20991231235959", "202001051200", "Testchild-First"),
    ],
    ids=["equal", "same minute", "a second before", "EVN-2 has no time", "zones",
         "the hour that comes twice", "the future is now"],
)  # fmt: skip
def test_which_of_two_is_older(
    server: Served, number: str, first: str, second: str, stands: str
) -> None:
    messages = [
        update(f"{number}-1", number, first, family="Testchild-First"),
        update(f"{number}-2", number, second, family="Testchild-Second"),
    ]
    assert [msa(answer)[1] for answer in send(server, *messages)] == ["AA", "AA"]
    assert named(server, number) == stands


def test_another_sender_has_another_clock(server: Served) -> None:
    number = "9990000239"
    newer = update("O-1", number, "202001051200", family="Testchild-New")
    other = update("O-2", number, "202001041200", family="Testchild-Lab").replace("|PAS|", "|LAB|")
    send(server, newer, other)
    assert named(server, number) == "Testchild-Lab"


def test_a_late_discharge_does_not_end_a_visit_that_goes_on(server: Served) -> None:
    number = "9990000247"
    goes_on = update("D-1", number, "202001051200", family="Testchild-Wren")
    late = admission("D-2", number, event="A03").replace(
        "|202001031000", "|202001031000|202001041000"
    )
    send(server, goes_on, late)
    child = one(server, f"Patient?identifier={NHS}|{number}")
    visit = one(server, f"Encounter?patient={child['id']}")
    assert visit["status"] == "in-progress"
    assert "end" not in visit["period"]


def test_a_late_merge_still_merges(server: Served) -> None:
    first = admission("M-1", "9990000255")
    second = update("M-2", "9990000263", "202001091200", family="Testchild-New")
    merge = "\r".join(
        (
            "MSH|^~\\&|PAS|RTH|CSOR|CSOR|202001041015||ADT^A40^ADT_A39|M-3|P|2.4",
            "EVN|A40|202001041015",
            "PID|1||70263^^^RTH^MR||Testchild-Old^Fictitious||20200102|1",
            "MRG|70255^^^RTH^MR",
            "",
        )
    )
    assert [msa(answer)[1] for answer in send(server, first, second, merge)] == ["AA"] * 3
    assert one(server, f"Patient?identifier={MRN}|70255")["active"] is False
    survivor = one(server, f"Patient?identifier={MRN}|70263")
    assert survivor["link"][0]["type"] == "replaces"
    assert survivor["name"][0]["family"] == "Testchild-New"


RESULT = "OBX|1|NM|364589006^x^SCT||{value}|g|||||{status}"


def result(control_id: str, number: str, told: str, value: str, status: str) -> str:
    return "\r".join(
        (
            f"MSH|^~\\&|LAB|RTH|CSOR|CSOR|{told}||ORU^R01^ORU_R01|{control_id}|P|2.4",
            f"PID|1||{number}^^^NHS||Testchild-Lab^Fictitious||20200102|1",
            "OBR|1||ORDER-" + number + "|weight^x^L",
            RESULT.format(value=value, status=status),
            "",
        )
    )


@pytest.mark.parametrize(
    ("number", "first", "second", "stands"),
    [
        ("9990000271", ("202001051200", "F"), ("202001051300", "F"), "2"),
        ("9990000298", ("202001051200", "F"), ("202001051100", "F"), "1"),
        ("9990000301", ("202001051200", "F"), ("202001051300", "P"), "1"),
        ("9990000336", ("202001051200", "F"), ("202001051100", "C"), "2"),
        ("9990000328", ("202001051200", "C"), ("202001051100", "C"), "1"),
    ],
    ids=["newer", "older", "preliminary", "correction", "older correction"],
)
def test_which_result_stands(
    server: Served, number: str, first: tuple[str, str], second: tuple[str, str], stands: str
) -> None:
    send(server, admission(f"{number}-0", number))
    answers = send(
        server,
        result(f"{number}-1", number, first[0], "1", first[1]),
        result(f"{number}-2", number, second[0], "2", second[1]),
    )
    assert [msa(answer)[1] for answer in answers] == ["AA", "AA"], answers
    child = one(server, f"Patient?identifier={NHS}|{number}")
    assert (
        str(one(server, f"Observation?patient={child['id']}")["valueQuantity"]["value"]) == stands
    )
    assert child["name"][0]["family"] == "Testchild-Lab", "a result still names its child"


def test_what_was_told_when_is_forgotten_with_the_child(server: Served) -> None:
    send(server, admission("P-1", "9990000344"), admission("P-2", "9990000352"))
    gone, left = (
        one(server, f"Patient?identifier={NHS}|{number}")["id"]
        for number in ("9990000344", "9990000352")
    )
    reason = {"name": "reason", "valueString": "asked for"}
    body = {"resourceType": "Parameters", "parameter": [reason]}
    assert server.http.post(f"/Patient/{gone}/$purge", json=body).status_code == 200
    places = {each: place("Patient", each) for each in (gone, left)}
    told = applied.moments(server.context.database, list(places.values()))
    assert [where for where, _ in told] == [places[left]]


@pytest.mark.parametrize("many", [0, 1, 127, 255])
def test_however_many_places_a_message_tells_of_each_is_recorded(server: Served, many: int) -> None:
    database = server.context.database
    told = [
        applied.Applied(place=-1 - nth, sender="RTH", moment=nth, message=1) for nth in range(many)
    ]
    places = [each.place for each in told]
    asyncio.run(database.write(partial(applied.record, told={each.key: each for each in told})))
    assert applied.moments(database, places) == {each.key: each.moment for each in told}
    asyncio.run(database.write(partial(applied.forget, places=places)))
    assert applied.moments(database, places) == {}
