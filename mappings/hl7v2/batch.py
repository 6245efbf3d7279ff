"""FHS and BHS: a batch to its messages, and their acknowledgements to a batch.

HL7 v2.4 chapter 2.15.2 (FHS, BHS, BTS, FTS) and 2.13 (batch acknowledgement). A batch comes over
HTTP or in a file; a frame of MLLP holds one message.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mappings.hl7v2.ack import echo, escaped, timestamp
from mappings.hl7v2.characters import Separators, decode, separators
from mappings.hl7v2.errors import structural
from mappings.hl7v2.leaves import Segment
from mappings.hl7v2.parse import IGNORED

_MARK = re.compile(rb"(?<![^\r\n])(?:FHS|BHS|MSH|BTS|FTS)(?![A-Za-z0-9])")


@dataclass(frozen=True, slots=True)
class Part:
    """One batch of a file: BHS (empty where there is none), and messages."""

    header: bytes
    messages: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """What was sent together: FHS (empty where there is none), and batches."""

    header: bytes
    parts: tuple[Part, ...]

    @property
    def messages(self) -> tuple[bytes, ...]:
        """Return every message as it was sent, in order: each is for `parse`."""
        return tuple(message for part in self.parts for message in part.messages)


def batch(raw: bytes) -> Batch | None:
    """Divide a batch, or return None where the bytes do not begin with FHS or BHS.

    Raises FhirError (400, rule 100), and then nothing of it should be read, where segments stand
    out of order, a count of BTS-1 or FTS-1 is wrong, or FTS or BTS follow no header. Trailers are
    optional in the standard, and a batch without them is as long as it is.
    """
    head = raw.lstrip(IGNORED)
    if head[:3] not in (b"FHS", b"BHS"):
        return None
    pieces = list(_pieces(head))
    file = pieces.pop(0)[1] if pieces[0][0] == b"FHS" else b""
    trailer = pieces.pop()[1] if file and pieces and pieces[-1][0] == b"FTS" else b""
    parts = tuple(_parts(pieces))
    _check_count(trailer, file, len(parts), "FTS-1", "batches")
    return Batch(file, parts)


def batch_ack(batch: Batch, answers: Sequence[bytes], *, control_id: str, now: str) -> bytes:
    """Put the acknowledgements of a batch's messages, in their order, into a batch of the same form.

    `control_id` becomes the answer's BHS-11 and FHS-11, and BHS-12 and FHS-12 name what is
    answered; `now` is an ISO 8601 instant or an HL7 timestamp. An empty answer, to a message that
    asked for none, is left out. Raises ValueError where there is not one answer for each message.
    """
    if len(answers) != len(batch.messages):
        raise ValueError(f"{len(batch.messages)} messages have {len(answers)} answers")
    left = iter(answers)
    parts = [
        _enclosed(
            part.header, [each for _ in part.messages if (each := next(left))], control_id, now
        )
        for part in batch.parts
    ]
    return _enclosed(batch.header, parts, control_id, now)


def _pieces(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Cut before each header, trailer and MSH that begins a line."""
    starts = [found.start() for found in _MARK.finditer(head)]
    for start, end in zip(starts, [*starts[1:], len(head)], strict=True):
        piece = head[start:end]
        name = piece[:3]
        lines = [line for line in re.split(rb"[\r\n]", piece) if line.strip()]
        if name != b"MSH" and len(lines) > 1:
            raise structural(
                f"{name.decode()} is followed by {lines[1][:3].decode('latin-1')}: only messages"
                " (MSH), headers and trailers may stand there."
            )
        yield name, piece


def _parts(pieces: list[tuple[bytes, bytes]]) -> Iterator[Part]:
    position = 0
    while position < len(pieces):
        header = b""
        if pieces[position][0] == b"BHS":
            header = pieces[position][1]
            position += 1
        messages = []
        while position < len(pieces) and pieces[position][0] == b"MSH":
            messages.append(pieces[position][1])
            position += 1
        trailer = b""
        if header and position < len(pieces) and pieces[position][0] == b"BTS":
            trailer = pieces[position][1]
            position += 1
        elif not header and not messages:
            name = pieces[position][0].decode()
            raise structural(f"The batch holds {name} out of order: FHS, BHS, messages, BTS, FTS.")
        _check_count(trailer, header, len(messages), "BTS-1", "messages")
        yield Part(header, tuple(messages))


def _check_count(trailer: bytes, header: bytes, found: int, place: str, what: str) -> None:
    """Refuse a trailer that states another count than the one that is found."""
    if not trailer:
        return
    stated = Segment(trailer.decode("latin-1"), place[:3], 1, _separators(header)).value(1)
    if stated and (stated.lstrip("0") or "0") != str(found):
        raise structural(
            f"{place} does not say the number of {what}, which is {found}: some were lost, or it"
            " was counted wrongly. Nothing of the batch was read."
        )


def _enclosed(header: bytes, inner: list[bytes], control_id: str, now: str) -> bytes:
    """Put the header and the trailer of an answer around what answers the content."""
    if not header:
        return b"".join(inner)
    used = _separators(header)
    lines, charset, _ = decode([header.strip()], b"")
    name = lines[0][:3]
    received = Segment(lines[0], name, 1, used)
    fields = [
        f"{name}{used.field}{used.encoding_characters}",
        *(echo(received, number) for number in (5, 6, 3, 4)),
        timestamp(now),
        *("", "", ""),
        escaped(control_id, used),
        echo(received, 11),
    ]
    trailer = f"{'BTS' if name == 'BHS' else 'FTS'}{used.field}{len(inner)}\r"
    first = f"{used.field.join(fields).rstrip(used.field)}\r"
    return b"".join((first.encode(charset), *inner, trailer.encode(charset)))


def _separators(header: bytes) -> Separators:
    text = header.decode("latin-1")
    mark = text[3:4]
    return separators(mark, text[4:12].partition(mark)[0] if mark else "", "utf-8")
