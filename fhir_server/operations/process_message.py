"""Process one HL7 v2 message that the inbox holds: map it, store what it says, and answer.

The answer is kept with the message, in the commit that stores what it says. HL7 v2.4 §2.9.
"""

from dataclasses import replace
from datetime import datetime

from fhir_server.context import Context, instant, microseconds
from fhir_server.interactions.erased import is_of_erased
from fhir_server.interactions.source import Source
from fhir_server.interactions.transaction import transaction
from fhir_server.operations import duplicates
from fhir_server.operations.acknowledge import london
from fhir_server.operations.lanes import keys
from fhir_server.operations.parked import blocker, freed, misled
from fhir_server.operations.policies import Policy, PolicyOf, usual
from fhir_server.operations.unforeseen import unforeseen
from fhir_server.operations.unmerge import completed
from fhir_server.store import inbox
from fhir_server.store.apart import WriterEndedError
from fhir_server.store.inbox import Message, Settlement, Status
from fhir_server.store.parking import park, repoint
from mappings import hl7v2
from r4.issue import FhirError, Issue, error

_UNAVAILABLE = 503


def map_version(context: Context) -> str:
    """Return which tables a message is mapped with now."""
    return context.knowledge.engine.version


async def work(
    context: Context,
    message: Message,
    parsed: hl7v2.Message | None = None,
    policy_of: PolicyOf = usual,
) -> bytes:
    """Map and store a message that the inbox holds, settle it there, and return its answer.

    parsed: what its bytes say, where somebody has read them already. policy_of: what is agreed with whom.

    Where the same message has been settled meanwhile, on another connection, its answer is this one's.
    One that is processed is mapped anew and keeps its answer. What waited for the message, and need not
    any more, is worked before this returns.
    """
    settled = await _worked(context, message, parsed, policy_of)
    if settled is None:
        found = inbox.read(context.database, message.id)
        if found is None or found.answer is None:
            raise inbox.SettledError
        return found.answer
    if settled.corrects or (message.waits_for is not None and settled.waits_for is None):
        await go_on(context, policy_of)
    return settled.answer


async def go_on(context: Context, policy_of: PolicyOf = usual) -> int:
    """Work the parked messages that nothing holds up any more, oldest first; returns how many."""
    done: set[int] = set()
    while ready := [each for each in freed(context.database) if each not in done]:
        for number in ready:
            message = inbox.read(context.database, number)
            if message is not None:
                await _worked(context, message, None, policy_of)
        done.update(ready)
    if done:
        for number, other in misled(context.database):
            await repoint(context.database, number, other, _waits(other))
    return len(done)


async def _worked(
    context: Context, message: Message, parsed: hl7v2.Message | None, policy_of: PolicyOf
) -> Settlement | None:
    """Return what became of a message; None where it has been settled for good meanwhile.

    Where the writer ended nobody knows what is stored: a second attempt finds out, for what is settled
    cannot be settled again.
    """
    policy, began = policy_of(message.connection), context.now()
    try:
        try:
            settled = await _work(context, message, parsed, policy)
        except WriterEndedError:
            settled = await _work(context, message, parsed, policy)
    except inbox.SettledError:
        return None
    seconds = (context.now() - began).total_seconds()
    context.metrics.message(
        message.door, message.hospital, message.kind, settled.code, max(0.0, seconds)
    )
    return settled


async def _work(
    context: Context, message: Message, parsed: hl7v2.Message | None, policy: Policy
) -> Settlement:
    moment = context.now()
    received: hl7v2.Message | bytes = message.raw
    bundle = None
    try:
        received = parsed = parsed or hl7v2.parse(message.raw)
        if aside := await _set_aside(context, message, parsed, policy, moment):
            return aside
        mapping = replace(context.mapping, now=instant(moment))
        bundle = hl7v2.to_bundle(parsed, mapping)
        settlement = replace(
            settlement_of(context, message, received, "processed", moment, ()),
            corrects=_corrects(context, message, policy),
            again=_again(message),
        )
        bundle = await completed(context, bundle)
        source = source_of(message, parsed)
        await transaction(context, bundle, trusted=True, settlement=settlement, source=source)
    except FhirError as refusal:
        issues = refusal.issues
        if refusal.status == _UNAVAILABLE:  # it stays received, and is worked through later
            return settlement_of(context, message, received, "refused", moment, issues)
        await duplicates.note(context, bundle, refusal)
    except (inbox.SettledError, WriterEndedError):
        raise
    except Exception as failure:
        issues = (unforeseen(message.id, failure),)
    else:
        return settlement
    settlement = settlement_of(context, message, received, "refused", moment, issues)
    return await _recorded(context, message, settlement, policy)


def _again(message: Message) -> int | None:
    """Return how often a message that is processed was worked before; None of any other."""
    return (message.attempts or 0) if message.status == "processed" else None


def _corrects(context: Context, message: Message, policy: Policy) -> tuple[int, ...]:
    """Return the refused messages that a message stands for: a sender that says what is what mends them."""
    if policy.reused == "accept" or not message.namesakes or message.status == "processed":
        return ()
    return inbox.corrected(context.database, message)


async def _set_aside(
    context: Context, message: Message, parsed: hl7v2.Message, policy: Policy, moment: datetime
) -> Settlement | None:
    """Quarantine or park a message where the policy asks for it; returns what became of it then."""
    if message.status == "processed":
        return None
    if policy.reused == "quarantine" and _is_reused(context, message):
        text = (
            f"MSH-10 {message.control_id} has been used before, with other content. The message is "
            f"kept as number {message.id}: send it with an MSH-10 of its own, or ask the registry "
            "to release it."
        )
        issues = (error("duplicate", text, "MSH^1^10", "205"),)
        kept = settlement_of(context, message, parsed, "quarantined", moment, issues)
        return await _recorded(context, message, kept, policy)
    while policy.failing == "park":
        first = blocker(context.database, message, keys(parsed))
        if first is None:
            return None
        issues = (error("conflict", _waits(first), "MSH^1^10", "206"),)
        kept = settlement_of(context, message, parsed, "parked", moment, issues)
        kept = replace(kept, waits_for=first)
        if await park(context.database, kept):
            return kept
    return None


def _is_reused(context: Context, message: Message) -> bool:
    return (
        bool(message.control_id) and message.namesakes and inbox.reused(context.database, message)
    )


def _waits(number: int) -> str:
    return (
        f"The message waits for message {number} about the same child, which failed: it is kept, and "
        f"worked once that one has been mended. It need not be sent again."
    )


async def _recorded(
    context: Context, message: Message, settlement: Settlement, policy: Policy
) -> Settlement:
    """Record a refusal durably; what is processed stays so, with a note beside it.

    Where the policy parks, later messages of the child wait for one whose content failed (AE): one that is
    refused as such (AR) tells nothing that they build on.
    """
    if message.status == "processed":
        note = f"not mapped anew with {settlement.map_version}: {settlement.reason}"
        await inbox.annotate(context.database, message.id, note)
        return settlement
    if policy.failing == "park" and settlement.code == "AE" and not settlement.is_emptied:
        settlement = replace(settlement, waits_for=message.id)
    await inbox.refuse(context.database, settlement)
    return settlement


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
    context: Context,
    message: Message,
    received: hl7v2.Message | bytes,
    status: Status,
    moment: datetime,
    issues: tuple[Issue, ...],
) -> Settlement:
    """Return what becomes of a message at a moment, with the answer that says so."""
    now, code = london(moment), hl7v2.ack_code(issues)
    answer = hl7v2.ack(
        received, code=code, issues=issues, control_id=f"CSOR{message.id}", now=now
    )  # fmt: skip
    reason = "; ".join(issue.diagnostics for issue in issues) or None
    return Settlement(
        message.id, status, microseconds(moment), answer, reason, map_version(context), code,
        is_emptied=is_of_erased(issues),
    )  # fmt: skip
