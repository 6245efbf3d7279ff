"""Senders as hospitals have them: one message on its way, sent again until it is acknowledged."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count

from terminology import nhs_number

EACH = 4
"""Messages about one child: its admission, then its names, one after the other."""
_FIRST = 999_000_000
_PAUSE, _ANSWER_WITHIN, _PATIENCE = 0.1, 30.0, 300.0
_MESSAGE = (
    "MSH|^~\\&|PAS|RTH|CSOR|CSOR|{at}||ADT^{event}^ADT_A01|{control}|P|2.4|||||GBR|UNICODE\r"
    "EVN|{event}|{at}\r"
    "PID|1||{number}^^^NHS~M{number}^^^RTH^MR||{family}^Fictitious-{number}||20200102|1\r"
    "PV1|1|I|RTH^NICU^1||||C9999991^Testsurgeon^Fictitious^^^Dr^^^GMC|||171|||||||||"
    "V{number}^^^VISITID{rest}202001031000\r"
    "DG1|1||Q43.1^Hirschsprung's disease^I10||20200103|A\r"
)


def family(turn: int) -> str:
    """Return the name that a child has after so many messages."""
    return f"Testchild-{turn}"


def messages(number: str) -> Iterator[bytes]:
    """Yield what is told of a child, in its order; no two children are told of alike."""
    for turn in range(EACH):
        yield _MESSAGE.format(
            at=f"20200103{11 + turn}15", event="A08" if turn else "A01", number=number,
            control=f"C-{number}-{turn}", family=family(turn), rest="|" * 25,
        ).encode()  # fmt: skip


def children(many: int) -> list[str]:
    """Return valid NHS numbers that the NHS gives to nobody."""
    found = (
        number
        for digits in count(_FIRST)
        for check in range(10)
        if nhs_number.is_valid(number := f"{digits}{check}")
    )
    return [next(found) for _ in range(many)]


@dataclass
class Feed:
    """What is sent, and what was answered: the SHA-256 of each message that got its AA.

    lost counts attempts that ended with the connection, silent those whose connection stayed open
    without an answer for half a minute, refused the other answers by their code.
    """

    port: int
    numbers: list[str]
    connections: int
    accepted: list[bytes] = field(default_factory=list)
    lost: int = 0
    silent: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    async def send(self) -> None:
        """Send all, each child's messages over one connection; raises OSError where nobody answers."""
        async with asyncio.TaskGroup() as group:
            for at in range(self.connections):
                group.create_task(self._connection(self.numbers[at :: self.connections]))

    async def _connection(self, numbers: list[str]) -> None:
        line = _Line(self.port)
        for number in numbers:
            for message in messages(number):
                await self._persist(line, message)
        line.close()

    async def _persist(self, line: "_Line", message: bytes) -> None:
        """Send until it is accepted: what is lost or refused is sent again, as engines do."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                code = await line.exchange(message)
            except (OSError, EOFError) as lost:  # a TimeoutError is an OSError
                self.silent += isinstance(lost, TimeoutError)
                self.lost += not isinstance(lost, TimeoutError)
                line.close()
            else:
                if code == "AA":
                    self.accepted.append(sha256(message).digest())
                    return
                self.refused[code] += 1
            if time.monotonic() > until:
                raise OSError(f"not accepted within {_PATIENCE:g} s: {message[:80]!r}")
            await asyncio.sleep(_PAUSE)


class _Line:
    """A connection that is opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def exchange(self, message: bytes) -> str:
        """Send a message; returns MSA-1 of its answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(b"\x0b" + message + b"\x1c\r")
        async with asyncio.timeout(_ANSWER_WITHIN):
            answer = await reader.readuntil(b"\x1c\r")
        return answer.partition(b"\rMSA|")[2][:2].decode(errors="replace")

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
