"""The crash benchmark: what its senders count as accepted, and what its proof finds wrong."""

import asyncio
from hashlib import sha256
from pathlib import Path

import pytest

from benchmarks.crash.__main__ import main
from benchmarks.crash.feed import EACH, Feed, children, family, messages
from benchmarks.crash.proof import faults
from tests.simulate.doors import MllpDoor
from tests.support import feed as registry


async def test_each_message_is_sent_until_it_is_accepted_and_counted_once() -> None:
    door = MllpDoor()
    door.drop_at = {3, 10}
    turned_down = iter([True])
    door.answer = lambda _: "AE" if next(turned_down, False) else "AA"
    await door.open()
    try:
        sender = Feed(door.port, children(5), connections=2)
        await sender.send()
    finally:
        await door.close()
    told = [sha256(each).digest() for number in children(5) for each in messages(number)]
    assert sorted(sender.accepted) == sorted(told)
    assert (sender.lost, sender.silent, dict(sender.refused)) == (2, 0, {"AE": 1})


def test_a_child_is_told_of_in_messages_that_all_differ() -> None:
    (number,) = children(1)
    listed = list(messages(number))
    assert len(set(listed)) == EACH
    assert all(family(turn).encode() in each for turn, each in enumerate(listed))


async def test_the_proof_finds_what_is_lost_doubled_or_out_of_order(tmp_path: Path) -> None:
    where, numbers = str(tmp_path / "csor.db"), children(2)
    told = [each for number in numbers for each in messages(number)]
    sender = Feed(0, numbers, 1, [sha256(each).digest() for each in told])
    async with registry.feed(where) as opened:
        for each in told[:-1]:
            assert await opened.send(each) == ["AA"]
    short = await asyncio.to_thread(faults, where, sender)
    assert short[0] == "1 messages were acknowledged and are not in the inbox"
    assert "1 children whose versions are not one for each message, in their order" in short
    async with registry.feed(where) as opened:
        assert await opened.send(told[-1], told[0]) == ["AA", "AA"]
    assert await asyncio.to_thread(faults, where, sender) == []
    async with registry.feed(where) as opened:
        again = told[0].replace(b"-0|P|", b"-9|P|")
        assert await opened.send(again) == ["AA"]
    more = await asyncio.to_thread(faults, where, sender)
    assert more[0] == "1 messages are in the inbox and were never acknowledged, or are twice"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to find the writer")
def test_a_short_run_loses_and_doubles_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--messages", "800", "--every", "3", "--databases", "sqlite"]) == 0
    assert "none lost, none doubled" in capsys.readouterr().out
