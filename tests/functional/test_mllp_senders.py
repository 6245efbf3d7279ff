"""Which hospital a message is of: its connection and MSH-4 say so, and must agree."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext

import pytest

from fhir_server.app import context, running
from fhir_server.commands.inbox import replay
from fhir_server.operations.receive import withheld
from fhir_server.settings import Settings
from fhir_server.store import inbox
from fhir_server.store.audit import accesses
from tests.support.certificates import Authority, client, sha256
from tests.support.databases import new_database
from tests.support.mllp import acknowledged, answers, found, person, register
from tests.support.server import Served, free_port, served

LARGEST = 50_000


@dataclass(frozen=True)
class Doors:
    server: Served
    plain: int
    mutual: int
    oxford: SSLContext
    stranger: SSLContext


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """Two listeners: a plain one for a tunnel of two hospitals, one with mutual TLS for Oxford."""
    folder = tmp_path_factory.mktemp("doors")
    ours, hospitals = Authority(folder, "ours"), Authority(folder, "hospitals")
    ours.issue("server")
    oxford, stranger = hospitals.issue("oxford"), hospitals.issue("stranger")
    plain, mutual = free_port(), free_port()
    senders = folder / "senders.toml"
    senders.write_text(f"""
        [[listener]]
        port = {plain}
        frame = {LARGEST}
        [[listener]]
        port = {mutual}
        certificate = "server.pem"
        key = "server.key"
        client_ca = "hospitals-ca.pem"
        [[sender]]
        name = "tunnel"
        hospitals = ["RGT", "RP4"]
        address = "127.0.0.1"
        [[sender]]
        name = "oxford"
        hospitals = ["RTH"]
        certificate_sha256 = "{sha256(oxford[0])}"
    """)
    with served(folder, hl7v2_senders=senders) as server:
        register(server, "RTH", "RTH08", "RGT", "RP4")
        yield Doors(server, plain, mutual, client(ours.pem, oxford), client(ours.pem, stranger))


def one(port: int, message: bytes, context: SSLContext | None = None) -> bytes:
    return asyncio.run(answers(port, [message], 1, context))[0]


def test_each_connection_speaks_for_its_own_hospitals(doors: Doors) -> None:
    assert acknowledged(one(doors.plain, person("S-1", facility="RP4"))) == ("AA", "S-1")
    assert acknowledged(one(doors.mutual, person("S-2"), doors.oxford)) == ("AA", "S-2")
    site = person("S-3", facility="RTH08")
    assert acknowledged(one(doors.mutual, site, doors.oxford)) == ("AA", "S-3")


@pytest.mark.parametrize("facility", ["RTH", "RTH08", ""])
def test_another_hospitals_message_is_refused_and_kept_but_not_worked_through(
    doors: Doors, facility: str
) -> None:
    message = person(f"S-4{facility}", "9990000026", facility=facility)
    answer = one(doors.plain, message).decode()
    assert "MSA|AE|S-4" in answer
    assert "|MSH^1^4|204^" in answer
    assert f"MSH-4 is `{facility}`" in answer
    assert "(tunnel) speaks for RGT, RP4" in answer
    assert found(doors.server, "9990000026") == 0
    database = doors.server.context.database
    (kept,) = [each for each in inbox.every(database, "refused") if each.raw == message]
    assert (kept.sender, withheld(kept) is not None) == ("tunnel", True)


def test_who_asks_for_receipts_is_told_ce_and_nothing_more(doors: Doors) -> None:
    asking = [
        person("S-9", asks="AL|AL"),
        person("S-10", asks="NE|AL"),
        person("S-11", asks="SU|SU"),
    ]
    told = asyncio.run(answers(doors.plain, [*asking, person("S-12", facility="RP4")], 3))
    assert [acknowledged(each) for each in told] == [
        ("CE", "S-9"), ("AE", "S-10"), ("AA", "S-12"),
    ]  # fmt: skip


def test_what_is_larger_than_the_listener_takes_is_rejected_as_it_asks(doors: Doors) -> None:
    large = b"NTE|1||" + b"x" * LARGEST
    sent = [
        person("S-13", facility="RP4") + large,
        person("S-14", facility="RP4", asks="AL|AL") + large,
        person("S-15", facility="RP4"),
    ]
    told = asyncio.run(answers(doors.plain, sent, 3))
    assert [acknowledged(each) for each in told] == [
        ("AR", "S-13"), ("CR", "S-14"), ("AA", "S-15"),
    ]  # fmt: skip
    kept = [
        each
        for each in inbox.every(doors.server.context.database, "refused")
        if each.raw in sent[0] and each.raw.startswith(b"MSH")
    ]
    assert [withheld(each) is not None for each in kept] == [True]


def test_what_was_refused_does_not_stand_in_its_true_senders_way(doors: Doors) -> None:
    forged = person("S-5", "9990000034", family="Testchild-Forged")
    assert acknowledged(one(doors.plain, forged))[0] == "AE"
    true = person("S-5", "9990000034")
    assert acknowledged(one(doors.mutual, true, doors.oxford)) == ("AA", "S-5")
    assert acknowledged(one(doors.plain, true)) == ("AE", "S-5"), "its answer is not for others"


def test_a_replay_of_everything_leaves_it_alone(
    doors: Doors, capsys: pytest.CaptureFixture[str]
) -> None:
    message = person("S-6", "9990000042")
    assert acknowledged(one(doors.plain, message))[0] == "AE"
    replay(doors.server.context.settings, [])
    assert "not replayed: its connection may not speak for its hospital" in capsys.readouterr().out
    assert found(doors.server, "9990000042") == 0


def test_an_unknown_sender_is_told_so_and_nothing_is_kept(
    doors: Doors, caplog: pytest.LogCaptureFixture
) -> None:
    before = inbox.tally(doors.server.context.database)
    answer = one(doors.mutual, person("S-7", "9990000050"), doors.stranger).decode()
    assert acknowledged(answer.encode()) == ("AR", "S-7")
    assert re.fullmatch(r"\d{14}", answer.split("|")[6]), "MSH-7 as that of any other answer"
    assert "No sender of HL7 v2 is registered here with the certificate" in answer
    assert inbox.tally(doors.server.context.database) == before
    assert "9990000050" not in caplog.text


def test_the_audit_names_the_sender(doors: Doors) -> None:
    one(doors.mutual, person("S-8", "9990000069"), doors.oxford)
    names = {each.principal for each in accesses(doors.server.context.database)}
    assert "oxford" in names


async def test_the_server_does_not_start_with_a_listener_open_to_anybody(
    tmp_path: Path,
) -> None:
    senders = tmp_path / "senders.toml"
    senders.write_text('[[listener]]\nhost = "0.0.0.0"\nport = 2576\n')
    made = context(Settings(database=new_database("sqlite", tmp_path), hl7v2_senders=senders))
    try:
        with pytest.raises(ValueError, match="does not ask them for certificates"):
            async with running(made):
                pass
    finally:
        made.database.close()
