"""The little stories of `--kinds all`: what they send, and what a real registry makes of them."""

import asyncio
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.simulate import Options, Summary, cohort, simulate, tables
from fhir_server.simulate.feed import feed
from fhir_server.simulate.ledger import read
from fhir_server.simulate.mllp import MllpSender, acknowledgement
from fhir_server.simulate.sending import Answer, Sending
from fhir_server.simulate.xml import written
from mappings.hl7v2 import parse, to_bundle
from tests.mappings.messages import CONTEXT
from tests.simulate.conftest import UNTIL
from tests.simulate.doors import MllpDoor
from tests.support.server import served

Run = tuple[Summary, list[dict[str, Any]], httpx.Client]

EVENTS = {
    *(f"ADT^{event}" for event in ("A02", "A03", "A04", "A05", "A06", "A08", "A11", "A12", "A13")),
    *(f"ADT^{event}" for event in ("A14", "A21", "A22", "A27", "A28", "A31", "A34", "A38", "A44")),
    "ADT^A47", "MDM^T02", "MDM^T08", "MDM^T10", "MDM^T11",
    "OML^O21", "ORM^O01", "ORU^R01", "SIU^S12", "SIU^S13", "SIU^S15",
}  # fmt: skip


@pytest.fixture(scope="module")
def told() -> dict[str, list[Sending]]:
    """What each hospital tells in little stories of a year, by its ODS code."""
    children = list(cohort.plan(1, date(2018, 1, 1), 1, 0.4))
    found = {}
    for each in tables.hospitals():
        own = [child for child in children if child.ods == each.ods]
        sent = feed(each, own, UNTIL, {}, 1, kinds="all")
        found[each.ods] = [one for one in sent if f"{each.ods}-1-S" in one.id]
    return found


def test_nine_hospitals_tell_every_event_of_the_stories(told: dict[str, list[Sending]]) -> None:
    assert {each.kind for listed in told.values() for each in listed} == EVENTS
    assert [ods for ods, listed in told.items() if not listed] == ["RP4"]


def test_every_message_maps_and_only_the_state_of_a_registry_refuses_one(
    told: dict[str, list[Sending]],
) -> None:
    for each in (one for listed in told.values() for one in listed):
        assert to_bundle(parse(each.body), CONTEXT)["entry"]


def test_a_hospital_uses_a_number_again_for_something_else(told: dict[str, list[Sending]]) -> None:
    seen: dict[str, list[bool]] = {}
    for each in (one for listed in told.values() for one in listed):
        seen.setdefault(each.id, []).append(each.faulty)
    again = [faulty for faulty in seen.values() if len(faulty) > 1]
    assert again
    assert all(faulty == [False, True] for faulty in again)


def test_one_hospital_writes_xml_that_says_what_its_pipes_would(
    told: dict[str, list[Sending]],
) -> None:
    assert all(each.body.startswith(b"<?xml") for each in told["G513H"])
    piped = next(each.body for each in told["RTH"] if each.kind == "ADT^A31").decode()
    lines = piped.replace("^Fictitious|", r"^a\T\b \F\ <c>|").strip("\r").split("\r")
    assert r"a\T\b" in lines[3]
    here, there = (
        to_bundle(parse(body), CONTEXT) for body in ("\r".join(lines).encode(), written(lines))
    )
    assert without_times_of_writing(here) == without_times_of_writing(there)


def without_times_of_writing(bundle: dict[str, Any]) -> list[Any]:
    """Leave out the Provenance and its message, which hold the bytes as they came."""
    return [
        entry["resource"]
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] not in ("Provenance", "Binary", "DocumentReference")
    ]


async def test_a_sender_that_asks_for_two_answers_waits_for_the_second(mllp: MllpDoor) -> None:
    mllp.answer = lambda _: "CA"
    header = r"MSH|^~\&|EPR|RBS|CSOR|ROUTE|2018||ADT^A31|M-1|P|2.4"
    sender = MllpSender("127.0.0.1", mllp.port, 0.2)
    try:
        asked = Sending("mllp", "RBS", "ADT^A31", f"{header}|||AL|NE\r".encode(), "M-1")
        assert (await sender.send(asked)).code == "CA"
        both = Sending("mllp", "RBS", "ADT^A31", f"{header}|||AL|AL\r".encode(), "M-1")
        with pytest.raises(TimeoutError):
            await sender.send(both)
    finally:
        await sender.close()


def test_an_acknowledgement_in_xml_is_read() -> None:
    frame = (
        b"\x0b<ACK><MSH/><MSA><MSA.1>AE</MSA.1><MSA.2>M-1</MSA.2></MSA>"
        b"<ERR><ERR.3><CWE.1>205</CWE.1></ERR.3><ERR.8>no</ERR.8></ERR></ACK>\x1c\r"
    )
    assert acknowledgement(frame) == ("M-1", Answer("AE", ("M-1",), "205 no"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Send a small registry of three hospitals, of which one writes XML, one asks for two answers."""
    folder: Path = tmp_path_factory.mktemp("asides")
    with served(folder) as server:
        options = Options(
            server.base_url,
            f"127.0.0.1:{server.mllp_port}",
            years=1,
            size=0.3,
            hospitals=("RTH", "RBS", "G513H"),
            ledger=folder / "ledger.ndjson",
            kinds="all",
        )
        summary = asyncio.run(simulate(options))
        yield summary, read(folder / "ledger.ndjson"), server.http


def test_nothing_is_answered_otherwise_than_meant(run: Run) -> None:
    summary, lines, _ = run
    assert (summary.unexpected, summary.problems) == (0, ())
    assert {line["kind"] for line in lines} >= EVENTS
    answers = {(line["answer"], line["faulty"]) for line in lines if "-S" in line["id"]}
    assert answers == {("AA", False), ("AE", True)}


def test_visits_end_as_their_stories_do(run: Run) -> None:
    ends: dict[str, set[str]] = {}
    for visit in everything(run, "Encounter"):
        number = visit["identifier"][0]["value"]
        ends.setdefault(number.partition("-")[2], set()).add(visit["status"])
    assert ends == {
        "": {"finished"},
        **{suffix: {"cancelled"} for suffix in "PQE"},
        **{suffix: {"finished"} for suffix in "RCM"},
    }


def test_a_day_in_hospital_has_one_transfer_and_a_leave(run: Run) -> None:
    days = [
        visit
        for visit in everything(run, "Encounter")
        if visit["identifier"][0]["value"].endswith("-R")
    ]
    for visit in days:
        assert [each["status"] for each in visit["location"]] == ["completed"] * 2
        assert "onleave" in [each["status"] for each in visit["statusHistory"]]
        assert [each["class"]["code"] for each in visit["classHistory"]]


def test_children_are_who_they_were(run: Run) -> None:
    children = everything(run, "Patient")
    assert "Formerton" not in {child["address"][0]["city"] for child in children}
    seconds = [child for child in children if numbers(child, "S")]
    wrong = [number for child in children for number in numbers(child, "W")]
    assert seconds
    assert all(not each["active"] and each["link"] for each in seconds)
    assert wrong
    assert {each.get("use") for each in wrong} == {"old"}


def test_letters_and_appointments_end_as_their_stories_do(run: Run) -> None:
    letters, booked = {}, {}
    for letter in everything(run, "DocumentReference"):
        letters[letter["masterIdentifier"]["value"].rpartition("-")[2]] = letter["status"]
    for each in everything(run, "Appointment"):
        booked[each["identifier"][0]["value"].rpartition("-")[2]] = each["status"]
    assert letters == {
        "OP": "current", "D1": "superseded", "D2": "current", "D3": "entered-in-error",
    }  # fmt: skip
    assert booked == {"A": "booked", "B": "cancelled"}


def everything(run: Run, kind: str) -> list[dict[str, Any]]:
    """Return all resources of a type, of which there are some."""
    found = run[2].get(f"/{kind}?_count=1000").json()
    assert found["total"] == len(found["entry"]) > 0
    return [entry["resource"] for entry in found["entry"]]


def numbers(child: dict[str, Any], first: str) -> list[dict[str, Any]]:
    return [each for each in child["identifier"] if each["value"].startswith(first)]
