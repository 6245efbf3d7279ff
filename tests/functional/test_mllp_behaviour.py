"""What connections do in practice, on real sockets: nothing is lost, swapped, delayed or piled up."""

import asyncio
import contextlib
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.access.senders import Peer
from fhir_server.mllp import MEBIBYTE, Limits, Server, serve
from fhir_server.operations.acknowledge import Reply
from tests.support.mllp import answer, connected, framed

HEAD = b"MSH|^~\\&|EPR|RTH|CSOR|CSOR|202505060930||ADT^A28|%d|P|2.4\r"
Work = Callable[[bytes], Awaitable[bytes]]


async def number(message: bytes) -> bytes:
    """Answer with MSH-10."""
    return message.split(b"|")[9]


def begun(work: Work) -> Callable[[bytes, Peer], Reply]:
    def handle(message: bytes, _peer: Peer) -> Reply:
        task = asyncio.ensure_future(work(message))
        return Reply(task, None, task)

    return handle


@asynccontextmanager
async def listening(work: Work = number, **limits: float) -> AsyncIterator[Server]:
    async def refuse(beginning: bytes) -> bytes:
        return b"AR " + beginning.split(b"|")[9]

    server = await serve(
        "127.0.0.1", 0, begun(work), on_oversize=begun(refuse), limits=Limits(**limits)
    )
    try:
        yield server
    finally:
        await server.close(grace_seconds=1)


async def numbers(reader: asyncio.StreamReader, count: int) -> list[int]:
    return [int(await answer(reader)) for _ in range(count)]


async def rest(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.read(), 10)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 500), max_size=20))
def test_however_tcp_divides_a_stream_its_messages_are_answered_in_order(sizes: list[int]) -> None:
    stream = b"junk" + b"".join(framed(HEAD % n + b"PID|" + b"x" * n) for n in range(5))

    async def talk() -> list[int]:
        async with listening() as server, connected(server) as (reader, writer):
            at = 0
            for size in [*sizes, len(stream)]:
                writer.write(stream[at : at + size])
                await writer.drain()
                await asyncio.sleep(0)
                at += size
            return await numbers(reader, 5)

    assert asyncio.run(talk()) == list(range(5))


async def test_a_thousand_messages_in_one_write() -> None:
    async with listening() as server, connected(server) as (reader, writer):
        writer.write(b"".join(framed(HEAD % n) for n in range(1000)))
        assert await numbers(reader, 1000) == list(range(1000))
        assert server.counts.frames == 1000


async def test_twenty_connections_whose_bytes_are_interleaved() -> None:
    async with listening() as server, contextlib.AsyncExitStack() as stack:
        ends = [await stack.enter_async_context(connected(server)) for _ in range(20)]
        streams = [b"".join(framed(HEAD % (100 * n + m)) for m in range(5)) for n in range(20)]
        for at in range(0, len(streams[0]) + 20, 7):
            for (_, writer), stream in zip(ends, streams, strict=True):
                writer.write(stream[at : at + 7])
                await asyncio.sleep(0)
        for n, (reader, _) in enumerate(ends):
            assert await numbers(reader, 5) == [100 * n + m for m in range(5)]


async def test_the_blocks_of_mllp_release_2_are_let_pass() -> None:
    async with listening() as server, connected(server) as (reader, writer):
        writer.write(framed(b"\x06") + framed(HEAD % 1) + framed(b"\x15") + framed(HEAD % 2))
        assert await numbers(reader, 2) == [1, 2]
        writer.write_eof()
        assert await rest(reader) == b""
        assert (server.counts.commits, server.counts.frames) == (2, 2)


async def test_a_header_of_many_kilobytes_in_an_oversize_frame_is_seen_whole() -> None:
    long = (HEAD % 7).replace(b"EPR", b"E" * 30_000)
    async with listening(frame=100_000) as server, connected(server) as (reader, writer):
        writer.write(framed(long + b"Z" * 200_000) + framed(HEAD % 8))
        assert [await answer(reader), await answer(reader)] == [b"AR 7", b"8"]


async def test_who_has_closed_its_sending_side_still_gets_every_answer() -> None:
    gate = asyncio.Event()

    async def held(message: bytes) -> bytes:
        await gate.wait()
        return await number(message)

    async with listening(held) as server, connected(server) as (reader, writer):
        writer.write(b"".join(framed(HEAD % n) for n in range(10)))
        writer.write_eof()
        asyncio.get_running_loop().call_later(0.1, gate.set)
        assert await numbers(reader, 10) == list(range(10))
        assert await rest(reader) == b""


async def test_a_frame_that_is_cut_off_by_the_end_of_the_connection_is_no_message() -> None:
    async with listening() as server, connected(server) as (reader, writer):
        writer.write(framed(HEAD % 1) + b"\x0b" + HEAD % 2)
        writer.write_eof()
        assert await rest(reader) == framed(b"1")
        assert server.counts.frames == 1


async def test_an_answer_that_takes_longer_than_the_idle_time_is_not_lost() -> None:
    async def slow(message: bytes) -> bytes:
        await asyncio.sleep(0.3)
        return await number(message)

    async with listening(slow, idle_seconds=0.05) as server, connected(server) as (reader, writer):
        writer.write(framed(HEAD % 1) + framed(HEAD % 2))
        assert await numbers(reader, 2) == [1, 2]
        assert await rest(reader) == b""


async def test_an_answer_does_not_wait_for_the_idle_time() -> None:
    async with listening(idle_seconds=3600) as server, connected(server) as (reader, writer):
        writer.write(framed(HEAD % 1))
        assert await numbers(reader, 1) == [1]


async def test_answers_keep_the_order_of_arrival_whatever_is_done_first() -> None:
    gates = [asyncio.Event() for _ in range(8)]
    done: list[int] = []

    async def held(message: bytes) -> bytes:
        found = int(await number(message))
        await gates[found].wait()
        done.append(found)
        if found:
            gates[found - 1].set()
        return b"%d" % found

    async with listening(held) as server, connected(server) as (reader, writer):
        writer.write(b"".join(framed(HEAD % n) for n in range(8)))
        gates[7].set()
        assert await numbers(reader, 8) == list(range(8))
    assert done == list(reversed(range(8)))


async def test_what_one_connection_may_leave_unanswered_is_bounded_in_bytes() -> None:
    under_way: set[int] = set()
    most = 0
    gate = asyncio.Event()

    async def held(message: bytes) -> bytes:
        nonlocal most
        found = int(await number(message))
        under_way.add(found)
        most = max(most, len(under_way))
        await gate.wait()
        under_way.discard(found)
        return b"%d" % found

    size = 10_000
    messages = [HEAD % n + b"NTE|" + b"x" * size for n in range(12)]
    async with (
        listening(held, pipelined_bytes=3 * size + 1000) as server,
        connected(server) as (reader, writer),
    ):
        writer.write(b"".join(framed(each) for each in messages))
        writer.write(framed(HEAD % 12 + b"NTE|" + b"x" * 5 * size))
        asyncio.get_running_loop().call_later(0.2, gate.set)
        assert await numbers(reader, 13) == list(range(13)), "the largest has the room to itself"
    assert most == 3


async def test_who_does_not_read_its_answers_does_not_fill_the_memory() -> None:
    async def large(message: bytes) -> bytes:
        return await number(message) + b" " + b"." * 200_000

    handled = 0

    async def counted(message: bytes) -> bytes:
        nonlocal handled
        handled += 1
        return await large(message)

    async with listening(counted) as server, connected(server) as (_, writer):
        tracemalloc.start()
        try:
            for n in range(2000):
                writer.write(framed(HEAD % n + b"NTE|" + b"x" * 20_000))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(writer.drain(), 0.2)
                    continue
                break
            grown, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert handled < 500, "no more is read than the system's buffers take answers of"
        assert grown < 40 * MEBIBYTE
        writer.transport.abort()


async def test_a_connection_that_is_reset_takes_nothing_with_it() -> None:
    gate = asyncio.Event()
    done = []

    async def held(message: bytes) -> bytes:
        await gate.wait()
        done.append(await number(message))
        return done[-1]

    async with listening(held, connections=1) as server:
        async with connected(server) as (_, writer):
            writer.write(framed(HEAD % 1) + framed(HEAD % 2))
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.transport.abort()
        gate.set()
        async with connected(server) as (reader, writer):
            writer.write(framed(HEAD % 3))
            assert await numbers(reader, 1) == [3]
    assert done == [b"1", b"2", b"3"], "what was read is worked through"


@pytest.mark.parametrize(("kept", "worked"), [(b"CA", b"AA"), (None, b"AA"), (b"CA", None)])
async def test_both_acknowledgements_have_an_order_each(
    kept: bytes | None, worked: bytes | None
) -> None:
    gate = asyncio.Event()

    def handle(message: bytes, _peer: Peer) -> Reply:
        at = message.split(b"|")[9]

        async def accepted() -> bytes | None:
            return kept and kept + at

        async def applied() -> bytes | None:
            await gate.wait()
            return worked and worked + at

        later = asyncio.ensure_future(applied())
        return Reply(asyncio.ensure_future(accepted()), later, later)  # type: ignore[arg-type]

    server = await serve("127.0.0.1", 0, handle, on_oversize=handle)
    try:
        async with connected(server) as (reader, writer):
            writer.write(b"".join(framed(HEAD % n) for n in range(3)))
            if kept:
                assert [await answer(reader) for _ in range(3)] == [b"CA0", b"CA1", b"CA2"]
            gate.set()
            if worked:
                assert [await answer(reader) for _ in range(3)] == [b"AA0", b"AA1", b"AA2"]
            writer.write_eof()
            assert await rest(reader) == b""
    finally:
        await server.close(grace_seconds=1)
