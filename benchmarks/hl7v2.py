"""HL7 v2 mapping speed: messages a second and core, beside hl7apy's parse of the same messages.

Run: `python -m benchmarks.hl7v2`. CPU time, best of five interleaved rounds.
"""

import time
from collections.abc import Callable
from pathlib import Path

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from mappings.hl7v2 import MappingContext, ack, parse, to_bundle
from r4.json import encode
from terminology import Terminology

EXAMPLES = Path(__file__).parent.parent / "mappings/hl7v2/examples"
ROUNDS = 5
TARGETS = {"ADT^A01 (admission)": 800, "ADT^A03 (discharge)": 800, "ORU^R01 (30 results)": 150}
"""Messages a second and core, the acknowledgement included."""


def oru(results: int) -> bytes:
    """An ORU^R01 with so many results, of a fictitious child."""
    head = (EXAMPLES / "ORU_R01-RTH-case-mix.hl7").read_bytes().split(b"\rOBX")[0]
    row = "OBX|%d|NM|%d-4^Fictitious test %d^LN||%d.50|mmol/L|1-9|N|||F|||20250430%02d00"
    rows = [row % (n, 1000 + n, n, n, n % 24) for n in range(1, results + 1)]
    return head + b"\r" + "\r".join(rows).encode() + b"\r"


def rate(work: Callable[[], object], times: int) -> float:
    """Messages a second of CPU time."""
    started = time.process_time()
    for _ in range(times):
        work()
    return times / (time.process_time() - started)


def missed(name: str, whole: float) -> list[str]:
    """Say of a kind of message that it is converted less often than it is to be."""
    wanted = TARGETS[name]
    return [f"{name}: {whole:,.0f}/s, not {wanted:,}"] if whole < wanted else []


def main() -> None:
    """Print the table, and what is missed."""
    late: list[str] = []
    context = MappingContext(Terminology.load())
    messages = {
        "ADT^A01 (admission)": ((EXAMPLES / "ADT_A01-RTH-admission.hl7").read_bytes(), 400),
        "ADT^A03 (discharge)": ((EXAMPLES / "ADT_A03-RTH-discharge.hl7").read_bytes(), 400),
        "ORU^R01 (30 results)": (oru(30), 60),
    }
    print(f"{'':22}{'parse':>10}{'map':>10}{'whole':>10}{'hl7apy':>10}{'ratio':>8}")
    for name, (raw, times) in messages.items():
        text = raw.decode()

        def mapped(raw: bytes = raw) -> bytes:
            return encode(to_bundle(parse(raw), context))

        def whole(raw: bytes = raw) -> bytes:
            message = parse(raw)
            to_bundle(message, context)
            return ack(message, code="AA", control_id="1", now="2026-11-22T09:00:00Z")

        def theirs(text: str = text) -> object:
            return parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT)

        best = [0.0] * 4
        for _ in range(ROUNDS):
            found = (
                rate(lambda raw=raw: parse(raw).header, times * 5),
                rate(mapped, times),
                rate(whole, times),
                rate(theirs, max(3, times // 40)),
            )
            best = [max(pair) for pair in zip(best, found, strict=True)]
        parsed, mapping, all_of_it, other = best
        figures = f"{parsed:10,.0f}{mapping:10,.0f}{all_of_it:10,.0f}{other:10,.1f}"
        print(f"{name:22}{figures}{all_of_it / other:7.0f}x")
        late += missed(name, all_of_it)
    print("\n".join(late) or "nothing is missed")


if __name__ == "__main__":
    main()
