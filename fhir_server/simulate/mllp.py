"""A sender's side of MLLP: one frame, then wait for its ACK, as EPRs do.

HL7 MLLP release 1: 0x0B, the message, 0x1C 0x0D. MSA-2 must name the message: a late ACK of an
earlier one is passed over.
"""

import asyncio
import re
from contextlib import suppress

from fhir_server.simulate.sending import Answer, Sending

_START, _END = b"\x0b", b"\x1c\r"
_LARGEST_ACK = 1 << 20
_ACK_IN_XML = re.compile(r"<MSA><MSA\.1>(\w+)</MSA\.1><MSA\.2>([^<]*)</MSA\.2>")
_ERR_IN_XML = re.compile(r"<ERR>(.*?)</ERR>", re.DOTALL)
_TAGS = re.compile(r"<[^>]*>")


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
        both = _asks_for_both(sending.body)
        writer.write(_START + sending.body + _END)
        await writer.drain()
        while True:
            frame = await reader.readuntil(_END)
            named, answer = acknowledgement(frame)
            if named in ("", sending.id) and not (answer.code == "CA" and both):
                return answer


def _asks_for_both(message: bytes) -> bool:
    """Tell whether MSH-15 and 16 ask for two answers: at receipt, and when it is worked."""
    return message.partition(b"\r")[0].split(b"|")[14:16] == [b"AL", b"AL"]


def acknowledgement(frame: bytes) -> tuple[str, Answer]:
    """Read an ACK: the MSA-2 that it names, and the answer with the text of its ERR segments.

    Raises ConnectionError when the frame has no MSA segment.
    """
    text = frame.strip(_START + _END).decode("utf-8", "replace")
    if found := _ACK_IN_XML.search(text):
        words = "; ".join(_TAGS.sub(" ", each) for each in _ERR_IN_XML.findall(text))
        return found[2], Answer(found[1], (found[2],), " ".join(words.split()))
    segments = [line.split("|") for line in text.replace("\n", "\r").split("\r") if line]
    for fields in segments:
        if fields[0] == "MSA":
            code, named, *rest = [*fields[1:], "", ""]
            errors = ["|".join(each[1:]) for each in segments if each[0] == "ERR"]
            return named, Answer(code, (named,), "; ".join(filter(None, [*rest, *errors])))
    raise ConnectionError("the listener answered with something that is not an ACK")
