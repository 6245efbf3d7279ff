"""$convert over HTTP: what a message would become is told whole, and nothing of it is left behind."""

import random
import re
import time
from pathlib import Path
from typing import Any

import hl7.client
import httpx
import pytest

from fhir_server.store import audit
from fhir_server.store.inbox import tally
from mappings.hl7v2 import parse
from tests.mappings.messages import SEGMENTS
from tests.support.mllp import register
from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow

EXAMPLES = Path(__file__).parents[2] / "mappings/hl7v2/examples"
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
NHS = "https://fhir.nhs.uk/Id/nhs-number"
ADMISSION = (EXAMPLES / "ADT_A01-RTH-admission.hl7").read_bytes()


@pytest.fixture(scope="module", autouse=True)
def _hospital(server: Served) -> None:
    register(server, "RTH")


def message(control_id: str = "M1", **changed: str) -> bytes:
    lines = SEGMENTS | changed
    lines["MSH"] = lines["MSH"].replace("|M1|", f"|{control_id}|")
    return "\r".join(lines.values()).encode()


def ask(server: Served, raw: bytes, kind: str = "application/hl7-v2") -> httpx.Response:
    return server.http.post("/$convert", content=raw, headers={"Content-Type": kind})


def parts(listed: list[dict[str, Any]], name: str) -> list[Any]:
    """Return the values of the parameters of a name: a resource, a value, or its parts by name."""
    return [value(each) for each in listed if each["name"] == name]


def value(parameter: dict[str, Any]) -> Any:
    if "part" in parameter:
        return {each["name"]: value(each) for each in parameter["part"]}
    return next(found for name, found in parameter.items() if name != "name")


def converted(server: Served, raw: bytes) -> list[dict[str, Any]]:
    answer = ask(server, raw)
    assert answer.status_code == 200, answer.text
    listed: list[dict[str, Any]] = answer.json()["parameter"]
    return listed


def acknowledged(server: Served, raw: bytes) -> list[str]:
    """Return the segments that the message is really answered with."""
    with hl7.client.MLLPClient("127.0.0.1", server.mllp_port) as client:
        answer: bytes = client.send(b"\x0b" + raw + b"\x1c\x0d")
    return answer.decode().strip("\x0b\x1c\r").split("\r")


def kept(server: Served) -> tuple[Any, ...]:
    """Count what is stored: messages by status, versions of resources."""
    database = server.context.database
    versions = list(database.read("SELECT count(*), max(rid) FROM resource"))
    return tally(database), [tuple(each) for each in versions]


def test_a_message_is_shown_as_bundle_elements_and_ignored_values(server: Served) -> None:
    found = converted(server, ADMISSION)
    names = [each["name"] for each in found]
    single = ["version", "acknowledgement", "outcome", "rehearsal", "bundle"]
    assert names[: len(single)] == single
    (bundle,) = parts(found, "bundle")
    expected = (EXAMPLES / "ADT_A01-RTH-admission.bundle.json").read_text()
    assert [each["fullUrl"] in expected for each in bundle["entry"]] == [True] * 6
    family = next(
        each for each in parts(found, "element") if each["expression"].endswith(".name[0].family")
    )
    assert family == {
        "expression": "Bundle.entry[1].resource.name[0].family",
        "source": "PID^1^5",
        "row": "PID-5",
        "table": "segments/PID[Patient]",
        "line": family["line"],
        "layer": "own",
        "component": "datatypes/XPN[HumanName], line 5 (XPN.1)",
    }
    ignored = {each["place"]: each for each in parts(found, "ignored")}
    assert (ignored["ZU1^1^1"]["why"], ignored["ZU1^1^1"]["row"]) == ("not-mapped", "ZU1")
    assert (ignored["PID^1^31"]["why"], ignored["PID^1^31"]["row"]) == ("not-mapped", "PID-31")


def test_every_value_is_a_source_or_ignored(server: Served) -> None:
    found = converted(server, ADMISSION)
    sources = {
        each["valueString"]
        for parameter in found
        if parameter["name"] == "element"
        for each in parameter["part"]
        if each["name"] == "source"
    }
    ignored = [each["place"] for each in parts(found, "ignored")]
    assert sources.isdisjoint(ignored)
    assert sources | set(ignored) == {str(leaf.place) for leaf in parse(ADMISSION).walk()}


def test_nothing_is_left_behind_and_the_audit_has_no_content(server: Served) -> None:
    before = kept(server)
    moment = int(time.time() * 1_000_000)
    for raw in (ADMISSION, message(PID="PID|1||1|x"), message(MSH="MSH|^~\\&|x"), b"x", b""):
        ask(server, raw)
    assert kept(server) == before
    rows = recorded(server, moment, 5)
    assert {(each.type, each.key, each.version) for each in rows} == {(None, None, None)}


def recorded(server: Served, since: int, number: int) -> list[audit.Access]:
    """Wait until so many conversions are in the audit, and return them."""
    found: list[audit.Access] = []
    for _ in range(100):
        listed = audit.accesses(server.context.database, since=since)
        found = [each for each in listed if each.interaction == "$convert"]
        if len(found) >= number:
            break
        server.http.get("/Patient?_count=0")  # what comes while the audit is written waits for it
        time.sleep(0.2)
    assert len(found) == number
    return found


def test_the_registry_is_asked_what_each_entry_would_do(server: Served) -> None:
    raw = message("C-1")
    (first,) = parts(converted(server, raw), "rehearsal")
    rules = [each["extension"][0]["valueString"] for each in first["issue"]]
    assert set(rules) == {"would-create"}
    assert acknowledged(server, raw)[1].startswith("MSA|AA|C-1")
    (again,) = parts(converted(server, message("C-2")), "rehearsal")
    said = [each["extension"][0]["valueString"] for each in again["issue"]]
    assert said == ["would-create", "unchanged", "unchanged"]  # its Provenance, child and visit
    assert [each["expression"] for each in again["issue"]][1] == ["Bundle.entry[1]"]


@pytest.mark.parametrize(
    ("control_id", "changed"),
    [
        ("D-1", {"PV1": ""}),
        ("D-2", {"PID": "PID|1||9990000018^^^NHS||Testchild^Ann||soon|2"}),
        ("D-3", {"MSH": SEGMENTS["MSH"].replace("RTH", "RXX")}),
        ("D-4", {"MSH": SEGMENTS["MSH"].replace("A01^ADT_A01", "Z99")}),
        ("D-5", {"PID": ""}),
    ],
)
def test_the_acknowledgement_is_the_one_that_the_message_gets(
    server: Served, control_id: str, changed: dict[str, str]
) -> None:
    raw = message(control_id, **changed)
    (told,) = parts(converted(server, raw), "acknowledgement")
    real = acknowledged(server, raw)
    assert told["code"] == real[1].split("|")[1] != "AA"
    said = told["text"].rstrip("\r").split("\r")
    assert said[1:] == real[1:]
    for header in (said[0], real[0]):
        assert re.fullmatch(r"\d{14}", header.split("|")[6]), "MSH-7, in one form"


def test_what_refuses_a_message_is_all_in_the_outcome(server: Served) -> None:
    found = converted(server, message(PID="PID|1||1^^^NHS||Testchild^Ann||soon|2"))
    (outcome,) = parts(found, "outcome")
    places = [each["expression"] for each in outcome["issue"]]
    assert places == [["PID^1^3"], ["PID^1^7"]]
    assert parts(found, "bundle") == parts(found, "rehearsal") == []
    assert any(each["expression"].endswith(".family") for each in parts(found, "element"))


def test_a_batch_is_answered_message_by_message(server: Served) -> None:
    inner = [message("B-1"), message("B-2", PV1=""), b"MSH|^~\\&|x|RTH"]
    batch = b"\r".join((b"BHS|^~\\&|PAS|RTH", *inner, b"BTS|3"))
    told = parts(converted(server, batch), "message")
    assert [each["acknowledgement"]["code"] for each in told] == ["AA", "AE", "AR"]
    assert ["bundle" in each for each in told] == [True, False, False]
    wrong = ask(server, batch.replace(b"BTS|3", b"BTS|4"))
    assert (wrong.status_code, wrong.json()["issue"][0]["code"]) == (400, "structure")


def test_a_message_may_come_as_v2_xml_and_the_answer_go_as_fhir_xml(server: Served) -> None:
    pid = "<PID.3><CX.1>9990000018</CX.1><CX.4><HD.1>NHS</HD.1></CX.4></PID.3>"
    raw = (
        '<ADT_A05 xmlns="urn:hl7-org:v2xml"><MSH><MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2>'
        "<MSH.4><HD.1>RTH</HD.1></MSH.4><MSH.7>202505060930</MSH.7><MSH.9><MSG.1>ADT</MSG.1>"
        "<MSG.2>A28</MSG.2></MSH.9><MSH.10>X1</MSH.10><MSH.12><VID.1>2.4</VID.1></MSH.12></MSH>"
        f"<PID>{pid}</PID></ADT_A05>"
    ).encode()
    answer = server.http.post(
        "/$convert",
        content=raw,
        headers={"Content-Type": "application/hl7-v2+xml", "Accept": "application/fhir+xml"},
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/fhir+xml")
    assert '<valueString value="Bundle.entry[1].resource.identifier[0]"/>' in answer.text
    (told,) = parts(converted(server, raw), "acknowledgement")
    assert "<MSA.1>AA</MSA.1>" in told["text"]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "is empty"),
        (b"nonsense", "does not begin with an MSH"),
        (b"\xff\xfeM\x00S\x00H\x00", "UTF-16"),
        (message() + b"\r" + message(), "send one message at a time"),
        (b"<ClinicalDocument/>", ""),
    ],
)
def test_what_is_no_message_is_refused_with_its_place(
    server: Served, raw: bytes, expected: str
) -> None:
    answer = ask(server, raw)
    (said,) = answer.json()["issue"]
    assert (answer.status_code, said["severity"]) == (400, "error")
    assert said["expression"] == ["MSH^1"]
    assert expected in said["diagnostics"]


def test_other_media_types_methods_and_sizes_are_refused(server: Served) -> None:
    answer = ask(server, b"{}", "application/fhir+json")
    assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (
        415,
        ["http.Content-Type"],
    )
    assert server.http.get("/$convert").status_code == 405
    before = kept(server)
    large = ask(server, b"MSH|" + b"x" * server.context.settings.max_body)
    assert large.status_code == 413
    assert kept(server) == before


def test_a_long_message_is_converted_while_others_are_answered(server: Served) -> None:
    rows = (f"OBX|{n}|NM|{n}-4^Test^LN||{n}|mmol/L|||||F" for n in range(1, 400))
    found = converted(server, "\r".join([message().decode(), *rows]).encode())
    (bundle,) = parts(found, "bundle")
    assert len(bundle["entry"]) == 3 + 399


def test_a_damaged_message_is_converted_or_refused_and_never_fails(server: Served) -> None:
    rng = random.Random(7)  # noqa: S311 - damage, no secret
    seen = set()
    for _ in range(60):
        raw = bytearray(ADMISSION)
        for _ in range(rng.randint(1, 6)):
            raw[rng.randrange(len(raw))] = rng.choice(b'|^~&\\"\r\n\x00\x01\xe90AZ')
        accept = rng.choice(("application/fhir+json", "application/fhir+xml"))
        headers = {"Content-Type": "application/hl7-v2", "Accept": accept}
        seen.add(server.http.post("/$convert", content=bytes(raw), headers=headers).status_code)
    assert seen == {200, 400}


def test_the_door_is_closed_to_those_who_are_not_known(server: Served) -> None:
    headers = {"Authorization": "Bearer unknown", "Content-Type": "application/hl7-v2"}
    answer = server.http.post("/$convert", content=ADMISSION, headers=headers)
    assert answer.status_code == 401


def test_it_is_declared(server: Served) -> None:
    (rest,) = server.http.get("/metadata").json()["rest"]
    declared = {each["name"]: each["definition"] for each in rest["operation"]}
    url = declared["convert"]
    (entry,) = server.http.get(f"/OperationDefinition?url={url}").json()["entry"]
    assert entry["resource"]["affectsState"] is False
