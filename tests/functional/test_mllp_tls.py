"""MLLP over TLS on real sockets: who shows no good certificate is not heard, and holds up nobody."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fhir_server.access.senders import Peer
from fhir_server.mllp import Files, Limits, Server, serve
from fhir_server.operations.acknowledge import Reply
from tests.support.certificates import Authority, client, sha256

MESSAGE = b"MSH|^~\\&|EPR|RTH|CSOR|CSOR|202505060930||ADT^A01|%d|P|2.4\rPID|1||9990000018^^^NHS\r"
Shown = tuple[Path, Path]


class Certificates:
    """What the tests of this module show one another."""

    def __init__(self, folder: Path) -> None:
        ours, hospitals, others = (
            Authority(folder, name) for name in ("ours", "hospitals", "others")
        )
        self.trusted = ours.pem
        certificate, key = ours.issue("server")
        self.plain = Files(certificate, key)
        self.mutual = Files(certificate, key, hospitals.pem)
        self.good = hospitals.issue("good")
        self.foreign = others.issue("foreign")
        self.expired = hospitals.issue("expired", expired=datetime(2020, 1, 1, tzinfo=UTC))
        self.hospitals = hospitals


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@asynccontextmanager
async def listening(files: Files | None, **limits: float) -> AsyncIterator[Server]:
    def acknowledge(message: bytes, peer: Peer) -> Reply:
        async def work() -> bytes:
            return message.split(b"|")[9] + b" " + str(peer.certificate).encode()

        begun = asyncio.create_task(work())
        return Reply(begun, None, begun)

    server = await serve(
        "127.0.0.1", 0, acknowledge, on_oversize=acknowledge, files=files, limits=Limits(**limits)
    )
    try:
        yield server
    finally:
        await server.close(grace_seconds=1)


async def said(server: Server, context: ssl.SSLContext | None, number: int = 1) -> bytes:
    """Send one message; returns what comes back, which is nothing where we are not heard."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    try:
        writer.write(b"\x0b" + MESSAGE % number + b"\x1c\x0d")
        return await asyncio.wait_for(reader.read(1000), 5)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_over_tls_the_server_is_known(certificates: Certificates) -> None:
    async with listening(certificates.plain) as server:
        assert await said(server, client(certificates.trusted)) == b"\x0b1 None\x1c\x0d"
        with pytest.raises(ssl.SSLCertVerificationError):
            await said(server, client(certificates.hospitals.pem))


async def test_over_mutual_tls_the_sender_is_known_too(certificates: Certificates) -> None:
    async with listening(certificates.mutual) as server:
        answer = await said(server, client(certificates.trusted, certificates.good))
    assert answer == b"\x0b1 " + sha256(certificates.good[0]).encode() + b"\x1c\x0d"


@pytest.mark.parametrize("shown", ["foreign", "expired", None])
async def test_a_wrong_expired_or_missing_certificate_is_refused(
    certificates: Certificates, shown: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(certificates.mutual) as server:
        context = client(certificates.trusted, getattr(certificates, shown) if shown else None)
        with contextlib.suppress(OSError):
            assert await said(server, context) == b""
        assert server.counts.handshakes_failed == 1
        assert server.counts.frames == 0
        assert await said(server, client(certificates.trusted, certificates.good))
    assert "not opened" in caplog.text


async def test_versions_before_1_2_are_refused(certificates: Certificates) -> None:
    context = client(certificates.trusted)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with listening(certificates.plain) as server:
        assert await said(server, context)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSVersion"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with contextlib.suppress(OSError):
            assert await said(server, context) == b""
        assert server.counts.handshakes_failed == 1


async def test_a_peer_that_speaks_no_tls_is_dropped(certificates: Certificates) -> None:
    async with listening(certificates.plain) as server:
        with contextlib.suppress(OSError):
            assert not (await said(server, None)).startswith(b"\x0b")
        assert server.counts.handshakes_failed == 1
        assert await said(server, client(certificates.trusted))


async def test_a_handshake_that_stands_still_holds_up_nobody_and_ends(
    certificates: Certificates,
) -> None:
    async with listening(certificates.plain, connections=1, handshake_seconds=0.3) as server:
        silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(5)]
        assert await said(server, client(certificates.trusted)) == b"\x0b1 None\x1c\x0d"
        for reader, writer in silent:
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
        assert server.counts.handshakes_failed == 5


async def test_more_handshakes_than_are_allowed_drop_the_oldest(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhir_server.mllp.listener._HANDSHAKES", 3)
    async with listening(certificates.plain) as server:
        silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(6)]
        assert await said(server, client(certificates.trusted)) == b"\x0b1 None\x1c\x0d"
        for reader, _ in silent[:4]:
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
        for _, writer in silent:
            writer.close()


async def test_connections_over_the_limit_wait_after_their_handshake(
    certificates: Certificates,
) -> None:
    context = client(certificates.trusted)
    async with listening(certificates.plain, connections=1) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
        writer.write(b"\x0b" + MESSAGE % 1 + b"\x1c\x0d")
        assert await asyncio.wait_for(reader.readuntil(b"\x1c\x0d"), 5)
        waiting = asyncio.create_task(said(server, context, 2))
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        writer.close()
        assert await waiting == b"\x0b2 None\x1c\x0d"


async def test_pipelined_messages_over_tls_are_answered_in_order(
    certificates: Certificates,
) -> None:
    context = client(certificates.trusted)
    async with listening(certificates.plain) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
        writer.write(b"".join(b"\x0b" + MESSAGE % n + b"\x1c\x0d" for n in range(100)))
        for number in range(100):
            answer = await asyncio.wait_for(reader.readuntil(b"\x1c\x0d"), 5)
            assert answer == b"\x0b%d None\x1c\x0d" % number
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_new_certificates_are_shown_once_they_are_read_anew(
    certificates: Certificates, tmp_path: Path
) -> None:
    renewed = Authority(tmp_path, "renewed")
    files = Files(*renewed.issue("server"))
    other = Authority(tmp_path, "other")
    async with listening(files) as server:
        assert await said(server, client(renewed.pem))
        other.issue("server")
        server.renew()
        assert await said(server, client(other.pem))
        files.key.write_text("no key")
        with pytest.raises(ValueError, match=r"server\.key"):
            server.renew()
        assert await said(server, client(other.pem)), "what was read last goes on"


async def test_files_that_do_not_belong_together_stop_the_start(
    certificates: Certificates,
) -> None:
    wrong = Files(certificates.good[0], certificates.foreign[1])
    with pytest.raises(ValueError, match=r"good\.pem"):
        async with listening(wrong):
            pass
