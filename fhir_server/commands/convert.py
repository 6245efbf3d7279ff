"""`convert`: show what HL7 v2 messages in a file would become, without a server and without a database."""

import re
from collections.abc import Iterator
from pathlib import Path

from fhir_server.app import clock
from fhir_server.context import instant
from fhir_server.operations.convert import Converted, converted, parameters
from mappings import hl7v2, layers
from mappings.hl7v2 import Conversion, MappingContext, Place
from mappings.hl7v2.rows import Origin
from r4.json import pretty
from terminology import Terminology

_BEGINS = re.compile(rb"(?<![^\r\n\x0b])(?=MSH[^A-Za-z0-9\s])")
_FRAME = b"\x0b\x1c"
_LINE, _VALUE = 120, 24
"""How much of a segment, and of a value, is shown."""


def convert(file: Path, *, as_json: bool, mappings: Path | None = None) -> int:
    """Print each message of a file with what became of every value, or the Parameters of $convert.

    A file holds one message, several one after the other, a batch, or one v2.xml document. mappings:
    the operator's folder, where there is one. Returns exit status 1 where a message would be refused;
    raises OSError for what cannot be read, ValueError for a fault in the folder, and FhirError for a
    batch whose counts are wrong.
    """
    now = instant(clock())
    mapping = MappingContext(Terminology.load(), now, layers.engine(mappings))
    found = [converted(raw, mapping, now) for raw in messages(file.read_bytes())]
    if as_json:
        print(pretty(parameters(found, is_batch=len(found) > 1)).decode())
    else:
        for number, each in enumerate(found, start=1):
            print("\n".join(_shown(each, number, len(found))))
    return int(any(each.code != "AA" for each in found))


def messages(raw: bytes) -> list[bytes]:
    """Divide the bytes of a file into messages: by its batch headers, else where an MSH begins a line."""
    if (batch := hl7v2.batch(raw)) is not None:
        return list(batch.messages)
    parts = [part.strip(_FRAME + b" \t\r\n") for part in _BEGINS.split(raw)]
    return [part for part in parts if part] or [raw]


def _shown(made: Converted, number: int, of: int) -> Iterator[str]:
    yield f"Message {number} of {of}: {_title(made.conversion)}"
    yield f"Answer: {made.code}" + ("" if made.issues else ", but for what the registry holds")
    for issue in made.issues:
        yield f"  ! {issue.expression or 'MSH^1'}: {issue.diagnostics}"
    if made.conversion is None:
        return
    if made.conversion.bundle is not None:
        entries = made.conversion.bundle["entry"]
        kinds = (each["resource"]["resourceType"] for each in entries)
        yield f"Bundle: {', '.join(f'[{at}] {kind}' for at, kind in enumerate(kinds))}"
    yield from _values(made.conversion)
    yield from _without_source(made.conversion)
    yield from _counts(made.conversion)


def _title(conversion: Conversion | None) -> str:
    if conversion is None:
        return "no HL7 v2 message"
    header = conversion.message.header
    kind = f"{header.message_code}^{header.trigger_event}"
    return f"{kind} {header.control_id} from {header.sending_facility}, tables {conversion.version}"


def _values(conversion: Conversion) -> Iterator[str]:
    """Yield each segment as it was sent, and under it every value with what became of it."""
    told: dict[Place, list[str]] = {}
    for element in conversion.written:
        line = f"-> {_short(element.expression)}  [{_row(element.origin)}]"
        for place in element.source:
            told.setdefault(place, []).append(line)
    for leaf in conversion.ignored:
        row = f"  [{_row(leaf.origin)}]" if leaf.origin else ""
        told[leaf.place] = [f"-- {leaf.why}: {leaf.reason}{row}"]
    for segment in conversion.message:
        yield f"\n{_cut(segment.raw, _LINE)}"
        for each in segment.leaves():
            head = f"  {_name(each.place):<11} {_cut(each.text, _VALUE):<{_VALUE}}  "
            for line in dict.fromkeys(told[each.place]):
                yield head + line
                head = " " * len(head)


def _without_source(conversion: Conversion) -> Iterator[str]:
    """Yield what is in no value of the message: what rows say themselves, and references."""
    listed = [element for element in conversion.written if not element.source]
    if listed:
        yield "\nFrom no value of their own (fixed values, references, the sender):"
    for element in listed:
        yield f"  {_short(element.expression)}  [{_row(element.origin)}]"


def _counts(conversion: Conversion) -> Iterator[str]:
    mapped = len({place for element in conversion.written for place in element.source})
    counts: dict[str, int] = {}
    for leaf in conversion.ignored:
        counts[leaf.why] = counts.get(leaf.why, 0) + 1
    rest = "".join(f", {number} {why}" for why, number in sorted(counts.items()))
    yield f"\n{mapped} values mapped{rest}\n"


def _short(expression: str) -> str:
    """Write `Bundle.entry[1].resource.name` as `[1].name`: the number is that of the entry."""
    return expression.removeprefix("Bundle.entry").replace(".resource", "", 1)


def _name(place: Place) -> str:
    """Write a place as people do: PID-3(2).4 in the second repetition, OBX[2]-5 in the second OBX."""
    again = f"[{place.number}]" if place.number > 1 else ""
    repetition = f"({place.repetition})" if place.repetition > 1 else ""
    numbers = [place.component, place.subcomponent]
    while numbers and numbers[-1] == 1:
        numbers.pop()
    inner = "".join(f".{number}" for number in numbers)
    return f"{place.segment}{again}-{place.field}{repetition}{inner}"


def _row(origin: Origin) -> str:
    return f"{origin.table}.csv:{origin.line}"


def _cut(text: str, width: int) -> str:
    """Return a text on one line and of a width that can be read; what cannot be shown as a dot."""
    shown = "".join(each if each.isprintable() else "·" for each in text[: width + 1])
    return shown if len(shown) <= width else f"{shown[: width - 1]}…"
