"""Receive HL7 v2 messages: keep each one's bytes durably, then have it worked through in its lanes.

The raw bytes are durable before anything they say is stored. A processed message that is sent again
gets the same answer and changes nothing; a refused one is tried again, for what it lacked may have
come. HL7 v2.4 §2.9 (original acknowledgement).
"""

import asyncio
import hashlib
from functools import partial
from typing import NamedTuple

from fhir_server.access import admit
from fhir_server.context import Context, microseconds
from fhir_server.operations import fhir_message
from fhir_server.operations.lanes import Lanes, keys
from fhir_server.operations.process_message import settlement_of, work
from fhir_server.store import inbox
from fhir_server.store.connection import reading
from fhir_server.store.inbox import Arrival, Message
from mappings import hl7v2
from r4.issue import FhirError, error

_AT_ONCE = 32
"""How many messages of an earlier run are worked through at the same time."""


class _Read(NamedTuple):
    """What is known of a message before it is kept; `parsed` is None where it cannot be read."""

    arrival: Arrival
    parsed: hl7v2.Message | None
    lanes: frozenset[str]


def receive(context: Context, lanes: Lanes, raw: bytes) -> asyncio.Task[bytes]:
    """Return the acknowledgement (AA, AE or AR) of a message, which comes once all it says is durable.

    Calls are to come in the order of arrival: it is that of the inbox, and of each lane.
    """
    admit(context.principal, "process-message")
    read = _read(raw)
    received = microseconds(context.now())
    kept = asyncio.create_task(inbox.receive(context.database, read.arrival, received))

    async def worked() -> bytes:
        message = await kept
        is_known = message.received != received
        return await context.database.driven(_settled(context, message, read, is_known=is_known))

    return lanes.run(read.lanes, worked)


def _read(raw: bytes) -> _Read:
    """Return who sent a message, and its lanes; what cannot be read is known by its hash alone."""
    try:
        parsed = hl7v2.parse(raw)
        sender, control_id, sha256 = hl7v2.identity(parsed)
        return _Read(Arrival("mllp", sender, control_id, sha256, "", raw), parsed, keys(parsed))
    except FhirError:
        sha256 = hashlib.sha256(raw).hexdigest()
        return _Read(Arrival("mllp", "", "", sha256, "", raw), None, frozenset())


async def _settled(context: Context, message: Message, read: _Read, *, is_known: bool) -> bytes:
    """Return a message's answer, the first one where it has been processed in the meantime."""
    now = (inbox.read(context.database, message.id) or message) if is_known else message
    if now.status == "processed" and now.answer is not None:
        return now.answer
    return await work(context, now, read.parsed)


async def refuse_oversize(context: Context, beginning: bytes) -> bytes:
    """Return the AR of a frame that is larger than is taken; its beginning is kept in the inbox."""
    sha256 = hashlib.sha256(beginning).hexdigest()
    arrival = Arrival("mllp", "", "", sha256, "oversize", beginning)
    moment = context.now()
    message = await inbox.receive(context.database, arrival, microseconds(moment))
    text = f"The message is larger than the {context.settings.max_body} bytes that are taken."
    issues = (error("too-long", text, "MSH^1", "100"),)
    settlement = settlement_of(message, beginning, "refused", moment, issues)
    await inbox.refuse(context.database, settlement)
    return settlement.answer


async def finish(context: Context, lanes: Lanes) -> int:
    """Work through what an interrupted server had received but not settled; returns how many.

    In lanes, oldest first: what a sender sends meanwhile comes after what is already here.
    """
    done = after = 0
    while left := await reading(context.database, partial(_left, context, after)):
        await asyncio.gather(*(_again(context, lanes, message) for message in left))
        after, done = left[-1].id, done + len(left)
    return done


async def _fhir_again(context: Context, message: Message) -> bytes:
    return await context.database.driven(fhir_message.work(context, message))


def _left(context: Context, after: int) -> list[Message]:
    return inbox.waiting(context.database, "received", _AT_ONCE, after)


def _again(context: Context, lanes: Lanes, message: Message) -> asyncio.Task[bytes]:
    if message.door == "http":
        return lanes.run(frozenset(), partial(_fhir_again, context, message))
    read = _read(message.raw)

    async def worked() -> bytes:
        return await context.database.driven(_settled(context, message, read, is_known=True))

    return lanes.run(read.lanes, worked)
