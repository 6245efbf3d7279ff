"""Process one HL7 v2 message: keep it, map it, store what it says, and answer.

The raw bytes are durable before anything reads them; the answer is kept with them. A processed message
that is sent again gets the same answer and changes nothing; a refused one is tried again, for what it
lacked may have come. HL7 v2.4 §2.9 (original acknowledgement).
"""

import hashlib
import logging
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from fhir_server.access import admit
from fhir_server.context import Context, instant, microseconds
from fhir_server.interactions.transaction import transaction
from fhir_server.store import inbox
from fhir_server.store.failure import place
from fhir_server.store.inbox import Arrival, Message, Settlement, Status
from mappings import hl7v2
from r4.issue import FhirError, Issue, error

logger = logging.getLogger("csor.process_message")

LONDON = ZoneInfo("Europe/London")


async def process_message(context: Context, raw: bytes) -> bytes:
    """Return the acknowledgement (AA, AE or AR) of a message, after all it says is durable."""
    admit(context.principal, "process-message")
    sender, control_id, sha256 = _identity(raw)
    arrival = Arrival("mllp", sender, control_id, sha256, "", raw)
    message = await inbox.receive(context.database, arrival, microseconds(context.now()))
    if message.status == "processed" and message.answer is not None:
        return message.answer
    return await work(context, message)


def _identity(raw: bytes) -> tuple[str, str, str]:
    """Return sender, MSH-10 and SHA-256; what cannot be read is known by its hash alone."""
    try:
        return hl7v2.identity(hl7v2.parse(raw))
    except FhirError:
        return "", "", hashlib.sha256(raw).hexdigest()


_UNAVAILABLE = 503


async def work(context: Context, message: Message) -> bytes:
    """Map and store a message that the inbox holds, settle it there, and return its answer.

    Where the same message has been processed meanwhile, on another connection, its answer is this one's.
    """
    try:
        return await _work(context, message)
    except inbox.SettledError:
        settled = inbox.read(context.database, message.id)
        if settled is None or settled.answer is None:
            raise
        return settled.answer


async def _work(context: Context, message: Message) -> bytes:
    moment = context.now()
    received: hl7v2.Message | bytes = message.raw
    try:
        received = parsed = hl7v2.parse(message.raw)
        _refuse_reuse(context, message)
        mapping = replace(context.mapping, now=instant(moment))
        bundle = hl7v2.to_bundle(parsed, mapping)
        settlement = _settlement(message, received, "processed", moment, ())
        await transaction(context, bundle, trusted=True, settlement=settlement)
    except FhirError as refusal:
        settlement = _settlement(message, received, "refused", moment, refusal.issues)
        if (
            refusal.status != _UNAVAILABLE
        ):  # the message stays received, and is worked through later
            await inbox.refuse(context.database, settlement)
    except inbox.SettledError:
        raise
    except Exception as unforeseen:
        logger.error("message %d: %s", message.id, place(unforeseen))  # noqa: TRY400 - no content
        text = "The registry failed to process this message; it is kept and will be looked at."
        issues = (error("exception", text),)
        settlement = _settlement(message, received, "refused", moment, issues)
        await inbox.refuse(context.database, settlement)
    return settlement.answer


def _refuse_reuse(context: Context, message: Message) -> None:
    if message.control_id and inbox.reused(context.database, message):
        text = f"MSH-10 {message.control_id} has been used before, with other content."
        raise FhirError(409, [error("duplicate", text, "MSH^1^10", "205")])


def _settlement(
    message: Message,
    received: hl7v2.Message | bytes,
    status: Status,
    moment: datetime,
    issues: tuple[Issue, ...],
) -> Settlement:
    now = moment.astimezone(LONDON).strftime("%Y%m%d%H%M%S")
    answer = hl7v2.ack(
        received,
        code=hl7v2.ack_code(issues),
        issues=issues,
        control_id=f"CSOR{message.id}",
        now=now,
    )
    reason = "; ".join(issue.diagnostics for issue in issues) or None
    return Settlement(message.id, status, microseconds(moment), answer, reason)


async def refuse_oversize(context: Context, beginning: bytes) -> bytes:
    """Return the AR of a frame that is larger than is taken; its beginning is kept in the inbox."""
    sha256 = hashlib.sha256(beginning).hexdigest()
    arrival = Arrival("mllp", "", "", sha256, "oversize", beginning)
    moment = context.now()
    message = await inbox.receive(context.database, arrival, microseconds(moment))
    text = f"The message is larger than the {context.settings.max_body} bytes that are taken."
    issues = (error("too-long", text, "MSH^1", "100"),)
    settlement = _settlement(message, beginning, "refused", moment, issues)
    await inbox.refuse(context.database, settlement)
    return settlement.answer


async def finish(context: Context) -> int:
    """Work through what an interrupted server had received but not settled; returns how many."""
    done = 0
    while left := inbox.waiting(context.database, "received"):
        for message in left:
            await work(context, message)
        done += len(left)
    return done
