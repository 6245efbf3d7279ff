"""What is agreed with a sender: what becomes of a control id that comes again, or follows a failure."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_server.context import Context
from fhir_server.operations.lanes import Lanes
from fhir_server.operations.policies import Policy
from fhir_server.operations.process_message import go_on, work
from fhir_server.operations.receive import finish
from fhir_server.store import inbox
from mappings import hl7v2
from tests.support.databases import KINDS, new_database
from tests.support.feed import Feed, feed, hospital, opened_registry

WRONG = "9990000019"
"""A number whose check digit is wrong."""
PARK = Policy(failing="park")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    yield from opened_registry(tmp_path_factory.mktemp("inbox"))


@pytest.fixture
def registry(opened: Context) -> Feed:
    return Feed(opened)


class TestQuarantine:
    async def test_other_content_is_kept_apart_and_told_what_to_do(self, registry: Feed) -> None:
        assert await registry.send(registry.admit("1", registry.wren)) == ["AA"]
        assert await registry.send(registry.admit("1", registry.lark)) == ["AE"]
        kept = registry.message(2)
        assert kept.status == "quarantined"
        assert b"ERR||MSH^1^10|205" in (kept.answer or b"")
        assert f"kept as number {registry.number(2)}" in (kept.reason or "")
        assert registry.families() == {registry.wren: "Testchild-Wren"}

    async def test_it_is_refused_again_when_it_is_sent_again(self, registry: Feed) -> None:
        await registry.send(registry.admit("1", registry.wren))
        for _ in range(2):
            assert await registry.send(registry.admit("1", registry.lark)) == ["AE"]
        assert registry.statuses() == ["processed", "quarantined"]
        assert registry.message(2).attempts == 2

    async def test_a_corrected_message_may_have_the_id_of_the_one_that_was_refused(
        self, registry: Feed
    ) -> None:
        assert await registry.send(registry.admit("1", WRONG)) == ["AE"]
        assert await registry.send(registry.admit("1", registry.wren)) == ["AA"]
        assert registry.statuses() == ["dismissed", "processed"]
        assert registry.message(1).note == f"corrected by message {registry.number(2)}"

    async def test_what_was_corrected_is_not_worked_when_it_comes_late(
        self, registry: Feed
    ) -> None:
        wrong = registry.admit("1", registry.wren, "Testchild-Wrong", ods=registry.unknown)
        assert await registry.send(wrong) == ["AE"]
        await hospital(registry.context, registry.unknown)
        right = registry.admit("1", registry.wren, "Testchild-Right", ods=registry.unknown)
        assert await registry.send(right, wrong) == ["AA", "AE"]
        assert registry.statuses() == ["dismissed", "processed"]
        assert registry.families() == {registry.wren: "Testchild-Right"}

    async def test_a_third_content_is_quarantined_once_a_correction_was_taken(
        self, registry: Feed
    ) -> None:
        await registry.send(registry.admit("1", WRONG))
        await registry.send(registry.admit("1", registry.wren))
        assert await registry.send(registry.admit("1", registry.lark)) == ["AE"]
        assert registry.statuses() == ["dismissed", "processed", "quarantined"]


class TestAccept:
    async def test_a_constant_control_id_says_nothing_and_the_content_is_the_key(
        self, registry: Feed
    ) -> None:
        registry.policy = Policy(reused="accept")
        first, second = registry.admit("05D", registry.wren), registry.admit("05D", registry.lark)
        assert await registry.send(first, second, first) == ["AA", "AA", "AA"]
        assert registry.statuses() == ["processed", "processed"]
        assert registry.families().keys() == {registry.wren, registry.lark}

    async def test_a_refused_message_is_not_taken_for_corrected_by_the_next_one(
        self, registry: Feed
    ) -> None:
        registry.policy = Policy(reused="accept")
        assert await registry.send(registry.admit("05D", WRONG)) == ["AE"]
        assert await registry.send(registry.admit("05D", registry.lark)) == ["AA"]
        assert registry.statuses() == ["refused", "processed"]


class TestPark:
    async def test_what_follows_a_failure_waits_and_other_children_go_on(
        self, registry: Feed
    ) -> None:
        registry.policy = PARK
        codes = await registry.send(
            registry.admit("1", registry.wren, "Testchild-First", ods=registry.unknown),
            registry.admit("2", registry.wren, "Testchild-Second"),
            registry.admit("3", registry.lark),
        )
        assert codes == ["AE", "AE", "AA"]
        assert registry.statuses() == ["refused", "parked", "processed"]
        parked = registry.message(2)
        assert b"|206" in (parked.answer or b"")
        assert f"waits for message {registry.number(1)}" in (parked.reason or "")

    @pytest.mark.parametrize("kind", KINDS)
    async def test_they_are_worked_in_order_once_it_is_mended(
        self, kind: str, tmp_path: Path
    ) -> None:
        async with feed(new_database(kind, tmp_path), PARK) as registry:
            await self._mended(registry)

    async def _mended(self, registry: Feed) -> None:
        await registry.send(
            registry.admit("1", registry.wren, "Testchild-First", ods=registry.unknown),
            *(registry.admit(str(n), registry.wren, f"Testchild-{n}") for n in range(2, 6)),
        )
        await hospital(registry.context, registry.unknown)
        await work(registry.context, registry.message(1), None, registry.policy_of)
        assert registry.statuses() == ["processed"] * 5
        assert registry.families() == {registry.wren: "Testchild-5"}
        (child,) = registry.resources("Patient")
        assert child["meta"]["versionId"] == "5"

    async def test_what_fails_next_holds_up_the_rest(self, registry: Feed) -> None:
        registry.policy = PARK
        await registry.send(
            registry.admit("1", registry.wren, ods=registry.unknown),
            registry.admit("2", registry.wren, more=["OBX|1|ED|1^^LN||wrong"], event="Z99"),
            registry.admit("3", registry.wren, ods="RCB"),
            registry.admit("4", registry.wren),
        )
        assert registry.statuses() == ["refused", "parked", "parked", "parked"]
        await hospital(registry.context, registry.unknown)
        await work(registry.context, registry.message(1), None, registry.policy_of)
        assert registry.statuses() == ["processed", "refused", "refused", "parked"]
        assert f"waits for message {registry.number(3)}" in (registry.message(4).reason or "")

    async def test_dismissing_it_frees_the_rest(self, registry: Feed) -> None:
        registry.policy = PARK
        await registry.send(
            registry.admit("1", registry.wren, ods=registry.unknown),
            registry.admit("2", registry.wren),
        )
        assert await inbox.dismiss(registry.context.database, registry.number(1), 1, "not ours")
        assert await go_on(registry.context, registry.policy_of) == 1
        assert registry.statuses() == ["dismissed", "processed"]

    async def test_a_merge_waits_for_either_child_and_holds_up_both(self, registry: Feed) -> None:
        registry.policy = PARK
        assert await registry.send(
            registry.admit("0", registry.wren), registry.admit("1", registry.lark)
        ) == [
            "AA",
            "AA",
        ]
        merge = (
            f"MSH|^~\\&|PAS|RTH|CSOR|CSOR|202001031015||ADT^A40|{registry.before}-3|P|2.4\rEVN|A40|202001031015\r"
            f"PID|1||{registry.wren}^^^NHS||Testchild-Wren^Fictitious||20200102|1\rMRG|{registry.lark}^^^NHS\r"
        ).encode()
        codes = await registry.send(
            registry.admit("2", registry.lark, ods=registry.unknown),
            merge,
            registry.admit("4", registry.wren, "Testchild-Late"),
        )
        assert codes == ["AE", "AE", "AE"]
        assert registry.statuses()[2:] == ["refused", "parked", "parked"]
        await hospital(registry.context, registry.unknown)
        await work(registry.context, registry.message(3), None, registry.policy_of)
        assert registry.statuses() == ["processed"] * 5
        assert registry.families()[registry.wren] == "Testchild-Late"

    async def test_it_survives_a_restart(self, registry: Feed) -> None:
        registry.policy = PARK
        await registry.send(
            registry.admit("1", registry.wren, ods=registry.unknown),
            registry.admit("2", registry.wren, "Testchild-Second"),
        )
        registry.lanes = Lanes()
        assert await registry.send(registry.admit("3", registry.wren, "Testchild-Third")) == ["AE"]
        await inbox.dismiss(registry.context.database, registry.number(1), 1, "not ours")
        assert await finish(registry.context, Lanes(), registry.policy_of) == 2
        assert registry.families() == {registry.wren: "Testchild-Third"}

    async def test_a_corrected_message_takes_the_place_of_the_one_that_failed(
        self, registry: Feed
    ) -> None:
        registry.policy = PARK
        codes = await registry.send(
            registry.admit("1", registry.wren, "Testchild-Wrong", ods=registry.unknown),
            registry.admit("2", registry.wren, "Testchild-Later", ods=registry.unknown),
        )
        assert codes == ["AE", "AE"]
        await hospital(registry.context, registry.unknown)
        assert await registry.send(
            registry.admit("1", registry.wren, "Testchild-Right", ods=registry.unknown)
        ) == ["AA"]
        assert registry.statuses() == ["dismissed", "processed", "processed"]
        assert registry.families() == {registry.wren: "Testchild-Later"}

    async def test_what_is_refused_as_a_message_holds_up_nothing(self, registry: Feed) -> None:
        registry.policy = PARK
        assert await registry.send(
            registry.admit("1", registry.wren, event="Z99"), registry.admit("2", registry.wren)
        ) == ["AR", "AA"]

    async def test_messages_of_senders_who_do_not_park_go_on(self, registry: Feed) -> None:
        registry.policy = PARK
        await registry.send(registry.admit("1", registry.wren, ods=registry.unknown))
        registry.policy = Policy()
        assert await registry.send(registry.admit("2", registry.wren)) == ["AA"]


async def test_each_message_says_by_which_tables_it_was_mapped_and_how_often(
    registry: Feed,
) -> None:
    await registry.send(
        registry.admit("1", registry.wren),
        registry.admit("2", registry.wren, ods=registry.unknown),
        b"nonsense",
    )
    for number in (1, 2, 3):
        message = registry.message(number)
        assert message.map_version == hl7v2.own().version
        assert message.attempts == 1
    assert (registry.message(1).hospital, registry.message(1).kind) == ("RTH", "ADT^A08")
    assert registry.message(3).hospital is None
