"""HL7 v2 over MLLP: admissions and updates of fictitious children, as a hospital's engine sends them.

A message counts once its AA is here, which is sent after all that it says is durable.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

from benchmarks.load.driving import Driver, Figures, Meter, resident_bytes
from benchmarks.load.wire import Connection, Peer
from r4.json import encode
from terminology import nhs_number
from terminology.systems import ODS_ORGANIZATION

CONNECTIONS = (1, 8, 32)
SUSTAINED = "ADT over MLLP, sustained"
_FIRST = 999_000_000
"""The first nine digits of numbers that the NHS gives to nobody."""
_HOSPITAL = "RTH"
_WARM_SECONDS = 1.0
_STEPS = 10
"""Parts of a sustained load, the first and the last of which are compared."""
_MESSAGE = (
    "MSH|^~\\&|PAS|RTH|CSOR|CSOR|202001031015||ADT^{event}^ADT_A01|{control}|P|2.4|||||GBR|UNICODE",
    "EVN|{event}|202001031015",
    "PID|1||{number}^^^NHS~M{number}^^^RTH^MR||Testchild-Wren{number}^Fictitious||20200102|1|||"
    "1 Street^^Town^^ZZ99 9ZZ^GBR^H|||||||||||A",
    "PV1|1|I|RTH^NICU^1||||C9999991^Testsurgeon^Fictitious^^^Dr^^^GMC|||171|||||||||"
    "V{number}^^^VISITID" + "|" * 25 + "202001031000",
    "DG1|1||Q43.1^Hirschsprung's disease^I10||20200103|A",
    "",
)


def named(connections: int) -> str:
    """Return the name of the load over so many connections."""
    return f"ADT over MLLP, {connections}"


def sent() -> Iterator[tuple[bytes, bytes]]:
    """Yield, for one child after another, the admission (A01) and the update of it (A08)."""
    control = itertools.count(1)
    for digits in itertools.count(_FIRST):
        for check in range(10):
            if nhs_number.is_valid(number := f"{digits}{check}"):
                make = partial("\r".join(_MESSAGE).format, number=number)
                first, second = (
                    make(event=event, control=f"B-{next(control)}").encode()
                    for event in ("A01", "A08")
                )
                yield first, second


async def register(peer: Peer) -> None:
    """Store the hospital that sends; raises OSError where it is refused."""
    hospital = {
        "resourceType": "Organization",
        "active": True,
        "name": "Fictitious hospital of the benchmark",
        "identifier": [{"system": ODS_ORGANIZATION, "value": _HOSPITAL}],
    }
    condition = f"If-None-Exist: identifier={ODS_ORGANIZATION}|{_HOSPITAL}\r\n"
    connection = await Connection.to(peer)
    answer = await connection.exchange(peer.post("/Organization", encode(hospital), condition))
    connection.close()
    if answer.status not in (200, 201):
        raise OSError(f"the hospital is refused: {answer.status}")


async def drive(
    driver: Driver, port: int, children: Iterator[tuple[bytes, bytes]], connections: int
) -> Figures:
    """Send over several connections, on each the next message once the last is answered.

    Every answer but AA is an error, counted by its code; its latency is left out.
    """
    opened = [await asyncio.open_connection(driver.peer.host, port) for _ in range(connections)]
    latencies: list[float] = []
    errors: Counter[str] = Counter()
    received = 0
    meter, until = Meter(driver.processes), time.perf_counter() + driver.seconds

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        for message in itertools.chain.from_iterable(children):
            began = time.perf_counter()
            if began >= until:
                return
            writer.write(b"\x0b" + message + b"\x1c\r")
            answer = await reader.readuntil(b"\x1c\r")
            received += len(answer)
            if (code := answer.partition(b"\rMSA|")[2][:2]) == b"AA":
                latencies.append(time.perf_counter() - began)
            else:
                errors[code.decode(errors="replace")] += 1

    await asyncio.gather(*(run(reader, writer) for reader, writer in opened))
    spent = meter.read()
    for _, writer in opened:
        writer.close()
    return Figures(named(connections), connections, sorted(latencies), 0, received, errors, spent)


async def warm(driver: Driver, port: int, children: Iterator[tuple[bytes, bytes]]) -> None:
    """Let the server compile and cache what it does once."""
    await drive(Driver(driver.peer, _WARM_SECONDS), port, children, 2)


async def sustain(
    driver: Driver, port: int, children: Iterator[tuple[bytes, bytes]], seconds: float
) -> Figures:
    """Send over most connections for long; says too how rate and the server's memory went.

    mebibytes are those of the server and its writer, without the database's own processes.
    """
    server = driver.processes[:1]
    step = Driver(driver.peer, seconds / _STEPS, driver.processes)
    before = resident_bytes(server)
    meter = Meter(driver.processes)
    steps = [await drive(step, port, children, max(CONNECTIONS)) for _ in range(_STEPS)]
    spent, after = meter.read(), resident_bytes(server)
    rates = [each.requests_per_second for each in steps]
    notes: dict[str, object] = {
        "per_second_by_tenth": [round(rate, 1) for rate in rates],
        "least_tenth_per_second": round(min(rates), 1),
        "ratio_last_to_first": round(rates[-1] / rates[0], 2) if rates[0] else None,
    }
    if before is not None and after is not None:
        notes["mebibytes_before"] = round(before / 2**20, 1)
        notes["mebibytes_after"] = round(after / 2**20, 1)
    return Figures(
        SUSTAINED,
        max(CONNECTIONS),
        sorted(latency for each in steps for latency in each.latencies),
        0,
        sum(each.received for each in steps),
        sum((each.errors for each in steps), Counter()),
        spent,
        notes,
    )
