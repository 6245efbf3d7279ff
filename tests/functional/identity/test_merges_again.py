"""Merges sent again, reversed, in chains, of unknown records, and beside updates: never a circle."""

import asyncio
from collections.abc import Sequence

from tests.functional.test_hl7v2 import MRN, NHS, admission, one, send
from tests.functional.test_moves import event, mrg, pid, said
from tests.support.server import Served


def replaced_by(server: Served, number: str) -> str | None:
    links = one(server, f"Patient?identifier={MRN}|{number}").get("link", ())
    return next((i["other"]["reference"] for i in links if i["type"] == "replaced-by"), None)


def place(server: Served, number: str) -> str:
    return f"Patient/{one(server, f'Patient?identifier={MRN}|{number}')['id']}"


def test_a_reversed_pair_sent_again_and_again_changes_nothing_after_the_first(
    server: Served,
) -> None:
    forward = [event("A40", f"R-{n}", pid("8001"), mrg("8002")) for n in (1, 3, 5)]
    reverse = [event("A40", f"R-{n}", pid("8002"), mrg("8001")) for n in (2, 4, 6)]
    send(server, event("A28", "R-a", pid("8001")), event("A28", "R-b", pid("8002")))
    pairs = [each for pair in zip(forward, reverse, strict=True) for each in pair]
    answers = send(server, *pairs)
    assert said(answers) == ["AA", "AE", "AA", "AE", "AA", "AE"]
    assert "replace each other" in "".join(answers[1])
    assert replaced_by(server, "8002") == place(server, "8001")
    assert replaced_by(server, "8001") is None
    assert one(server, f"Patient?identifier={MRN}|8001")["active"] is True


def test_a_record_cannot_be_merged_into_itself(server: Served) -> None:
    send(server, event("A28", "S-a", pid("8011")))
    assert said(send(server, event("A40", "S-1", pid("8011"), mrg("8011")))) == ["AE"]
    assert replaced_by(server, "8011") is None


def test_a_chain_ends_at_the_last_and_an_update_of_the_first_reaches_it(server: Served) -> None:
    send(server, *(event("A28", f"C-{n}", pid(n)) for n in ("8021", "8022", "8023")))
    merges = [
        event("A40", "C-1", pid("8022"), mrg("8021")),
        event("A40", "C-2", pid("8023"), mrg("8022")),
        event("A40", "C-3", pid("8023"), mrg("8021")),
    ]
    assert said(send(server, *merges)) == ["AA"] * 3
    assert said(send(server, event("A40", "C-4", pid("8021"), mrg("8023")))) == ["AE"]
    update = event("A31", "C-5", pid("8021").replace("Wren", "Chain"))
    assert said(send(server, update)) == ["AA"]
    assert one(server, f"Patient?identifier={MRN}|8023")["name"][0]["family"] == "Testchild-Chain"
    assert one(server, f"Patient?identifier={MRN}|8021")["active"] is False


def test_a_merge_of_a_record_that_is_not_known_yet_keeps_its_number(server: Served) -> None:
    send(server, event("A28", "K-a", pid("8031")))
    assert said(send(server, event("A40", "K-1", pid("8031"), mrg("8032")))) == ["AA"]
    late = event("A31", "K-2", pid("8032").replace("Wren", "Late"))
    assert said(send(server, late)) == ["AA"]
    assert one(server, f"Patient?identifier={MRN}|8031")["name"][0]["family"] == "Testchild-Late"
    assert replaced_by(server, "8032") == place(server, "8031")


def test_merges_race_with_updates_on_other_connections(server: Served) -> None:
    stands, goes = "9990000018", "9990000026"
    send(server, admission("X-1", stands), admission("X-2", goes))
    merges = [event("A40", f"X-m{n}", pid(stands, "70018"), mrg(goes, "70026")) for n in range(3)]
    updates = [
        admission(f"X-{number}-{n}", number, event="A08")
        for number in (stands, goes)
        for n in range(4)
    ]
    answers = asyncio.run(together(server, [*updates[:4], *merges, *updates[4:]]))
    assert all(b"|AA|" in answer for answer in answers)
    assert replaced_by(server, "70026") == place(server, "70018")
    retired = one(server, f"Patient?identifier={NHS}|{goes}")
    assert retired["active"] is False
    assert (
        server.http.get("/Patient?active=true&identifier=" + f"{NHS}|{goes}").json()["total"] == 0
    )


async def together(server: Served, messages: Sequence[str]) -> list[bytes]:
    """Send each message on a connection of its own, all at the same time."""

    async def alone(message: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.mllp_port)
        writer.write(b"\x0b" + message.encode() + b"\x1c\x0d")
        answer = await asyncio.wait_for(reader.readuntil(b"\x1c\x0d"), 30)
        writer.close()
        return answer

    return list(await asyncio.gather(*map(alone, messages)))
