"""Whatever ends in the middle: each child is as its messages would leave it one after the other, once."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fhir_server import app
from fhir_server.context import Context
from fhir_server.operations import process_message
from fhir_server.operations.fhir_message import process_message as process_message_of_fhir
from fhir_server.operations.lanes import Lanes
from fhir_server.operations.receive import finish, receive
from fhir_server.settings import Settings
from fhir_server.store import inbox
from fhir_server.store.apart import WriterEndedError
from r4.issue import FhirError, error
from r4.json import decode, encode
from tests.functional.test_fhir_messages import child, message
from tests.support.databases import new_database
from tests.support.feed import Feed, fictitious, hospital, opened_registry
from tests.support.server import free_port

CHILDREN, CONNECTIONS, MESSAGES = 4, 3, 5

FAULTS = st.lists(st.sampled_from(("", "", "", "before", "after", "503")), max_size=40)
SCRIPTS = st.lists(
    st.lists(st.sampled_from(("Wren", "Lark", "Finch")), min_size=1, max_size=MESSAGES),
    min_size=1,
    max_size=CHILDREN,
)


class Faulty:
    """A database whose writer ends, as a script says: before it commits, or once it has."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.script: Iterator[str] = iter(())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def write(self, job: Any) -> Any:
        fault = next(self.script, "")
        if fault == "before":
            raise WriterEndedError("the writer's process ended")
        result = await self._database.write(job)
        if fault == "after":
            raise WriterEndedError("the writer's process ended")
        return result


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    yield from opened_registry(tmp_path_factory.mktemp("faults"))


async def persist(feed: Feed, sent: bytes) -> None:
    """Send as a hospital's engine does: the same message until it is accepted."""
    for _ in range(200):
        try:
            (code,) = await feed.send(sent)
        except WriterEndedError:  # the door closes the connection: nothing was acknowledged
            continue
        if code == "AA":
            stored = feed.context.database.read(
                "SELECT status FROM inbox WHERE raw = ? AND door = 'mllp'", (sent,)
            )
            assert stored == [("processed",)], "what is acknowledged is stored, once"
            return
    raise AssertionError("the message was never accepted")


def versions(feed: Feed, number: str) -> list[str]:
    """List the family names of a child's record, version by version."""
    rows = feed.context.database.read(
        "SELECT body FROM resource JOIN content USING (rid) WHERE type = 'Patient' ORDER BY rid"
    )
    bodies = [body.decode() for (body,) in rows if number.encode() in body]
    return [body.partition('"family":"')[2].partition('"')[0] for body in bodies]


def changes(script: list[str]) -> list[str]:
    """Return what a record says after each message that changes it."""
    return [name for at, name in enumerate(script) if at == 0 or script[at - 1] != name]


def test_faults_lose_nothing_double_nothing_and_keep_each_childs_order(
    opened: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty = Faulty(opened.database)
    made = replace(opened, database=faulty)
    store = process_message.transaction

    async def unavailable(*arguments: Any, **more: Any) -> Any:
        if next(faulty.script, "") == "503":
            raise FhirError(503, [error("transient", "The index is being made anew.")])
        return await store(*arguments, **more)

    monkeypatch.setattr(process_message, "transaction", unavailable)

    @settings(max_examples=12, deadline=None, phases=[Phase.generate])
    @given(SCRIPTS, FAULTS)
    def holds(scripts: list[list[str]], faults: list[str]) -> None:
        feed = Feed(made)
        children = [next(fictitious) for _ in scripts]
        faulty.script = iter(faults)

        async def connection(at: int) -> None:
            """Send the messages of some children, one of each after the other."""
            mine = [n for n in range(len(scripts)) if n % CONNECTIONS == at]
            for turn in range(MESSAGES):
                for nth in mine:
                    if turn < len(scripts[nth]):
                        family = scripts[nth][turn]
                        number = children[nth]
                        await persist(feed, feed.admit(f"{nth}-{turn}", number, family))

        async def everybody() -> None:
            await asyncio.gather(*(connection(at) for at in range(CONNECTIONS)))

        asyncio.run(everybody())
        for number, script in zip(children, scripts, strict=True):
            assert versions(feed, number) == changes(script)
        assert set(feed.statuses()) == {"processed"}
        assert len(feed.statuses()) == sum(map(len, scripts))

    holds()


async def test_what_was_received_when_the_writer_ended_is_worked_later(opened: Context) -> None:
    faulty = Faulty(opened.database)
    feed = Feed(replace(opened, database=faulty))
    faulty.script = iter(["", "before", "before"])
    with pytest.raises(WriterEndedError):
        await feed.send(feed.admit("1", feed.wren))
    assert feed.statuses() == ["received"]
    assert feed.families() == {}
    kept = feed.message(1)
    assert await finish(feed.context, feed.lanes, until=kept.received) == 0, "it is not overdue"
    assert feed.statuses() == ["received"]
    assert await finish(feed.context, feed.lanes, until=kept.received + 1) == 1
    assert feed.statuses() == ["processed"]
    assert feed.families() == {feed.wren: "Testchild-Wren"}


async def test_a_look_for_what_is_overdue_works_nothing_twice(opened: Context) -> None:
    """It comes while a message is under way: by its turn that is settled, refused ones too."""
    feed = Feed(opened)
    sent = [feed.admit("1", feed.wren), feed.admit("2", feed.lark, ods=feed.unknown)]
    works = [receive(opened, feed.lanes, each, policy_of=feed.policy_of).work for each in sent]
    while feed.statuses() != ["received", "received"]:
        await asyncio.sleep(0)
    looked = asyncio.create_task(finish(opened, feed.lanes))
    await asyncio.gather(*works)
    settled = [feed.message(nth) for nth in (1, 2)]
    assert await looked >= 1, "it came while one of them, or both, was under way"
    assert [feed.message(nth) for nth in (1, 2)] == settled
    assert feed.statuses() == ["processed", "refused"]


async def test_a_server_works_what_its_writer_left_without_being_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_SWEPT", 0.02)
    monkeypatch.setattr(
        app, "_OVERDUE", 2_000_000
    )  # the faults are for whoever sends, not for the sweep
    place = new_database("sqlite", tmp_path)
    settings = Settings(database=place, fhir_port=free_port(), mllp=False, outcomes=False)
    made = app.context(settings)
    faulty = Faulty(made.database)
    try:
        await hospital(made, "RTH")
        async with app.running(replace(made, database=faulty)):
            feed = Feed(replace(made, database=faulty))
            faulty.script = iter(["", "before", "before"])
            with pytest.raises(WriterEndedError):
                await feed.send(feed.admit("1", feed.wren))
            async with asyncio.timeout(60):
                while feed.statuses() != ["processed"]:
                    await asyncio.sleep(0.02)
        assert feed.families() == {feed.wren: "Testchild-Wren"}
    finally:
        made.database.close()


async def test_what_was_stored_when_the_writer_ended_is_acknowledged_and_not_stored_again(
    opened: Context,
) -> None:
    faulty = Faulty(opened.database)
    feed = Feed(replace(opened, database=faulty))
    faulty.script = iter(["", "after"])
    assert await feed.send(feed.admit("1", feed.wren)) == ["AA"]
    assert feed.statuses() == ["processed"]
    assert versions(feed, feed.wren) == ["Testchild-Wren"]


async def test_what_never_reached_the_inbox_is_not_acknowledged(opened: Context) -> None:
    faulty = Faulty(opened.database)
    feed = Feed(replace(opened, database=faulty))
    faulty.script = iter(["before"])
    with pytest.raises(WriterEndedError):
        await feed.send(feed.admit("1", feed.wren))
    assert feed.statuses() == []
    assert inbox.tally(opened.database).get("received", 0) == 0


@pytest.mark.parametrize(
    ("faults", "code", "status"),
    [
        (["", "before"], "ok", "processed"),
        (["", "after"], "ok", "processed"),
        (["", "before", "before"], "transient-error", "received"),
    ],
)
async def test_a_fhir_message_is_tried_once_more_where_the_writer_ends(
    opened: Context, faults: list[str], code: str, status: str
) -> None:
    faulty = Faulty(opened.database)
    made = replace(opened, database=faulty)
    number = next(fictitious)
    sent = message(f"faults-{number}", child(number))
    raw = encode(sent)
    faulty.script = iter(faults)
    answered = await process_message_of_fhir(made, {"content": sent}, raw, "POST /fhir")
    answer = decode(answered.content)["entry"][0]["resource"]["response"]
    assert answer["code"] == code
    stored = opened.database.read("SELECT status FROM inbox WHERE raw = ?", (raw,))
    assert stored == [(status,)]
    await finish(made, Lanes())
    again = await process_message_of_fhir(made, {"content": sent}, raw, "POST /fhir")
    assert again.is_stored
    assert len(versions(Feed(opened), number)) == 1, "it is stored once, however often it was tried"
