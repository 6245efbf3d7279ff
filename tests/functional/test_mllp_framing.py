"""MLLP framing on real sockets: whatever TCP does to a message, it arrives whole, once, in order."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hl7.client import MLLPClient
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.access.senders import Peer
from fhir_server.mllp import Counts, Deframer, Frame, Limits, Server, listener, serve
from fhir_server.operations.acknowledge import Reply
from tests.support.mllp import answer, connected, framed

ADT = b"MSH|^~\\&|EPR|RTH|CSOR|CSOR|202505060930||ADT^A01|%d|P|2.4\rPID|1||9990000018^^^NHS\r"


async def acknowledge(message: bytes, _peer: Peer) -> bytes:
    return b"ACK " + message.split(b"|")[9]


async def reject(beginning: bytes, _peer: Peer) -> bytes:
    return b"AR " + beginning.split(b"|")[9]


def begun(handle):
    """Begin to work through each message as it comes, as the server's lanes do."""

    def begin(message: bytes, peer: Peer) -> Reply:
        work = asyncio.create_task(handle(message, peer))
        return Reply(work, None, work)

    return begin


@asynccontextmanager
async def listening(handle=acknowledge, **limits) -> AsyncIterator[Server]:
    server = await serve(
        "127.0.0.1", 0, begun(handle), on_oversize=begun(reject), limits=Limits(**limits)
    )
    try:
        yield server
    finally:
        await server.close(grace_seconds=1)


async def test_one_message_one_answer():
    async with listening() as server, connected(server) as (reader, writer):
        writer.write(framed(ADT % 1))
        assert await answer(reader) == b"ACK 1"


async def test_a_connection_takes_many_messages():
    async with listening() as server, connected(server) as (reader, writer):
        for number in range(20):
            writer.write(framed(ADT % number))
            assert await answer(reader) == b"ACK %d" % number
        assert (server.counts.connections, server.counts.frames) == (1, 20)


async def test_a_message_in_single_bytes_arrives_whole():
    async with listening() as server, connected(server) as (reader, writer):
        for byte in framed(ADT % 7):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert await answer(reader) == b"ACK 7"


async def test_pipelined_messages_are_answered_in_order_of_arrival():
    done = []

    async def slow_first(message: bytes, peer: Peer) -> bytes:
        found = await acknowledge(message, peer)
        await asyncio.sleep(0.05 if found == b"ACK 0" else 0)
        done.append(found)
        return found

    async with listening(slow_first, pipelined=4) as server, connected(server) as (reader, writer):
        writer.write(b"".join(framed(ADT % number) for number in range(50)))
        assert [await answer(reader) for _ in range(50)] == [b"ACK %d" % n for n in range(50)]
    assert done[0] != b"ACK 0", "later messages were worked through before it, yet answered after"


async def test_what_is_under_way_is_bounded_for_a_connection_and_for_all():
    now, most = 0, 0

    async def counted(message: bytes, peer: Peer) -> bytes:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.005)
        now -= 1
        return await acknowledge(message, peer)

    burst = b"".join(framed(ADT % number) for number in range(40))
    async with (
        listening(counted, pipelined=4, in_work=6) as server,
        connected(server) as (reader, writer),
        connected(server) as (second, other),
    ):
        writer.write(burst)
        assert [await answer(reader) for _ in range(40)] == [b"ACK %d" % n for n in range(40)]
        assert most == 4
        writer.write(burst)
        other.write(burst)
        for each in (reader, second):
            assert [await answer(each) for _ in range(40)][-1] == b"ACK 39"
    assert most == 6


async def test_who_does_not_read_answers_keeps_nobody_else_waiting():
    async def large(message: bytes, peer: Peer) -> bytes:
        return await acknowledge(message, peer) + b"." * 4_000_000

    async with (
        listening(large, pipelined=8, in_work=2) as server,
        connected(server) as (_, silent),
        connected(server) as (reader, writer),
    ):
        silent.write(b"".join(framed(ADT % number) for number in range(20)))
        await silent.drain()
        writer.write(framed(ADT % 1))
        assert (await answer_of_any_size(reader)).startswith(b"ACK 1")
        silent.transport.abort()


async def answer_of_any_size(reader: asyncio.StreamReader) -> bytes:
    content = b""
    while not content.endswith(b"\x1c\x0d"):
        content += await asyncio.wait_for(reader.read(1_000_000), 5)
    return content[1:-2]


async def test_a_failure_after_answers_closes_the_connection_once_those_are_sent():
    async def failing(message: bytes, peer: Peer) -> bytes:
        found = await acknowledge(message, peer)
        if found == b"ACK 2":
            raise RuntimeError("out of disk")
        await asyncio.sleep(0.02)
        return found

    async with listening(failing) as server, connected(server) as (reader, writer):
        writer.write(b"".join(framed(ADT % number) for number in range(4)))
        assert [await answer(reader), await answer(reader)] == [b"ACK 0", b"ACK 1"]
        assert await asyncio.wait_for(reader.read(), 5) == b"", "3 is not answered in 2's place"


async def test_junk_and_a_second_start_are_skipped_and_counted():
    async with listening() as server, connected(server) as (reader, writer):
        writer.write(b"hello\r\n" + framed(ADT % 1) + b"??" + b"\x0bhalf" + framed(ADT % 2))
        assert [await answer(reader), await answer(reader)] == [b"ACK 1", b"ACK 2"]
        assert server.counts.skipped_bytes == len(b"hello\n") + len(b"??") + len(b"\x0bhalf")


async def test_an_end_without_return_is_accepted():
    async with listening() as server, connected(server) as (reader, writer):
        writer.write(b"\x0b" + ADT % 1 + b"\x1c")
        assert await answer(reader) == b"ACK 1"
        writer.write(b"\x0b" + ADT % 2 + b"\x1c" + framed(ADT % 3))
        assert [await answer(reader), await answer(reader)] == [b"ACK 2", b"ACK 3"]


async def test_an_oversize_frame_is_rejected_and_the_next_one_survives():
    large = ADT % 1 + b"Z" * 300_000
    async with listening(frame=100_000) as server, connected(server) as (reader, writer):
        writer.write(framed(large) + framed(ADT % 2))
        assert [await answer(reader), await answer(reader)] == [b"AR 1", b"ACK 2"]
        assert server.counts.oversize == 1


async def test_an_oversize_frame_without_header_is_dropped():
    async with listening(frame=1000) as server, connected(server) as (reader, writer):
        writer.write(framed(b"x" * 5000) + framed(ADT % 2))
        assert await answer(reader) == b"ACK 2"
        assert server.counts.oversize == 1


async def test_a_frame_at_the_limit_is_whole():
    message = ADT % 1
    async with listening(frame=len(message)) as server, connected(server) as (reader, writer):
        writer.write(framed(message))
        assert await answer(reader) == b"ACK 1"


async def test_an_oversize_frame_with_a_byte_order_mark_is_rejected():
    large = b"\xef\xbb\xbf" + ADT % 1 + b"Z" * 5000
    async with listening(frame=1000) as server, connected(server) as (reader, writer):
        writer.write(framed(large))
        assert await answer(reader) == b"AR 1"


async def test_connections_over_the_limit_wait_until_one_is_free():
    async with listening(connections=2) as server, connected(server) as (reader, writer):
        async with connected(server) as (second, second_writer):
            for number, (from_us, to_us) in enumerate(((writer, reader), (second_writer, second))):
                from_us.write(framed(ADT % number))
                assert await answer(to_us) == b"ACK %d" % number
            async with connected(server) as (other, other_writer):
                other_writer.write(framed(ADT % 3))
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(other.readexactly(1), 0.2)
                assert server.counts.connections == 2
                second_writer.close()
                assert await answer(other) == b"ACK 3"
        writer.write(framed(ADT % 4))
        assert await answer(reader) == b"ACK 4"


async def test_closing_does_not_wait_for_connections_that_were_never_accepted():
    async with listening(connections=1) as server, connected(server) as (reader, writer):
        writer.write(framed(ADT % 1))
        assert await answer(reader) == b"ACK 1"
        async with connected(server) as (other, _):
            await asyncio.wait_for(server.close(grace_seconds=1), 5)
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(other.read(), 5) == b""


async def test_a_port_that_is_taken_is_an_error():
    async with listening() as server:
        with pytest.raises(OSError, match="in use"):
            await serve("127.0.0.1", server.port, begun(acknowledge), on_oversize=begun(reject))


async def test_a_silent_connection_is_closed():
    async with listening(idle_seconds=0.05) as server, connected(server) as (reader, _):
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_a_handler_that_fails_closes_its_connection_and_no_other(caplog):
    async def failing(message: bytes, peer: Peer) -> bytes:
        found = await acknowledge(message, peer)
        if found == b"ACK 1":
            raise RuntimeError("out of disk")
        return found

    async with listening(failing) as server, connected(server) as (reader, writer):
        writer.write(framed(ADT % 1))
        assert await asyncio.wait_for(reader.read(), 5) == b""
        async with connected(server) as (other, other_writer):
            other_writer.write(framed(ADT % 2))
            assert await answer(other) == b"ACK 2"
    (told,) = (each.getMessage() for each in caplog.records if "closed after" in each.getMessage())
    assert told.endswith("RuntimeError: 1 of 127.0.0.1")
    assert "9990000018" not in caplog.text


async def test_connections_that_fail_together_are_told_in_one_line(caplog, monkeypatch):
    monkeypatch.setattr(listener, "_GATHERED_SECONDS", 60.0)

    async def failing(message: bytes, peer: Peer) -> bytes:
        raise OSError("the writer's process ended")

    async with (
        listening(failing) as server,
        connected(server) as (reader, writer),
        connected(server) as (other, other_writer),
    ):
        for each in (writer, other_writer):
            each.write(framed(ADT % 1))
        for each in (reader, other):
            assert await asyncio.wait_for(each.read(), 5) == b""
    (told,) = (each.getMessage() for each in caplog.records if "closed after" in each.getMessage())
    assert told.endswith("OSError: 2 of 127.0.0.1")


async def test_closing_answers_what_was_read_and_takes_no_more():
    started = asyncio.Event()

    async def slow(message: bytes, peer: Peer) -> bytes:
        started.set()
        await asyncio.sleep(0.1)
        return await acknowledge(message, peer)

    async with listening(slow) as server, connected(server) as (reader, writer):
        port = server.port
        writer.write(framed(ADT % 1))
        await started.wait()
        closing = asyncio.create_task(server.close(grace_seconds=5))
        assert await answer(reader) == b"ACK 1"
        assert await asyncio.wait_for(reader.read(), 5) == b""
        await closing
        with pytest.raises(OSError, match="Connect"):
            await asyncio.open_connection("127.0.0.1", port)


async def test_an_independent_client_is_served():
    def send() -> list[bytes]:
        with MLLPClient("127.0.0.1", server.port) as client:
            return [client.send_message(ADT % number) for number in range(10)]

    async with listening() as server:
        answers = await asyncio.to_thread(send)
    assert answers == [framed(b"ACK %d" % number) for number in range(10)]


@given(
    st.lists(
        st.binary(max_size=40)
        .map(lambda raw: raw.translate(None, b"\x0b\x1c"))
        .filter(lambda raw: raw not in (b"\x06", b"\x15")),  # blocks of release 2, no messages
        max_size=5,
    ),
    st.lists(st.integers(1, 30), max_size=30),
)
def test_any_division_of_the_stream_gives_the_same_frames(messages, sizes):
    stream = b"".join(framed(message) for message in messages)
    deframer, frames, at = Deframer(1000, Counts()), [], 0
    for size in [*sizes, len(stream)]:
        frames += deframer.feed(stream[at : at + size])
        at += size
    assert frames == [Frame(message) for message in messages]
