"""Process one HL7 v2 message that the inbox holds: map it, store what it says, and answer.

The answer is kept with the message, in the commit that stores what it says. HL7 v2.4 §2.9.
"""

import logging
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from fhir_server.context import Context, instant, microseconds
from fhir_server.interactions.source import Source
from fhir_server.interactions.transaction import transaction
from fhir_server.operations import duplicates
from fhir_server.operations.unmerge import completed
from fhir_server.store import inbox
from fhir_server.store.failure import place
from fhir_server.store.inbox import Message, Settlement, Status
from mappings import hl7v2
from r4.issue import FhirError, Issue, error

logger = logging.getLogger("csor.process_message")

LONDON = ZoneInfo("Europe/London")


_UNAVAILABLE = 503


async def work(context: Context, message: Message, parsed: hl7v2.Message | None = None) -> bytes:
    """Map and store a message that the inbox holds, settle it there, and return its answer.

    parsed: what its bytes say, where somebody has read them already.

    Where the same message has been processed meanwhile, on another connection, its answer is this one's.
    """
    try:
        return await _work(context, message, parsed)
    except inbox.SettledError:
        settled = inbox.read(context.database, message.id)
        if settled is None or settled.answer is None:
            raise
        return settled.answer


async def _work(context: Context, message: Message, parsed: hl7v2.Message | None) -> bytes:
    moment = context.now()
    received: hl7v2.Message | bytes = message.raw
    bundle = None
    try:
        received = parsed = parsed or hl7v2.parse(message.raw)
        _refuse_reuse(context, message)
        mapping = replace(context.mapping, now=instant(moment))
        bundle = hl7v2.to_bundle(parsed, mapping)
        settlement = settlement_of(message, received, "processed", moment, ())
        bundle = await completed(context, bundle)
        source = source_of(message, parsed)
        await transaction(context, bundle, trusted=True, settlement=settlement, source=source)
    except FhirError as refusal:
        settlement = settlement_of(message, received, "refused", moment, refusal.issues)
        if (
            refusal.status != _UNAVAILABLE
        ):  # the message stays received, and is worked through later
            await inbox.refuse(context.database, settlement)
            await duplicates.note(context, bundle, refusal)
    except inbox.SettledError:
        raise
    except Exception as unforeseen:
        logger.error("message %d: %s", message.id, place(unforeseen))  # noqa: TRY400 - no content
        text = "The registry failed to process this message; it is kept and will be looked at."
        issues = (error("exception", text),)
        settlement = settlement_of(message, received, "refused", moment, issues)
        await inbox.refuse(context.database, settlement)
    return settlement.answer


def _refuse_reuse(context: Context, message: Message) -> None:
    if message.control_id and inbox.reused(context.database, message):
        text = f"MSH-10 {message.control_id} has been used before, with other content."
        raise FhirError(409, [error("duplicate", text, "MSH^1^10", "205")])


def source_of(message: Message, parsed: hl7v2.Message) -> Source | None:
    """Return who says what a message says, and when; None where it does not say when.

    What is said to come from the future is as new as its receipt.
    """
    told = hl7v2.told(parsed)
    if told is None:
        return None
    first, last = (min(microseconds(each), message.received) for each in told)
    return Source(message.sender, first, last, message.id, hl7v2.tells_who(parsed))


def settlement_of(
    message: Message,
    received: hl7v2.Message | bytes,
    status: Status,
    moment: datetime,
    issues: tuple[Issue, ...],
) -> Settlement:
    """Return what becomes of a message at a moment, with the answer that says so."""
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
