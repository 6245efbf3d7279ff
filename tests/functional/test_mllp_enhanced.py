"""Acknowledgements: in original mode one, when all is stored; in enhanced mode those asked for."""

import asyncio
from collections.abc import Iterator

import pytest

from fhir_server.store import inbox
from tests.support.mllp import acknowledged, answers, found, person, register
from tests.support.server import Served, served

HASTY = "127.0.0.2"
SENDERS = f"""
    [[sender]]
    name = "patient"
    hospitals = ["RTH"]
    address = "127.0.0.1"
    [[sender]]
    name = "hasty"
    hospitals = ["RTH"]
    address = "{HASTY}"
    acknowledge = "commit"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with two senders, of which one wants AA as soon as a message is kept."""
    folder = tmp_path_factory.mktemp("enhanced")
    (folder / "senders.toml").write_text(SENDERS)
    with served(folder, hl7v2_senders=folder / "senders.toml") as running:
        register(running, "RTH")
        yield running


def said(server: Served, message: bytes, count: int) -> list[str]:
    found = asyncio.run(answers(server.mllp_port, [message], count))
    return [acknowledged(each)[0] for each in found]


@pytest.mark.parametrize(
    ("asks", "codes"),
    [
        ("|", ["AA"]),
        ("AL|AL", ["CA", "AA"]),
        ("AL|NE", ["CA"]),
        ("AL|", ["CA"]),
        ("NE|AL", ["AA"]),
        ("|AL", ["AA"]),
        ("SU|SU", ["CA", "AA"]),
        ("ER|ER", []),
        ("ER|AL", ["AA"]),
        ("AL|ER", ["CA"]),
        ("NE|NE", []),
        ("XX|", ["CA"]),
        ('""|""', ["AA"]),
    ],
)
def test_a_message_that_is_stored(server: Served, asks: str, codes: list[str]) -> None:
    assert said(server, person(f"E-1-{asks}".replace("|", "-"), asks=asks), len(codes)) == codes


@pytest.mark.parametrize(
    ("asks", "codes"),
    [
        ("|", ["AE"]),
        ("AL|AL", ["CA", "AE"]),
        ("AL|ER", ["CA", "AE"]),
        ("AL|SU", ["CA"]),
        ("NE|ER", ["AE"]),
        ("NE|SU", []),
    ],
)
def test_a_message_whose_content_is_refused(server: Served, asks: str, codes: list[str]) -> None:
    wrong = person(f"E-2-{asks}".replace("|", "-"), "9990000019", asks=asks)
    assert said(server, wrong, len(codes)) == codes


@pytest.mark.parametrize(
    ("asks", "codes"),
    [
        ("|", ["AR"]),
        ("AL|AL", ["CR"]),
        ("ER|NE", ["CR"]),
        ("SU|AL", ["AR"]),
        ("NE|AL", ["AR"]),
        ("SU|NE", []),
    ],
)
def test_a_message_of_a_kind_that_is_not_supported(
    server: Served, asks: str, codes: list[str]
) -> None:
    wrong = person(f"E-3-{asks}".replace("|", "-"), event="Z99", asks=asks)
    assert said(server, wrong, len(codes)) == codes


def test_a_message_sent_again_is_told_the_same_and_changes_nothing(server: Served) -> None:
    message = person("E-4", "9990000026", asks="AL|AL")
    first = asyncio.run(answers(server.mllp_port, [message], 2))
    assert asyncio.run(answers(server.mllp_port, [message], 2)) == first
    assert [acknowledged(each) for each in first] == [("CA", "E-4"), ("AA", "E-4")]
    numbers = [each.split(b"|")[9] for each in first]
    assert numbers[0] != numbers[1], "two answers have two control ids"


def test_receipt_is_said_at_once_and_what_became_of_each_in_the_order_of_arrival(
    server: Served,
) -> None:
    sent = [person(f"E-5-{n}", "9990000034", asks="AL|AL") for n in range(10)]
    told = [acknowledged(each) for each in asyncio.run(answers(server.mllp_port, sent, 20))]
    for code in ("CA", "AA"):
        assert [each for each in told if each[0] == code] == [(code, f"E-5-{n}") for n in range(10)]
    assert all(told.index(("CA", f"E-5-{n}")) < told.index(("AA", f"E-5-{n}")) for n in range(10))


def test_both_modes_on_one_connection(server: Served) -> None:
    sent = [
        person("E-6", "9990000042"),
        person("E-7", "9990000042", asks="AL|AL"),
        person("E-8", "9990000042"),
    ]
    told = [acknowledged(each) for each in asyncio.run(answers(server.mllp_port, sent, 4))]
    assert sorted(told) == [("AA", "E-6"), ("AA", "E-7"), ("AA", "E-8"), ("CA", "E-7")]
    assert [each for each in told if each != ("AA", "E-7")] == [
        ("AA", "E-6"), ("CA", "E-7"), ("AA", "E-8"),
    ]  # fmt: skip


def test_what_asks_for_no_answer_is_stored_all_the_same(server: Served) -> None:
    sent = [person("E-9", "9990000050", asks="NE|NE"), person("E-10", "9990000050")]
    told = asyncio.run(answers(server.mllp_port, sent, 1))
    assert acknowledged(told[0]) == ("AA", "E-10")
    assert found(server, "9990000050") == 1


def hastily(server: Served, messages: list[bytes]) -> list[bytes]:
    sending = answers(server.mllp_port, messages, len(messages), address=HASTY)
    return asyncio.run(sending)


def test_a_sender_in_haste_is_told_aa_once_its_message_is_kept(server: Served) -> None:
    good, wrong = person("H-1", "9990000069"), person("H-2", "9990000019")
    first = hastily(server, [good, wrong])
    assert [acknowledged(each) for each in first] == [("AA", "H-1"), ("AA", "H-2")]
    assert hastily(server, [good, wrong]) == first
    behind = [person("H-3", "9990000069"), person("H-3", "9990000019")]
    asyncio.run(answers(server.mllp_port, behind, 2))  # these wait for what is before them
    (refused,) = (
        each for each in inbox.every(server.context.database, "refused") if each.raw == wrong
    )
    assert "check digit" in (refused.reason or "")
    assert found(server, "9990000069") == 1


def test_a_sender_in_haste_is_told_at_once_what_can_never_be_stored(server: Served) -> None:
    sent = [person("H-4", event="Z99"), person("H-5", facility="RGT")]
    told = [acknowledged(each) for each in hastily(server, sent)]
    assert told == [("AR", "H-4"), ("AE", "H-5")]
