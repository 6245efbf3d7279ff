"""A sender's side of MLLP: one frame, then wait for its ACK, as EPRs do.

HL7 MLLP release 1: 0x0B, the message, 0x1C 0x0D. MSA-2 must name the message: a late ACK of an
earlier one is passed over.
"""

import asyncio
from contextlib import suppress

from fhir_server.simulate.sending import Answer, Sending

_START, _END = b"\x0b", b"\x1c\r"
_LARGEST_ACK = 1 << 20


class MllpSender:
    """One connection to an MLLP listener, opened when first needed."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._address = (host, port)
        self._timeout = timeout
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, sending: Sending) -> Answer:
        """Send one message and return its answer.

        Raises OSError, EOFError or TimeoutError when the connection is lost before the answer: the
        connection is closed, and the message can be sent again.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(sending)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._streams is None:
            return
        writer = self._streams[1]
        self._streams = None
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _exchange(self, sending: Sending) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, limit=_LARGEST_ACK)
        reader, writer = self._streams
        writer.write(_START + sending.body + _END)
        await writer.drain()
        while True:
            frame = await reader.readuntil(_END)
            named, answer = acknowledgement(frame)
            if named in ("", sending.id):
                return answer


def acknowledgement(frame: bytes) -> tuple[str, Answer]:
    """Read an ACK: the MSA-2 that it names, and the answer with the text of its ERR segments.

    Raises ConnectionError when the frame has no MSA segment.
    """
    text = frame.strip(_START + _END).decode("utf-8", "replace")
    segments = [line.split("|") for line in text.replace("\n", "\r").split("\r") if line]
    for fields in segments:
        if fields[0] == "MSA":
            code, named, *rest = [*fields[1:], "", ""]
            errors = ["|".join(each[1:]) for each in segments if each[0] == "ERR"]
            return named, Answer(code, (named,), "; ".join(filter(None, [*rest, *errors])))
    raise ConnectionError("the listener answered with something that is not an ACK")
