"""HL7 v2 over HTTP: one message or a batch in, acknowledgements out; the rest in plain words."""

import gzip
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fhir_server.store import inbox
from mappings import hl7v2
from tests.support.mllp import acknowledged, found, person, register
from tests.support.server import ROOT, Served, free_port, served

KIND = "application/hl7-v2"
TOKEN, OTHER = "a-long-random-token", "another-long-random-token"
LARGEST = 60_000
XML = (
    '<ADT_A05 xmlns="urn:hl7-org:v2xml"><MSH><MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2>'
    "<MSH.3><HD.1>PAS</HD.1></MSH.3><MSH.4><HD.1>RTH</HD.1></MSH.4><MSH.7><TS.1>202001031015"
    "</TS.1></MSH.7><MSH.9><MSG.1>ADT</MSG.1><MSG.2>A28</MSG.2></MSH.9><MSH.10>W-3</MSH.10>"
    "<MSH.11><PT.1>P</PT.1></MSH.11><MSH.12><VID.1>2.4</VID.1></MSH.12></MSH>"
    "<EVN><EVN.2><TS.1>202001031015</TS.1></EVN.2></EVN>"
    "<PID><PID.3><CX.1>9990000018</CX.1><CX.4><HD.1>NHS</HD.1></CX.4></PID.3>"
    "<PID.5><XPN.1><FN.1>Testchild-Wren</FN.1></XPN.1></PID.5></PID></ADT_A05>"
)


def examples() -> list[str]:
    """Return what docs/senders.md has a reader run: certificates, a message by TLS, one by HTTP."""
    text = (ROOT / "docs" / "senders.md").read_text()
    return re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def run(example: str, folder: Path) -> str:
    """Run an example in bash, in a folder."""
    here = example.replace("python3 -", f"{sys.executable} -")
    done = subprocess.run(
        ["bash", "-ec", here], cwd=folder, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with senders: this machine for Oxford, one client for Cambridge, one for nobody.

    And, where openssl is there, Oxford by mutual TLS as docs/senders.md has it.
    """
    folder = tmp_path_factory.mktemp("http")
    tokens = {"cambridge": TOKEN, "reports": OTHER}
    clients = folder / "clients.toml"
    clients.write_text(
        "".join(
            f'[[client]]\nname = "{name}"\n'
            f'token_sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\n'
            for name, token in tokens.items()
        )
    )
    senders = folder / "senders.toml"
    if shutil.which("openssl"):
        run(examples()[0].replace("2576", str(free_port())), folder)
    with senders.open("a") as file:
        file.write(
            '[[sender]]\nname = "here"\nhospitals = ["RTH"]\naddress = "127.0.0.1"\n'
            '[[sender]]\nname = "cambridge"\nhospitals = ["RGT"]\nclient = "cambridge"\n'
        )
    with served(folder, clients=clients, hl7v2_senders=senders, max_body=LARGEST) as running:
        register(running, "RTH", "RGT")
        yield running


def post(server: Served, content: bytes, kind: str = KIND, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = server.base_url.removesuffix("/fhir") + "/hl7v2"
    return server.http.post(url, content=content, headers={"Content-Type": kind, **named})


@pytest.mark.parametrize(
    "kind",
    [KIND, f"{KIND}+er7", f"x-{KIND}+er7", f"{KIND}; charset=utf-8", f"{KIND};charset=US-ASCII"],
)
def test_a_message_is_stored_and_acknowledged_in_the_form_it_came_in(
    server: Served, kind: str
) -> None:
    answer = post(server, person("W-1"), kind)
    assert (answer.status_code, acknowledged(answer.content)) == (200, ("AA", "W-1"))
    assert answer.headers["content-type"].replace(" ", "") == kind.lower().replace(" ", "")
    assert found(server, "9990000018") == 1
    (kept,) = [
        each
        for each in inbox.every(server.context.database, "processed")
        if each.control_id == "W-1" and each.door == "http-hl7v2"
    ]
    assert kept.answer == answer.content


def test_a_refusal_is_an_acknowledgement_too(server: Served) -> None:
    answer = post(server, person("W-2", "9990000019"))
    assert (answer.status_code, acknowledged(answer.content)) == (200, ("AE", "W-2"))
    answer = post(server, b"nonsense")
    assert (answer.status_code, acknowledged(answer.content)[0]) == (200, "AR")


def test_xml_is_answered_as_xml(server: Served) -> None:
    answer = post(server, XML.encode(), f"{KIND}+xml")
    assert (answer.status_code, answer.headers["content-type"]) == (200, f"{KIND}+xml")
    read = hl7v2.parse(answer.content)
    assert (read.encoding, read.segments("MSA")[0].value(1)) == ("xml", "AA")


def test_a_batch_is_answered_as_a_batch(server: Served) -> None:
    count = 40
    messages = [person(f"B-{n}", "9990000026", family=f"Testchild-{n}") for n in range(count)]
    messages[7] = person("B-7", "9990000019")
    messages[8] = person("B-8", asks="NE|NE")
    sent = b"FHS|^~\\&|PAS|RTH\rBHS|^~\\&|PAS|RTH|||||||77\r" + b"".join(messages)
    answer = post(server, sent + b"BTS|40\rFTS|1\r")
    assert (answer.status_code, answer.headers["content-type"]) == (200, KIND)
    back = hl7v2.batch(answer.content)
    assert back is not None
    codes = [acknowledged(each) for each in back.messages]
    assert codes == [("AE" if n == 7 else "AA", f"B-{n}") for n in range(count) if n != 8]
    assert f"BTS|{count - 1}\r".encode() in answer.content
    child = server.http.get("/Patient?identifier=9990000026").json()["entry"][0]["resource"]
    assert child["name"][0]["family"] == "Testchild-39"


def test_a_batch_that_was_counted_wrongly_is_refused_as_a_whole(server: Served) -> None:
    sent = b"BHS|^~\\&|PAS|RTH\r" + person("B-99", "9990000034") + b"BTS|2\r"
    answer = post(server, sent)
    assert (answer.status_code, acknowledged(answer.content)[0]) == (200, "AR")
    assert b"BTS-1 does not say the number of messages" in answer.content
    assert found(server, "9990000034") == 0
    assert any(each.raw == sent for each in inbox.every(server.context.database, "refused"))


@pytest.mark.parametrize(
    ("asks", "code"),
    [("AL|AL", "AA"), ("AL|NE", "CA"), ("AL|ER", "CA"), ("NE|AL", "AA"), ("NE|NE", None)],
)
def test_there_is_one_answer_the_application_acknowledgement_where_it_is_asked_for(
    server: Served, asks: str, code: str | None
) -> None:
    answer = post(server, person(f"W-4-{asks}".replace("|", "-"), asks=asks))
    assert answer.status_code == (200 if code else 204)
    assert (acknowledged(answer.content)[0] if answer.content else None) == code


def test_a_body_may_be_gzipped_and_an_answer_is_the_same_again(server: Served) -> None:
    packed = gzip.compress(person("W-5"))
    first = post(server, packed, Content_Encoding="gzip")
    assert acknowledged(first.content) == ("AA", "W-5")
    assert post(server, person("W-5")).content == first.content


def test_who_calls_decides_for_which_hospital(server: Served) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    theirs = post(server, person("W-6", facility="RGT"), **bearer)
    assert acknowledged(theirs.content) == ("AA", "W-6")
    others = post(server, person("W-7", facility="RTH"), **bearer)
    assert acknowledged(others.content) == ("AE", "W-7")
    assert b"(cambridge) speaks for RGT" in others.content


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"Authorization": "Bearer wrong"}, 401, "This bearer token is not known here."),
        ({"Host": "registry.example"}, 401, "Send the registered bearer token"),
        ({"Authorization": f"Bearer {OTHER}"}, 403, "registered here with the client reports"),
        ({"Content-Type": "application/json"}, 415, "send application/hl7-v2"),
        ({"Content-Type": f"{KIND}; charset=klingon"}, 415, "charset klingon is not known"),
        ({"Content-Encoding": "br"}, 415, "send gzip, or none"),
        ({"Content-Encoding": "gzip"}, 400, "is not gzip"),
    ],
)
def test_what_is_no_message_for_us_is_refused_in_plain_words(
    server: Served, headers: dict[str, str], status: int, words: str
) -> None:
    before = inbox.tally(server.context.database)
    url = server.base_url.removesuffix("/fhir") + "/hl7v2"
    answer = server.http.post(url, content=person("W-8"), headers={"Content-Type": KIND, **headers})
    assert (answer.status_code, answer.headers["content-type"]) == (
        status, "text/plain; charset=utf-8",
    )  # fmt: skip
    assert words in answer.text
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert inbox.tally(server.context.database) == before


def test_the_charset_must_be_the_one_of_msh_18(server: Served) -> None:
    name = person("W-9", "9990000042").replace(b"Wren", "Zoë".encode("latin-1"))
    stated = re.sub(rb"\|P\|2\.4[|]*\r", b"|P|2.4||||||8859/1\r", name, count=1)
    kind = f"{KIND}; charset=iso-8859-1"
    assert acknowledged(post(server, stated, kind).content) == ("AA", "W-9")
    unstated = name.replace(b"W-9", b"W-11")
    assert acknowledged(post(server, unstated, kind).content) == ("AA", "W-11")
    refused = post(server, stated, f"{KIND}; charset=utf-8")
    assert (refused.status_code, "MSH-18" in refused.text) == (415, True)
    unreadable = post(
        server, b"FHS|^~\\&\rBHS|^~\\&\rMSH|\xeb\r" + stated, f"{KIND}; charset=utf-8"
    )
    assert (unreadable.status_code, "MSH-18" in unreadable.text) == (415, True)
    unknown = post(server, stated, f"{KIND}; charset=klingon")
    assert (unknown.status_code, "klingon" in unknown.text) == (415, True)


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_that_is_too_large_is_rejected_where_msh_came(
    server: Served, *, packed: bool
) -> None:
    large = person("W-10") + b"NTE|1||" + b"x" * LARGEST
    if packed:
        answer = post(server, gzip.compress(large), Content_Encoding="gzip")
        assert (answer.status_code, "larger than" in answer.text) == (413, True)
    else:
        answer = post(server, large)
        assert (answer.status_code, acknowledged(answer.content)) == (200, ("AR", "W-10"))
        assert answer.headers["Content-Type"] == KIND
    unread = post(server, b"x" * (LARGEST + 1))
    assert unread.status_code == 413
    assert unread.headers["Content-Type"].startswith("text/plain")


def test_a_purge_takes_what_came_by_this_door(server: Served) -> None:
    number = "9990000077"
    for control_id, facility in (("W-12", "RTH"), ("W-13", "RGT")):
        post(server, person(control_id, number, facility=facility))
    (entry,) = server.http.get(f"/Patient?identifier={number}").json()["entry"]
    reason = {"name": "reason", "valueString": "request 7"}
    answer = server.http.post(
        f"/Patient/{entry['resource']['id']}/$purge",
        json={"resourceType": "Parameters", "parameter": [reason]},
    )
    assert answer.status_code == 200, answer.text
    database = server.context.database
    kept = [each for status in ("processed", "refused") for each in inbox.every(database, status)]
    assert not any(number.encode() in each.raw for each in kept)
    assert kept


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_only_post_is_served(server: Served, method: str) -> None:
    url = server.base_url.removesuffix("/fhir") + "/hl7v2/"
    answer = server.http.request(method, url)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_what_is_beside_it_is_not_its_business(server: Served) -> None:
    root = server.base_url.removesuffix("/fhir")
    assert server.http.get(f"{root}/health").json()["status"] == "ok"
    assert server.http.post(f"{root}/hl7v2/more", content=b"").status_code == 404


@pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("curl")),
    reason="the examples are written for openssl and curl",
)
def test_the_examples_of_the_document_run(server: Served) -> None:
    _, tls, http = examples()
    folder = Path(str(server.context.settings.hl7v2_senders)).parent
    port = re.findall(r"port = (\d+)", (folder / "senders.toml").read_text())[-1]
    assert "MSA|AA|senders-1" in run(tls.replace("2576", port), folder)
    root = server.base_url.removesuffix("/fhir")
    assert "MSA|AA|senders-2" in run(http.replace("http://127.0.0.1:8000", root), folder)
