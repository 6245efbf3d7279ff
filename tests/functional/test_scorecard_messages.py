"""The scorecard of who sends HL7 v2: by its connection, or by MSH-3 where nobody is registered."""

import asyncio
from pathlib import Path

import pytest

from fhir_server.commands.sandbox import claimed
from fhir_server.operations.scorecard import Scorecard, scorecard
from fhir_server.operations.scorecard_client import client
from tests.support.databases import KINDS, new_database
from tests.support.mllp import acknowledged, answers, register
from tests.support.server import Served, served

FIRST, SECOND, GONE = "9990000018", "9999999484", "9990000026"
SENDERS = """
[[sender]]
name = "tunnel"
hospitals = ["RTH"]
address = "127.0.0.1"
"""
PR1 = "PR1|1||H411^Pull-through^OPCS4|Pull-through|202502051000|||||||||||||||OP-1\r"


def message(
    control: str,
    event: str,
    *segments: str,
    kind: str = "ADT",
    hospital: str = "RTH",
    who: str = FIRST,
) -> bytes:
    """One message about a child in a stay, of the application Wren-EPR."""
    when = f"202502{control:0>2}1015"
    head = f"MSH|^~\\&|Wren-EPR|{hospital}|CSOR|CSOR|{when}||{kind}^{event}|C{control}|P|2.4\r"
    evn = f"EVN|{event}|{when}\r" if kind != "ORU" else ""
    pid = f"PID|1||{who}^^^NHS||Testchild-Wren^Fictitious||20250102|1\r"
    return (head + evn + pid + "".join(segments)).encode()


def stay(ward: str, end: str = "") -> str:
    fields = ["PV1", "1", "I", ward] + [""] * 15 + ["V1"] + [""] * 24 + ["202502010900", end]
    return "|".join(fields) + "\r"


EVERYTHING = [
    message("1", "A28"),
    message("2", "A01", stay("W1")),
    message("3", "A02", stay("W2")),
    message("4", "A08", stay("W2"), PR1),
    message("5", "R01", "OBR|1|||27113001^Weight^SCT\r",
            "OBX|1|NM|27113001^Body weight^SCT||3.1|kg|||||F|||202502051000\r", kind="ORU"),
    message("6", "T02", stay("W2"),
            "TXA|1|OP|TX|202502051200||||||||D-1|||||LA\rOBX|1|TX|||Note of the operation||||||F\r",
            kind="MDM"),
    message("7", "A03", stay("W2", "202502091200")),
    message("8", "A28", who="9990000019"),
    message("9", "A28", who=SECOND),
    message("10", "A40", f"MRG|{SECOND}^^^NHS\r"),
    message("1", "A28"),
    message("11", "A28", hospital="RGT"),
]  # fmt: skip


def card(server: Served, name: str) -> Scorecard:
    found = client(server.context.settings, name)
    assert found is not None
    return scorecard(server.context.database, found[0], 0)


def states(server: Served, name: str) -> dict[str, str]:
    return {
        line.scenario.id: line.state for line in card(server, name).lines if line.door == "hl7v2"
    }


@pytest.fixture
def registered(tmp_path: Path) -> Path:
    file = tmp_path / "senders.toml"
    file.write_text(SENDERS)
    return file


def send(server: Served, *messages: bytes) -> list[str]:
    found = asyncio.run(answers(server.mllp_port, messages, len(messages)))
    return [acknowledged(each)[0] for each in found]


@pytest.mark.parametrize("kind", KINDS)
def test_a_sender_shows_every_scenario(tmp_path: Path, registered: Path, kind: str) -> None:
    with served(tmp_path, kind, hl7v2_senders=registered) as server:
        register(server, "RTH", "RGT")
        assert set(states(server, "tunnel").values()) == {"open"}
        codes = [send(server, each)[0] for each in EVERYTHING]
        assert codes == ["AA"] * 7 + ["AE"] + ["AA"] * 3 + ["AE"]
        shown = states(server, "tunnel")
        told = server.http.get("/TestReport/$scorecard?client=tunnel").json()
        assert (told["result"], told["score"]) == ("pass", 100)
    assert len(shown) == 12
    assert set(shown.values()) == {"passed"}


def test_a_refused_message_fails_with_its_reason(tmp_path: Path, registered: Path) -> None:
    with served(tmp_path, hl7v2_senders=registered) as server:
        register(server, "RTH")
        send(server, message("1", "A28", who="9990000019"))
        failed = {
            line.scenario.id: line
            for line in card(server, "tunnel").lines
            if line.state == "failed"
        }
    assert failed.keys() == {"identity", "mended"}
    line = failed["identity"]
    assert line.message == "Invalid NHS number: the check digit does not agree."
    assert line.attempt is not None
    assert line.attempt.by == "ADT^A28 C1 (number 1)"


@pytest.mark.parametrize("sandbox", [True, False])
def test_msh_3_tells_who_sends_in_a_sandbox_alone(tmp_path: Path, sandbox: bool) -> None:
    clients = tmp_path / "clients.toml"
    names = ("Wren-EPR", "Wren")
    clients.write_text(
        "\n".join(
            f'[[client]]\nname = "{each}"\ntoken_sha256 = "{at}{"a" * 63}"'
            for at, each in enumerate(names)
        )
    )
    if sandbox:
        claimed(Path(new_database("sqlite", tmp_path)))
    with served(tmp_path, clients=clients, sandbox=sandbox) as server:
        register(server, "RTH")
        assert send(server, message("1", "A28")) == ["AA"]
        assert states(server, "local")["identity"] == "passed"
        shown = [states(server, name) for name in names]
    if sandbox:
        assert [each["identity"] for each in shown] == ["passed", "open"]
        assert "beyond" not in shown[0], "nobody is held to a hospital here"
    else:
        assert shown == [{}, {}]
