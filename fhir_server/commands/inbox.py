"""`inbox`, `replay`, `dismiss`, `release`: see what arrived, and decide about what was not processed."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from fhir_server.access.senders import senders
from fhir_server.app import alone, context
from fhir_server.commands.resending import Resending
from fhir_server.context import Context, instant, microseconds
from fhir_server.operations import replay as operation
from fhir_server.operations.policies import PolicyOf, agreed
from fhir_server.operations.process_message import go_on, map_version, work
from fhir_server.operations.receive import withheld
from fhir_server.settings import Settings
from fhir_server.store import inbox
from fhir_server.store.inbox import Chosen, Message, Status
from fhir_server.store.search.keys import bounds

_STATUSES = ("refused", "quarantined", "parked", "received", "dismissed", "processed")
_REPLAYED = ("refused", "parked", "dismissed", "processed")
_SHOWN = 500
"""Messages after which a replay says how far it is."""
_KEPT = {
    "received": "the server works it by itself",
    "quarantined": "release or dismiss it",
    "processed": "with --processed it is mapped anew",
}
"""Why a message of a status is not replayed."""


def add_arguments(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the commands about the inbox."""
    listed = add(
        "inbox", "List what arrived and was not processed, and why; or anything else of it."
    )
    listed.add_argument("--status", choices=_STATUSES, default="refused")
    _add_filters(listed)
    listed.set_defaults(run=lambda given: listing(Settings(), _chosen(given, given.status)))
    again = add("replay", "Work messages again: refused ones, or processed ones with newer tables.")
    again.add_argument(
        "number", type=int, nargs="*", help="inbox numbers; none: all that are chosen"
    )
    again.add_argument("--status", choices=_REPLAYED, default="refused")
    again.add_argument(
        "--processed", action="store_const", const="processed", dest="status",
        help="those that other tables have mapped than those of this release",
    )  # fmt: skip
    again.add_argument("--map-version", help="those that these tables have mapped")
    again.add_argument("--dry-run", action="store_true", help="say what would become of each")
    _add_filters(again)
    again.set_defaults(run=_run_replay)
    dismissed = add("dismiss", "Set a message aside for good, that was refused or waits.")
    dismissed.add_argument("number", type=int)
    dismissed.add_argument("--reason", required=True, help="kept beside the message")
    dismissed.set_defaults(run=lambda given: dismiss(Settings(), given.number, given.reason))
    released = add("release", "Work a quarantined message: its control id says nothing.")
    released.add_argument("number", type=int)
    released.set_defaults(run=lambda given: release(Settings(), given.number))


def _add_filters(command: argparse.ArgumentParser) -> None:
    command.add_argument("--sender", help="as the list shows it: MSH-3|MSH-4, or a client's name")
    command.add_argument("--hospital", help="MSH-4")
    command.add_argument("--kind", help="as ADT^A08")
    command.add_argument("--since", help="what arrived since a date or an instant")
    command.add_argument("--until", help="what arrived before a date or an instant")


def _chosen(given: argparse.Namespace, status: Status) -> Chosen:
    """Return what the arguments choose; raises ValueError for a date that is none."""
    return Chosen(
        status, given.sender, given.hospital, given.kind,
        bounds(given.since)[0] if given.since else None,
        bounds(given.until)[0] if given.until else None,
    )  # fmt: skip


def listing(settings: Settings, chosen: Status | Chosen) -> None:
    """Print the chosen messages: number, arrival, door, hospital, kind, sender, id, reason; no content."""
    made = context(settings)
    try:
        for message in inbox.every(made.database, chosen):
            print(_line(message))
        print(
            ", ".join(f"{n} {s}" for s, n in sorted(inbox.tally(made.database).items())) or "empty"
        )
    finally:
        made.database.close()


def _line(message: Message) -> str:
    moment = instant(datetime.fromtimestamp(message.received / 1_000_000, UTC))
    what = message.control_id if message.is_hl7v2 else message.target
    why = "; ".join(each for each in (message.reason, message.note) if each)
    told = (
        str(message.id), moment, message.door, message.hospital or "-", message.kind or "-",
        message.sender, what, f"{message.attempts or 0} attempts", why,
    )  # fmt: skip
    return "\t".join(told)


def _run_replay(given: argparse.Namespace) -> int:
    chosen = replace(_chosen(given, given.status), map_version=given.map_version)
    return replay(Settings(), given.number, chosen, dry_run=given.dry_run)


def replay(
    settings: Settings,
    numbers: list[int],
    chosen: Chosen = Chosen("refused"),  # noqa: B008 - frozen
    *,
    dry_run: bool = False,
    policy_of: PolicyOf | None = None,
) -> int:
    """Work messages again, those chosen or those named, and print what became of each.

    A dry run changes nothing, and prints what would become of each. Returns exit status 1 where a message
    that was named is not worked again.
    """
    by = policy_of or agreed(senders(settings))
    run = _Replay(chosen, dry_run=dry_run, policy_of=by)
    return asyncio.run(alone(settings, lambda made: run(made, numbers)))


class _Replay:
    """One run of the command."""

    def __init__(self, chosen: Chosen, *, dry_run: bool, policy_of: PolicyOf) -> None:
        self.chosen, self.dry_run, self.policy_of = chosen, dry_run, policy_of
        self.done = 0

    async def __call__(self, made: Context, numbers: list[int]) -> int:
        self.made, self.resending = made, Resending(made)
        if self.chosen.status == "processed" and self.chosen.map_version is None:
            self.chosen = replace(self.chosen, not_version=map_version(made))
        if not numbers:
            self.all = inbox.count(made.database, self.chosen)
            await self._replayed(inbox.every(made.database, self.chosen))
            return 0
        named = [(number, inbox.read(made.database, number)) for number in numbers]
        fit = [message for _, message in named if message and self._is_replayed(message)]
        for number, message in named:
            if message is None or not self._is_replayed(message):
                status = message.status if message else "unknown"
                why = _KEPT.get(status, "there is no such message")
                print(f"{number}\t{status}\tnot replayed: {why}")
        self.all = len(fit)
        await self._replayed(iter(sorted(fit, key=lambda message: message.id)))
        return int(len(fit) < len(numbers))

    def _is_replayed(self, message: Message) -> bool:
        if message.status == "processed":
            return self.chosen.status == "processed"
        return message.status in _REPLAYED

    async def _replayed(self, messages: Iterator[Message]) -> None:
        if self.dry_run:
            for message in messages:
                print(_rehearsal(self.made, message))
            return
        await operation.replay(self.made, messages, self._again, self._told)
        await go_on(self.made, self.policy_of)

    async def _again(self, message: Message) -> str | None:
        """Work one message again; returns why not, where it is left as it is."""
        if why := withheld(message):
            return f"not replayed: {why}"
        if not message.is_hl7v2:
            if message.status == "processed":
                return "not replayed: it is a FHIR request, and no table maps it"
            return await self.resending.send_again(message)
        if message.status == "dismissed":
            await inbox.reopen(self.made.database, message.id)
        await work(self.made, message, None, self.policy_of)
        return None

    async def _told(self, message: Message, why: str | None) -> None:
        after = inbox.read(self.made.database, message.id)
        if after is not None:
            print(f"{message.id}\t{after.status}\t{why or after.note or after.reason or ''}")
        self.done += 1
        if self.done % _SHOWN == 0:
            print(f"{self.done} of {self.all}", file=sys.stderr)


def _rehearsal(made: Context, message: Message) -> str:
    if not message.is_hl7v2:
        return f"{message.id}\tnot rehearsed\tit is a FHIR request: $validate says what it would do"
    if why := withheld(message):
        return f"{message.id}\tnot replayed\t{why}"
    found = operation.rehearsed(made, message)
    if found.refused:
        return f"{message.id}\twould be refused\t" + "; ".join(i.diagnostics for i in found.refused)
    done = (f"{many} {what}" for what, many in sorted(found.done.items()))
    return f"{message.id}\twould be accepted\t{', '.join(done)}"


def dismiss(settings: Settings, number: int, reason: str, policy_of: PolicyOf | None = None) -> int:
    """Set a message aside for good, and work what waited for it; returns exit status 1 without one."""
    by = policy_of or agreed(senders(settings))

    async def dismissed(made: Context) -> int:
        moment = microseconds(made.now())
        if not await inbox.dismiss(made.database, number, moment, f"dismissed: {reason}"):
            print(f"{number} is no message that was refused, or waits")
            return 1
        freed = await go_on(made, by)
        print(f"{number}\tdismissed\t{freed} messages that waited for it have been worked")
        return 0

    return asyncio.run(alone(settings, dismissed))


def release(settings: Settings, number: int, policy_of: PolicyOf | None = None) -> int:
    """Work a quarantined message; returns exit status 1 where it is none, or is refused."""
    by = policy_of or agreed(senders(settings))

    async def released(made: Context) -> int:
        message = inbox.read(made.database, number)
        if message is None or message.status != "quarantined":
            print(f"{number} is no message that is quarantined")
            return 1
        await operation.release(made, message, by)
        after = inbox.read(made.database, number)
        status = after.status if after else "unknown"
        print(f"{number}\t{status}\t{(after and after.reason) or ''}")
        return int(status != "processed")

    return asyncio.run(alone(settings, released))
