"""FHIR messages through $process-message: stored once, answered, refused, replayed, purged."""

import asyncio
from contextlib import suppress
from copy import deepcopy
from itertools import count as count_from
from typing import Any

import httpx
import pytest

from fhir_server.app import alone
from fhir_server.commands.inbox import replay
from fhir_server.context import Context
from fhir_server.operations import receive
from fhir_server.operations.lanes import Lanes
from fhir_server.store import inbox
from fhir_server.store.inbox import Arrival
from mappings.fhir_message import EVENT
from profiles import validate
from r4 import xml
from r4.json import decode, encode
from tests.functional.test_hl7v2 import HOSPITAL, NHS, ODS, one
from tests.mappings.messages import TERMINOLOGY
from tests.support.mutations import JSON, content_of, every, mutated, no_failure, of_lengths
from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow

DOOR = "/$process-message"
SENT_FROM = "https://rth.example/fhir"
LOCAL = "https://rth.example/ids"


@pytest.fixture(scope="module", autouse=True)
def _hospital(server: Served) -> None:
    server.http.put(f"/Organization?identifier={ODS}|RTH", json=HOSPITAL).raise_for_status()


def child(number: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": "p",
        "identifier": [{"system": NHS, "value": number}],
        "name": [{"family": "Testchild-Wren", "given": ["Fictitious"]}],
        "birthDate": "2025-04-30",
    }


def operation(number: str, code: str = "H41.1") -> dict[str, Any]:
    coding = {"system": "https://fhir.hl7.org.uk/CodeSystem/OPCS-4", "code": code}
    return {
        "resourceType": "Procedure",
        "identifier": [{"system": f"{LOCAL}/procedure", "value": f"P-{number}"}],
        "status": "completed",
        "code": {"coding": [coding]},
        "subject": {"reference": "Patient/p"},
        "performedDateTime": "2025-05-08",
    }


def letter(number: str) -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference",
        "masterIdentifier": {"system": f"{LOCAL}/letter", "value": number},
        "status": "current",
        "subject": {"reference": "Patient/p"},
        "content": [{"attachment": {"contentType": "text/plain", "data": "bm90ZQ=="}}],
    }


def note(text: str) -> dict[str, Any]:
    """A resource without an identifier."""
    return {
        "resourceType": "Communication",
        "status": "completed",
        "subject": {"reference": "Patient/p"},
        "payload": [{"contentString": text}],
    }


def message(key: str, *resources: dict[str, Any], **header: Any) -> dict[str, Any]:
    head = {
        "resourceType": "MessageHeader",
        "id": key,
        "eventUri": EVENT,
        "source": {"endpoint": "https://rth.example/fhir-out"},
        "sender": {"identifier": {"system": ODS, "value": "RTH"}},
        **header,
    }
    listed = [head, *resources]
    return {
        "resourceType": "Bundle",
        "id": f"bundle-{key}",
        "type": "message",
        "timestamp": "2025-05-09T09:00:00Z",
        "entry": [
            {
                "fullUrl": f"{SENT_FROM}/{each['resourceType']}/{each.get('id', f'{key}-{n}')}",
                "resource": each,
            }
            for n, each in enumerate(listed)
        ],
    }


def post(server: Served, sent: dict[str, Any]) -> httpx.Response:
    return server.http.post(DOOR, json=sent)


def answered(server: Served, sent: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """Send a message; returns what the answer says, and its issues."""
    answer = post(server, sent)
    assert answer.status_code == 200, answer.text
    bundle = decode(answer.content)
    assert [i for i in validate(bundle, TERMINOLOGY) if i.is_error] == []
    head, *details = (entry["resource"] for entry in bundle["entry"])
    assert head["response"]["identifier"] == sent["entry"][0]["resource"]["id"]
    assert head["destination"] == [{"endpoint": "https://rth.example/fhir-out"}]
    return head["response"]["code"], details[0]["issue"] if details else []


def count(server: Served, query: str) -> int:
    return int(server.http.get(f"/{query}&_summary=count").json()["total"])


def test_its_resources_are_stored_with_their_provenance(server: Served) -> None:
    number = "9990000123"
    sent = message("m-1", child(number), operation(number), note("seen"))
    assert answered(server, sent) == ("ok", [])
    patient = one(server, f"Patient?identifier={NHS}|{number}")
    assert patient["id"] != "p"
    procedure = one(server, f"Procedure?patient={patient['id']}")
    assert one(server, f"Communication?patient={patient['id']}")["status"] == "completed"
    provenance = one(server, f"Provenance?target=Procedure/{procedure['id']}")
    assert len(provenance["target"]) == 3
    source = provenance["entity"][0]["what"]["identifier"]
    assert source["value"] == "RTH:m-1"
    who = provenance["agent"][0]["who"]["reference"]
    assert server.http.get(f"/{who}").json()["identifier"][0]["value"] == "RTH"


def test_sent_again_it_gets_its_first_answer_and_changes_nothing(server: Served) -> None:
    number = "9990000131"
    sent = message("m-2", child(number), note("once"))
    first = post(server, sent)
    again = {**deepcopy(sent), "id": "bundle-again", "timestamp": "2025-05-09T09:05:00Z"}
    assert post(server, again).content == first.content
    patient = one(server, f"Patient?identifier={NHS}|{number}")
    assert patient["meta"]["versionId"] == "1"
    assert count(server, f"Communication?patient={patient['id']}") == 1


def test_messages_are_known_by_bundle_identifier_and_source(server: Served) -> None:
    number = "9990000158"
    named = {"identifier": {"system": f"{LOCAL}/message", "value": "77"}}
    sent = [message(f"m-3{n}", child(number), note("a")) | named for n in "ab"]
    elsewhere = message("m-3c", child(number), note("a"), source={"endpoint": "urn:x:other"})
    assert answered(server, sent[0])[0] == "ok"
    code, issues = answered(server, sent[1])
    assert (code, issues[0]["code"]) == ("fatal-error", "duplicate")
    assert post(server, elsewhere | named).status_code == 200
    patient = one(server, f"Patient?identifier={NHS}|{number}")
    assert count(server, f"Communication?patient={patient['id']}") == 2


def test_what_has_an_identifier_is_updated_and_keeps_what_others_said(server: Served) -> None:
    number = "9990000166"
    told = {**child(number), "gender": "female"}
    assert answered(server, message("m-4", told, operation(number)))[0] == "ok"
    again = operation(number, "H41.4")
    assert answered(server, message("m-5", child(number), again))[0] == "ok"
    patient = one(server, f"Patient?identifier={NHS}|{number}")
    assert patient["gender"] == "female"
    found = one(server, f"Procedure?patient={patient['id']}")
    assert found["code"]["coding"][0]["code"] == "H41.4"
    assert found["meta"]["versionId"] == "2"


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        ({"eventUri": "urn:x:discharge"}, "not-supported", "Bundle.entry[0].resource.event"),
        ({"sender": {"display": "A hospital"}}, "required", "Bundle.entry[0].resource.sender"),
    ],
)
def test_a_header_that_is_not_ours_to_process_is_refused(
    server: Served, change: dict[str, Any], code: str, place: str
) -> None:
    said, issues = answered(server, message(f"h-{code}", child("9990000174"), **change))
    assert (said, issues[0]["code"], issues[0]["expression"]) == ("fatal-error", code, [place])


@pytest.mark.parametrize(
    ("key", "resource", "code", "place"),
    [
        ("c-1", note("x") | {"subject": {"reference": "Patient/q"}}, "not-found", ""),
        ("c-2", note("x") | {"subject": {"reference": "urn:uuid:1"}}, "not-found", ""),
        ("c-3", {"resourceType": "Patient"}, "required", ".identifier"),
        ("c-4", {"resourceType": "Parameters"}, "not-supported", ""),
        ("c-5", note("x") | {"status": "never"}, "code-invalid", ".status"),
        ("c-6", child("9990000018") | {"id": "q", "birthDate": "soon"}, "value", ".birthDate"),
    ],
)
def test_content_that_cannot_be_stored_is_refused_at_its_place_in_the_message(
    server: Served, key: str, resource: dict[str, Any], code: str, place: str
) -> None:
    number = "9990000174"
    said, issues = answered(server, message(key, child(number), resource))
    assert said == "fatal-error"
    found = [(issue["code"], issue.get("expression")) for issue in issues]
    assert (code, [f"Bundle.entry[2].resource{place}"]) in found
    assert count(server, f"Patient?identifier={NHS}|{number}") == 0


def test_two_names_for_one_entry_are_refused(server: Served) -> None:
    sent = message("n-1", child("9990000174"), child("9990000182"))
    assert answered(server, sent)[1][0]["code"] == "invariant"


def test_a_message_without_content_is_refused(server: Served) -> None:
    assert answered(server, message("n-2"))[0] == "fatal-error"


@pytest.mark.parametrize(
    "change",
    [
        {"type": "transaction"},
        {"entry": []},
        {"entry": 5},
        {"entry": [{"resource": child("9990000018")}]},
        {"entry": [{"resource": {"resourceType": "MessageHeader", "id": "x", "eventUri": EVENT}}]},
    ],
)
def test_what_is_no_message_is_an_http_error_and_kept(
    server: Served, change: dict[str, Any]
) -> None:
    sent = message("n-3", child("9990000174")) | change
    answer = post(server, sent)
    assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")
    kept = [m.raw for m in inbox.every(server.context.database, "refused")]
    assert encode(sent) in [encode(decode(raw)) for raw in kept if raw[:1] == b"{"]


@pytest.mark.parametrize("query", ["async=true", "response-url=https://rth.example/answers"])
def test_an_asynchronous_answer_is_refused(server: Served, query: str) -> None:
    sent = message("n-4", child("9990000174"))
    answer = server.http.post(f"{DOOR}?{query}", json=sent)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "not-supported")
    assert "leave out" in answer.json()["issue"][0]["diagnostics"]
    assert server.http.post(f"{DOOR}?async=false", json=sent).status_code == 200


def test_a_message_in_xml_is_answered_in_xml(server: Served) -> None:
    number = "9990000190"
    raw = xml.encode(message("x-1", child(number)))
    kind = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
    answer = server.http.post(DOOR, content=raw, headers=kind)
    said = xml.decode(answer.content)
    assert said["entry"][0]["resource"]["response"]["code"] == "ok"
    assert one(server, f"Patient?identifier={NHS}|{number}")


def test_a_message_of_an_unknown_hospital_is_kept_and_replayed_once_it_is_known(
    server: Served,
) -> None:
    number = "9990000204"
    sender = {"identifier": {"system": ODS, "value": "RXX"}}
    sent = message("u-1", child(number), sender=sender)
    assert answered(server, sent)[0] == "fatal-error"
    kept = [m for m in inbox.every(server.context.database, "refused") if m.control_id == "u-1"]
    body = {**HOSPITAL, "identifier": [{"system": ODS, "value": "RXX"}]}
    server.http.put(f"/Organization?identifier={ODS}|RXX", json=body).raise_for_status()
    assert replay(server.context.settings, [kept[0].id]) == 0
    after = inbox.read(server.context.database, kept[0].id)
    assert after is not None
    assert after.status == "processed"
    assert one(server, f"Patient?identifier={NHS}|{number}")
    assert answered(server, sent) == ("ok", [])


def test_a_replay_that_is_refused_again_stays_refused(server: Served) -> None:
    sent = message("u-2", child("9990000212"), note("x") | {"status": "never"})
    assert answered(server, sent)[0] == "fatal-error"
    (kept,) = (m for m in inbox.every(server.context.database, "refused") if m.control_id == "u-2")
    replay(server.context.settings, [kept.id])
    after = inbox.read(server.context.database, kept.id)
    assert after is not None
    assert after.status == "refused"


def test_what_an_interrupted_server_had_received_is_processed_when_it_starts(
    server: Served,
) -> None:
    number = "9990000220"
    sent = message("i-1", child(number))
    arrival = Arrival(
        "http", "https://rth.example/fhir-out", "i-1", "0" * 64, f"POST /fhir{DOOR}", encode(sent)
    )

    async def restarted(made: Context) -> int:
        await inbox.receive(made.database, arrival, 1)
        return await receive.finish(made, Lanes())

    assert asyncio.run(alone(server.context.settings, restarted)) == 1
    assert one(server, f"Patient?identifier={NHS}|{number}")
    assert list(inbox.every(server.context.database, "received")) == []


def test_a_purge_takes_the_messages_of_the_child_and_no_others(server: Served) -> None:
    gone, stays = "9990000239", "9990000247"
    for key, number in (("p-1", gone), ("p-2", stays)):
        answered(server, message(key, child(number), operation(number)))
        answered(server, message(f"{key}-bad", child(number), note("x") | {"status": "never"}))
    patient = one(server, f"Patient?identifier={NHS}|{gone}")
    erased = server.http.post(
        f"/Patient/{patient['id']}/$purge",
        json={
            "resourceType": "Parameters",
            "parameter": [{"name": "reason", "valueString": "request 1"}],
        },
    )
    assert erased.status_code == 200, erased.text
    kept = [
        m.control_id
        for status in ("processed", "refused")
        for m in inbox.every(server.context.database, status)
        if m.control_id.startswith("p-")
    ]
    assert sorted(kept) == ["p-2", "p-2-bad"]


@of_lengths(25, 1500)
def test_a_damaged_message_is_answered_or_refused(server: Served, length: int) -> None:
    """Each has an id of its own, where its header is left whole enough to have one."""
    told = (child("9990000255"), operation("9990000255"), letter("9990000255"), note("seen"))
    whole = message("f-0", *told)
    assert answered(server, message(f"f-{length}", *told))[0] == "ok"
    codes: set[str] = set()
    numbers = count_from(1)

    def check(sent: Any) -> None:
        with suppress(LookupError, TypeError, AttributeError):
            sent["entry"][0]["resource"]["id"] = f"f-{length}-{next(numbers)}"
        answer = no_failure(server.http.post(DOOR, content=content_of(sent), headers=JSON))
        if answer.is_success:
            head, *details = (entry["resource"] for entry in answer.json()["entry"])
            codes.add(head["response"]["code"])
            issues = [issue for each in details for issue in each["issue"]]
            assert [issue for issue in issues if issue["code"] == "exception"] == []

    every(length, check, mutated(whole))
    assert "fatal-error" in codes


def test_the_event_is_stated(server: Served) -> None:
    (stated,) = server.http.get("/metadata").json()["messaging"]
    assert stated["supportedMessage"] == [{"mode": "receiver", "definition": EVENT}]
    assert stated["endpoint"][0]["address"].endswith(DOOR)
