"""What is kept of a write that was refused, in a form that can be sent again: nothing sent is lost.

A refused write stays in the inbox until the same request succeeds, by its sender or by `replay`.
What was refused because the server is at another state (412) is not kept: sent again later, it would
undo what others have written since. Nor is what its sender may not do (403): the operator might.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from urllib.parse import quote

from fhir_server.context import Context, microseconds
from fhir_server.interactions.entries import Entry
from fhir_server.interactions.erased import is_of_erased
from fhir_server.rest.request import Request
from fhir_server.store import inbox
from fhir_server.store.connection import Database
from fhir_server.store.failure import place
from fhir_server.store.inbox import Arrival, Message, SettledError, Settlement
from r4.issue import FhirError, Issue, operation_outcome
from r4.json import Resource, decode, encode

logger = logging.getLogger("csor.rest")

REPLAYED = "csor.replayed"
"""The key of an ASGI scope that holds the number of the message that is being sent again."""
BEGINNING = 64 * 1024
"""How much is kept of a body that is larger than is taken."""
_HEADERS = ("If-None-Exist", "If-Match", "Content-Type", "Content-Encoding")
_USUAL = ("application/fhir+json", "application/json")
_OVERSIZE = "oversize "
_UNKEPT = frozenset({403, 412, 429})
_LOOKED = 10.0
"""Seconds between two looks for what of a sender's refused writes has been settled elsewhere."""
_SAFE = "%/?:@!$&'()*+,;=~|-._"


@dataclass(frozen=True, slots=True)
class Sending:
    """A write as it was sent: method, path with query, the headers that change what it does, body."""

    method: str
    url: str
    raw: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """Write everything but the body on one line: `METHOD url {"header": "value"}`."""
        listed = [encode(self.headers).decode()] if self.headers else []
        return " ".join([self.method, self.url, *listed])


def write(request: Request, raw: bytes, *, encoded: bool = False) -> Sending:
    """Return the write that a request is; `encoded` where its body is as its Content-Encoding says."""
    query = quote(request.query, _SAFE)
    url = quote(request.path, _SAFE.replace("%", "")) + (f"?{query}" if query else "")
    given = {name: value for name in _HEADERS if (value := request.header(name)) is not None}
    if given.get("Content-Type", "").partition(";")[0].strip().lower() in _USUAL:
        del given["Content-Type"]
    if not encoded:
        given.pop("Content-Encoding", None)
    return Sending(request.method, url, raw, given)


def sent(message: Message) -> Sending | None:
    """Return the write that a message of the inbox holds; None where only its beginning was kept."""
    if message.target.startswith(_OVERSIZE):
        return None
    method, url, *listed = message.target.split(" ", 2)
    headers = decode(listed[0]) if listed else {}
    return Sending(method, url, message.raw, headers)


class Refusals:
    """Which refused writes the inbox holds, by sender: most have none, and their writes need no query.

    Read from the inbox once; from then on it is told of every refusal, so there is one process that
    serves a database. What `replay`, which is another, has settled is looked for in vain, no more.
    """

    def __init__(self, database: Database, quota: int) -> None:
        self._database, self.quota = database, quota
        self._of: dict[str, dict[str, int]] = {}
        self._held: Counter[str] = Counter()
        self._looked: dict[str, float] = {}
        for sender, control_id, size in inbox.refusals(database, "http"):
            self.add(sender, control_id, size)

    def add(self, sender: str, control_id: str, size: int) -> None:
        """Take note of a refused write of so many bytes."""
        listed = self._of.setdefault(sender, {})
        self._held[sender] += size - listed.get(control_id, 0)
        listed[control_id] = size

    def discard(self, sender: str, control_id: str) -> None:
        """Forget one that is settled."""
        self._held[sender] -= self._of.get(sender, {}).pop(control_id, 0)

    def has_room(self, arrival: Arrival) -> bool:
        """Tell whether one more may be kept of its sender, or this one is kept already.

        Before one is turned away it is looked, now and then, what `replay` and `dismiss` have settled.
        """
        sender, size = arrival.sender, _size(arrival)
        if self.has(arrival) or self._held[sender] + size <= self.quota:
            return True
        if monotonic() - self._looked.get(sender, -_LOOKED) < _LOOKED:
            return False
        self._looked[sender] = monotonic()
        self._of.pop(sender, None)
        del self._held[sender]
        for each, control_id, held in inbox.refusals(self._database, "http", sender):
            self.add(each, control_id, held)
        return self._held[sender] + size <= self.quota

    def has_any(self, sender: str) -> bool:
        """Tell whether a sender has refused writes."""
        return bool(self._of.get(sender))

    def has(self, arrival: Arrival) -> bool:
        """Tell whether an arrival is the same as a refused write."""
        return arrival.control_id in self._of.get(arrival.sender, ())


@dataclass(frozen=True, slots=True)
class Keeper:
    """Keeps what one sender's request came to; `replayed` is the message that it sends again."""

    context: Context
    path: str
    refusals: Refusals
    replayed: int | None = None

    @property
    def settles(self) -> bool:
        """Whether a write of this sender that succeeds may be one that was refused before."""
        return self.replayed is not None or self.refusals.has_any(self.context.principal.name)

    async def accepted(self, write: Sending, answer: bytes) -> None:
        """Settle the refused message that this write, now stored, is the same as."""
        arrival = self._arrival(write)
        if self.replayed is None and not self.refusals.has(arrival):
            return
        try:
            number = self.replayed or inbox.refused(self.context.database, arrival)
            if number is not None:
                moment = microseconds(self.context.now())
                await inbox.accept(self.context.database, number, moment, answer)
            self.refusals.discard(arrival.sender, arrival.control_id)
        except SettledError:
            return
        except Exception as failure:
            logger.error("a stored write's message is not settled: %s", place(failure))  # noqa: TRY400 - no content

    async def refused(
        self, write: Sending, refusal: FhirError, *, oversize: bool = False
    ) -> FhirError:
        """Keep a refused write, of one that is too large its beginning; returns what is answered.

        That is the refusal, which says so where nothing more is kept of this sender.
        """
        is_emptied = is_of_erased(refusal.issues)
        if (refusal.status in _UNKEPT or is_emptied) and self.replayed is None:
            return refusal
        moment = microseconds(self.context.now())
        answer = encode(operation_outcome(refusal.issues))
        reason = "; ".join(issue.diagnostics for issue in refusal.issues)
        database = self.context.database
        try:
            if self.replayed is not None:
                settlement = Settlement(
                    self.replayed, "refused", moment, answer, reason, is_emptied=is_emptied
                )
                await inbox.refuse(database, settlement)
            else:
                arrival = self._arrival(write, oversize=oversize)
                if not self.refusals.has_room(arrival):
                    return self._not_kept(refusal)
                self.refusals.add(arrival.sender, arrival.control_id, _size(arrival))
                await inbox.keep(database, arrival, moment, answer, reason)
        except SettledError:
            pass
        except Exception as failure:
            logger.error("a refused write is not kept: %s", place(failure))  # noqa: TRY400 - no content
        return refusal

    def _not_kept(self, refusal: FhirError) -> FhirError:
        """Return a refusal that says that it is not kept, and what is to be done about it."""
        name, quota = self.context.principal.name, self.refusals.quota
        logger.warning("a refused write of %s is not kept: it has %d bytes of them", name, quota)
        text = (
            f"This refused write is not kept: the {quota} bytes that are kept of {name} are full. Send "
            "this again once it is mended; those that are kept can be sent right, or be dismissed by "
            "the registry."
        )
        return FhirError(refusal.status, [*refusal.issues, Issue("warning", "throttled", text)])

    async def entry(self, entry: Entry, answer: Resource, refusal: FhirError | None) -> None:
        """Keep, or settle, one entry of a batch as the request that it stands for."""
        alone = Keeper(self.context, self.path, self.refusals)
        if refusal is not None:
            told = await alone.refused(_of_entry(self.path.rstrip("/"), entry), refusal)
            answer["response"]["outcome"] = operation_outcome(told.issues)
        elif alone.settles:
            await alone.accepted(_of_entry(self.path.rstrip("/"), entry), encode(answer))

    def _arrival(self, write: Sending, *, oversize: bool = False) -> Arrival:
        raw = write.raw[:BEGINNING] if oversize else write.raw
        target = f"{_OVERSIZE}{write.target}" if oversize else write.target
        sha256 = hashlib.sha256(raw).hexdigest()
        sender = self.context.principal.name
        return Arrival("http", sender, f"{target} {sha256}", sha256, target, raw)


def _size(arrival: Arrival) -> int:
    return len(arrival.raw)


def _of_entry(base: str, entry: Entry) -> Sending:
    url = f"{base}/{entry.type}" + (f"/{quote(entry.id, '$/')}" if entry.id else "")
    criteria = None if entry.query is None else quote(entry.query, _SAFE)
    headers = {}
    if criteria is not None and entry.method == "POST":
        headers["If-None-Exist"] = criteria
    elif criteria is not None:
        url += f"?{criteria}"
    if entry.if_match is not None:
        headers["If-Match"] = entry.if_match
    return Sending(entry.method, url, encode(entry.resource), headers)
