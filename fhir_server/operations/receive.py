"""Receive HL7 v2 messages: keep each one's bytes durably, then have it worked through in its lanes.

The raw bytes are durable before anything they say is stored. A processed message that is sent again
gets the same answer and changes nothing; a refused one is tried again, for what it lacked may have
come. What comes of a hospital that its connection may not speak for, or is too large, is kept and goes
no further. HL7 v2.4 §2.9.
"""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, cast

from fhir_server.access import admit
from fhir_server.access.senders import LOCAL_SENDER, Door, Sender
from fhir_server.context import Context, microseconds
from fhir_server.operations import fhir_message
from fhir_server.operations.acknowledge import (
    ORIGINAL,
    Reply,
    Wanted,
    begun,
    code_of,
    london,
    seen,
    unsupported,
    wanted,
)
from fhir_server.operations.lanes import Lanes, keys
from fhir_server.operations.policies import PolicyOf, usual
from fhir_server.operations.process_message import go_on
from fhir_server.operations.process_message import work as process
from fhir_server.store import inbox
from fhir_server.store.connection import reading
from fhir_server.store.inbox import Arrival, Chosen, Message
from mappings import hl7v2
from mappings.hl7v2.parse import IGNORED
from r4.issue import FhirError, Issue, error

_AT_ONCE = 32
"""How many messages of an earlier run are worked through at the same time."""
_OVERSIZE, _DISAGREEING, _BATCH = "oversize", "hospital", "batch"
_WITHHELD = {
    _OVERSIZE: "it was too large, and its beginning alone is kept",
    _DISAGREEING: "its connection may not speak for its hospital; once it may, it is to be sent again",
    _BATCH: "it is a batch that cannot be divided, and is to be sent again once it is mended",
}
"""What is kept without being worked through, by the target that it has in the inbox, and why."""
_EMPTIED = "what it said is not kept: it was about a child who was erased, and is to be sent again"


class _Read(NamedTuple):
    """What is known of a message before it is kept; `parsed` is None where it cannot be read."""

    arrival: Arrival
    parsed: hl7v2.Message | None
    lanes: frozenset[str]


def receive(
    context: Context,
    lanes: Lanes,
    raw: bytes,
    sender: Sender = LOCAL_SENDER,
    door: Door = "mllp",
    policy_of: PolicyOf = usual,
) -> Reply:
    """Take a message of a sender, and return what it is told, and when.

    Nothing is said before the raw bytes are durable, and AA only once all that the message says is,
    unless the sender has it said as soon as the message is kept. Calls are to come in the order of
    arrival: it is that of the inbox, and of each lane.
    """
    admit(context.principal, "process-message")
    read = _read(raw, door, sender.name)
    asked = wanted(read.parsed, sender)
    if read.parsed is not None and not sender.speaks_for(read.parsed.header.sending_facility):
        return _disagreeing(context, read.parsed, sender, door)
    received = microseconds(context.now())
    kept = asyncio.create_task(inbox.receive(context.database, read.arrival, received))

    async def worked() -> bytes:
        message = await kept
        is_known = message.received != received
        return await context.database.driven(
            _settled(context, message, read, policy_of, is_known=is_known)
        )

    work = lanes.run(read.lanes, worked)
    work.add_done_callback(seen)
    if asked == ORIGINAL:
        return Reply(work, None, work)
    return _enhanced(asked, read, unsupported(read.parsed, context.mapping), kept, work)


def _enhanced(
    asked: Wanted,
    read: _Read,
    issues: tuple[Issue, ...],
    kept: "asyncio.Task[Message]",
    work: "asyncio.Task[bytes]",
) -> Reply:
    """Return what is said once a message is kept, and, unless that refuses it, once it is worked.

    issues: why its header alone refuses it.
    """
    at_once = asked.at_once(issues)

    async def accepted() -> bytes | None:
        message = await asyncio.shield(kept)
        return None if at_once is None else _accepted(message, read, at_once, issues)

    async def applied() -> bytes | None:
        answer = await asyncio.shield(work)
        is_said = at_once is None or not issues
        return answer if is_said and asked.worked_off(code_of(answer)) else None

    answer = begun(applied() if asked.kept == "NE" else accepted())
    later = None if "NE" in (asked.kept, asked.worked) else begun(applied())
    return Reply(answer, later, work)


def _accepted(
    message: Message, read: _Read, code: hl7v2.AckCode, issues: tuple[Issue, ...]
) -> bytes:
    """Return the answer to a message that is kept: the same one whenever it is sent again."""
    return hl7v2.ack(
        read.parsed or message.raw,
        code=code,
        issues=issues,
        control_id=f"CSOR{message.id}C",
        now=london(datetime.fromtimestamp(message.received / 1_000_000, UTC)),
    )


def _disagreeing(context: Context, parsed: hl7v2.Message, sender: Sender, door: Door) -> Reply:
    """Refuse a message of a hospital that its connection may not speak for.

    It is kept under the connection's name, not under that of the sender it claims to be.
    """
    facility = parsed.header.sending_facility
    hospitals = ", ".join(sorted(sender.hospitals or ()))
    text = (
        f"MSH-4 is `{facility}`, but this connection ({sender.name}) speaks for {hospitals}. Send "
        "the ODS code of one of these, or have the registry list the hospital for this connection."
    )
    issues = (error("not-found", text, "MSH^1^4", "204"),)
    arrival = Arrival(
        door, sender.name, parsed.header.control_id, parsed.digest, _DISAGREEING, parsed.raw,
        sender.name,
    )  # fmt: skip
    return _withheld(context, arrival, parsed, wanted(parsed, sender), issues)


def refuse_oversize(
    context: Context, beginning: bytes, sender: Sender = LOCAL_SENDER, door: Door = "mllp"
) -> Reply:
    """Refuse (AR) a message that is larger than is taken; its beginning is kept in the inbox."""
    sha256 = hashlib.sha256(beginning).hexdigest()
    arrival = Arrival(door, "", "", sha256, _OVERSIZE, beginning)
    text = "The message is larger than what is taken here at once; its beginning is kept."
    issues = (error("too-long", text, "MSH^1", "100"),)
    try:
        header = hl7v2.parse(beginning.lstrip(IGNORED).partition(b"\r")[0])
    except FhirError:
        header = None
    return _withheld(context, arrival, beginning, wanted(header, sender), issues)


def refuse_batch(context: Context, raw: bytes, refusal: FhirError, door: Door) -> Reply:
    """Refuse (AR) a batch that cannot be divided; it is kept, and nothing of it is worked through."""
    arrival = Arrival(door, "", "", hashlib.sha256(raw).hexdigest(), _BATCH, raw)
    return _withheld(context, arrival, raw, ORIGINAL, refusal.issues)


def _withheld(
    context: Context,
    arrival: Arrival,
    message: hl7v2.Message | bytes,
    asked: Wanted,
    issues: tuple[Issue, ...],
) -> Reply:
    """Keep a message that is not worked through, and say so, where that is wanted."""
    admit(context.principal, "process-message")
    said = asked.refusal(issues)
    moment = context.now()
    answer = hl7v2.ack(
        message,
        code=said or hl7v2.ack_code(issues),
        issues=issues,
        control_id=f"CSOR{arrival.sha256[:12]}",
        now=london(moment),
    )

    async def kept() -> bytes:
        reason = "; ".join(issue.diagnostics for issue in issues)
        await inbox.keep(context.database, arrival, microseconds(moment), answer, reason)
        return answer

    async def told() -> bytes | None:
        await asyncio.shield(work)
        return answer if said else None

    work = asyncio.create_task(kept())
    work.add_done_callback(seen)
    return Reply(begun(told()), None, work)


def withheld(message: Message) -> str | None:
    """Return why a message of the inbox is not to be worked through, now or later; None if it is."""
    return _WITHHELD.get(message.target) if message.raw else _EMPTIED


def _read(raw: bytes, door: Door, connection: str | None) -> _Read:
    """Return who sent a message, and its lanes; what cannot be read is known by its hash alone."""
    try:
        parsed = hl7v2.parse(raw)
        sender, control_id, sha256 = hl7v2.identity(parsed)
        origin = hl7v2.origin(parsed)
        arrival = Arrival(door, sender, control_id, sha256, "", raw, connection, *origin)
        return _Read(arrival, parsed, keys(parsed))
    except FhirError:
        sha256 = hashlib.sha256(raw).hexdigest()
        return _Read(Arrival(door, "", "", sha256, "", raw, connection), None, frozenset())


async def _settled(
    context: Context, message: Message, read: _Read, policy_of: PolicyOf, *, is_known: bool
) -> bytes:
    """Return a message's answer, the first one where it has been settled in the meantime."""
    now = (inbox.read(context.database, message.id) or message) if is_known else message
    if now.status in ("processed", "dismissed") and now.answer is not None:
        return now.answer
    return await process(context, now, read.parsed, policy_of)


async def finish(
    context: Context, lanes: Lanes, policy_of: PolicyOf = usual, until: int | None = None
) -> int:
    """Work through what was received but not settled; returns how many.

    An interrupted server leaves such messages, and a writer that ends more than once. until: only those
    that came before a moment, in microseconds. What was parked and need not wait any more comes first. In
    lanes, oldest first: what a sender sends meanwhile comes after what is already here, and what has been
    settled by its turn is left alone.
    """
    done, after = await context.database.driven(go_on(context, policy_of)), 0
    while left := await reading(context.database, partial(_left, context, until, after)):
        await asyncio.gather(*(_again(context, lanes, message, policy_of) for message in left))
        after, done = left[-1].id, done + len(left)
    return done


def _left(context: Context, until: int | None, after: int) -> list[Message]:
    return inbox.page(context.database, Chosen("received", until=until), _AT_ONCE, after)


def _again(
    context: Context, lanes: Lanes, message: Message, policy_of: PolicyOf
) -> asyncio.Task[None]:
    if not message.is_hl7v2:
        again = partial(fhir_message.work, context, message)
        return lanes.run(frozenset(), partial(_unless_settled, context, message, again))
    read = _read(message.raw, cast(Door, message.door), message.connection)
    again = partial(_settled, context, message, read, policy_of, is_known=True)
    return lanes.run(read.lanes, partial(_unless_settled, context, message, again))


async def _unless_settled(
    context: Context, message: Message, again: Callable[[], Coroutine[Any, Any, bytes]]
) -> None:
    async def worked() -> None:
        now = inbox.read(context.database, message.id)
        if now is not None and now.status == "received":
            await again()

    await context.database.driven(worked())
