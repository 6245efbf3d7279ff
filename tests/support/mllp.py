"""HL7 v2 messages that tests send, and what is said of them."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fhir_server.mllp import Server
from tests.support.server import Served

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
NHS = "https://fhir.nhs.uk/Id/nhs-number"


def register(server: Served, *codes: str) -> None:
    """Have the registry know hospitals by their ODS codes."""
    for code in codes:
        body = {
            "resourceType": "Organization",
            "identifier": [{"system": ODS, "value": code}],
            "name": code,
        }
        answer = server.http.put(f"/Organization?identifier={ODS}|{code}", json=body)
        assert answer.status_code in (200, 201)


def person(
    control_id: str,
    number: str = "9990000018",
    *,
    facility: str = "RTH",
    asks: str = "|",
    event: str = "A28",
    family: str = "Testchild-Wren",
    version: str = "2.4",
) -> bytes:
    """Add a person; `asks` is what stands in MSH-15 and MSH-16, with the separator between them."""
    head = f"MSH|^~\\&|PAS|{facility}|CSOR|CSOR|202001031015||ADT^{event}|{control_id}|P|{version}"
    return (
        f"{head}|||{asks}\rEVN|{event}|202001031015\r"
        f"PID|1||{number}^^^NHS||{family}^Fictitious||20200102|1\r"
    ).encode()


def framed(message: bytes) -> bytes:
    """Put a message in its frame."""
    return b"\x0b" + message + b"\x1c\x0d"


@asynccontextmanager
async def connected(
    server: Server,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to a listener."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def answer(reader: asyncio.StreamReader) -> bytes:
    """Read one frame; returns what is in it."""
    found = await asyncio.wait_for(reader.readuntil(b"\x1c\x0d"), 10)
    assert found[:1] == b"\x0b"
    return found[1:-2]


def acknowledged(answer: bytes) -> tuple[str, str]:
    """Return MSA-1 and MSA-2."""
    fields = answer.partition(b"\rMSA|")[2].partition(b"\r")[0].decode().split("|")
    return fields[0], fields[1]


async def answers(
    port: int,
    messages: Sequence[bytes],
    count: int,
    context: ssl.SSLContext | None = None,
    *,
    address: str = "127.0.0.1",
) -> list[bytes]:
    """Send messages in one write, and return so many answers; nothing else may come after them.

    address: the one of this machine from which they are sent.
    """
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, local_addr=(address, 0)
    )
    writer.write(b"".join(framed(each) for each in messages))
    found = [await asyncio.wait_for(reader.readuntil(b"\x1c\x0d"), 20) for _ in range(count)]
    if context is None:
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 20) == b"", "nothing more is said"
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return [each[1:-2] for each in found]


def found(server: Served, number: str) -> int:
    """Count the children of an NHS number."""
    answer = server.http.get(f"/Patient?identifier={NHS}|{number}").json()
    return int(answer["total"])
