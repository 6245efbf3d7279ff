"""Work messages of the inbox again: what was refused, and what newer tables map better.

One child's messages are worked one after the other, oldest first; each is settled in the commit that
stores what it says, so that a replay which ends in the middle is gone on with by the same command.
"""

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from fhir_server.context import Context, instant
from fhir_server.interactions.dry_run import rehearse
from fhir_server.interactions.transaction import readable
from fhir_server.operations.lanes import Lanes, keys
from fhir_server.operations.policies import Policy, PolicyOf, usual
from fhir_server.operations.process_message import work
from fhir_server.store.inbox import Message
from mappings import hl7v2
from r4.issue import FhirError, Issue

_AT_ONCE = 32
"""Messages that are worked at the same time."""
_ONE_BY_ONE = frozenset({"one by one"})
"""The lane of what is no HL7 v2 message, and of what cannot be read."""
_DONE = {
    "would-create": "created",
    "would-update": "updated",
    "unchanged": "unchanged",
    "would-delete": "deleted",
}

Again = Callable[[Message], Awaitable[str | None]]
"""Works a message again; returns why not, where it was left as it is."""
Told = Callable[[Message, str | None], Awaitable[None]]
"""Is told of each message that was worked again, in order, and why not where it was not."""


async def replay(context: Context, messages: Iterable[Message], again: Again, told: Told) -> None:
    """Work messages again, many at once, one child's in their order."""
    lanes = Lanes()
    under_way = deque[tuple[Message, Awaitable[str | None]]]()
    for message in messages:
        job = partial(_driven, context, again, message)
        under_way.append((message, lanes.run(_lanes(message), job)))
        if len(under_way) >= _AT_ONCE:
            first, task = under_way.popleft()
            await told(first, await task)
    for message, task in under_way:
        await told(message, await task)


async def _driven(context: Context, again: Again, message: Message) -> str | None:
    async def worked() -> str | None:
        return await again(message)

    return await context.database.driven(worked())


def _lanes(message: Message) -> frozenset[str]:
    if not message.is_hl7v2:
        return _ONE_BY_ONE
    try:
        return keys(hl7v2.parse(message.raw))
    except FhirError:
        return _ONE_BY_ONE


async def release(context: Context, message: Message, policy_of: PolicyOf = usual) -> None:
    """Work a quarantined message as one whose control id says nothing; what fails is refused."""

    def accepting(connection: str | None) -> Policy:
        return policy_of(connection)._replace(reused="accept")

    await work(context, message, None, accepting)


class Rehearsed(NamedTuple):
    """What a replay of a message would come to: what refuses it, and what each resource would become."""

    refused: tuple[Issue, ...]
    done: dict[str, int]


def rehearsed(context: Context, message: Message) -> Rehearsed:
    """Say what a replay of an HL7 v2 message would come to; nothing is stored.

    done: how many resources would be created, updated, unchanged or deleted.
    """
    mapping = replace(context.mapping, now=instant(context.now()))
    try:
        bundle = hl7v2.to_bundle(hl7v2.parse(message.raw), mapping)
        issues = rehearse(context, readable(context, bundle, trusted=True))
    except FhirError as refusal:
        return Rehearsed(tuple(refusal.issues), {})
    errors = tuple(issue for issue in issues if issue.is_error)
    done = Counter(_DONE[str(issue.rule)] for issue in issues if issue.rule in _DONE)
    return Rehearsed(errors, {} if errors else dict(done))
