"""Lanes: one child's messages one after the other, in order; different children's at the same time."""

import asyncio
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.operations.lanes import Lanes, keys
from mappings import hl7v2

HEAD = "MSH|^~\\&|PAS|RTH|CSOR|CSOR|202001031015||ADT^A40|1|P|2.4\r"


def lanes_of(*segments: str) -> frozenset[str]:
    return keys(hl7v2.parse((HEAD + "".join(f"{each}\r" for each in segments)).encode()))


def test_a_child_is_known_by_each_of_its_numbers_however_they_are_written() -> None:
    assert lanes_of("PID|1|4|999 000 0018^^^NHS~m-1^^^RTH^MR|5||X^Y") == {
        "9990000018", "M1 RTH", "4 RTH", "5 RTH",
    }  # fmt: skip
    assert lanes_of("PID|1||9990000018^^^NHSNBR^NHSNMBR~M1^^^PAS") == {"9990000018", "M1 RTH"}


def test_a_merge_is_in_the_lanes_of_both_children() -> None:
    merge = lanes_of("PID|1||2^^^RTH^MR", "MRG|1^^^RTH^MR|||3")
    assert merge == {"1 RTH", "2 RTH", "3 RTH"}


def test_who_names_no_child_waits_for_its_own_sender() -> None:
    assert lanes_of('PID|1||""||X^Y') == {"PAS|RTH"}


@given(
    st.lists(
        st.tuples(st.frozensets(st.sampled_from("abcd"), max_size=3), st.integers(0, 3)),
        max_size=12,
    ),
    st.sets(st.integers(0, 11)),
)
def test_each_lane_sees_its_work_in_order_and_never_two_at_once(works, failing) -> None:
    seen: dict[str, list[int]] = {}
    inside: set[str] = set()

    async def one(number: int, names: frozenset[str], pauses: int) -> int:
        assert not names & inside
        inside.update(names)
        for _ in range(pauses):
            await asyncio.sleep(0)
        inside.difference_update(names)
        for name in names:
            seen.setdefault(name, []).append(number)
        if number in failing:
            raise RuntimeError
        return number

    async def all_of_them() -> tuple[list[object], int]:
        lanes = Lanes()
        tasks = [
            lanes.run(names, lambda n=number, k=names, p=pauses: one(n, k, p))
            for number, (names, pauses) in enumerate(works)
        ]
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
        return answers, lanes.busy

    answers, busy = asyncio.run(all_of_them())
    for name in "abcd":
        asked = [number for number, (names, _) in enumerate(works) if name in names]
        assert seen.get(name, []) == asked
    for number, answer in enumerate(answers):
        assert isinstance(answer, RuntimeError) if number in failing else answer == number
    assert busy == 0, "what has ended is forgotten"


async def test_other_children_do_not_wait() -> None:
    lanes, gate, order = Lanes(), asyncio.Event(), []

    async def held() -> None:
        await gate.wait()
        order.append("held")

    async def quick(name: str) -> None:
        order.append(name)
        gate.set()

    first = lanes.run({"a"}, held)
    behind = lanes.run({"a", "b"}, lambda: quick("behind"))
    beside = lanes.run({"c"}, lambda: quick("beside"))
    await asyncio.wait_for(asyncio.gather(first, behind, beside), 5)
    assert order == ["beside", "held", "behind"]


async def test_work_that_is_cancelled_lets_the_next_one_go_on() -> None:
    lanes, never = Lanes(), asyncio.Event()

    async def one() -> int:
        return 1

    first = lanes.run({"a"}, never.wait)
    second = lanes.run({"a"}, one)
    await asyncio.sleep(0)
    first.cancel()
    assert await asyncio.wait_for(second, 5) == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def _order(lanes: Lanes, *works: tuple[str, int, str]) -> list[str]:
    """Begin works (name, how many turns it takes, numbers) at once; returns them as they ended."""
    order: list[str] = []

    async def one(name: str, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        order.append(name)

    await asyncio.gather(
        *(lanes.run(numbers.split(), partial(one, name, turns)) for name, turns, numbers in works)
    )
    await asyncio.sleep(0)
    assert lanes.busy == 0
    return order


async def test_numbers_once_named_together_stay_one_childs() -> None:
    lanes = Lanes()
    assert await _order(lanes, ("slow", 9, "old"), ("quick", 0, "new")) == ["quick", "slow"]
    await _order(lanes, ("merge", 0, "old new"))
    assert await _order(lanes, ("slow", 9, "old"), ("quick", 0, "new")) == ["slow", "quick"]


async def test_what_is_forgotten_overtakes_nothing_that_is_under_way() -> None:
    lanes = Lanes(remembered=1)
    order = await _order(lanes, ("slow", 9, "a b"), ("behind", 5, "a"), ("beside", 0, "b"))
    assert order[0] == "slow"
