"""`inbox`: see what arrived and was refused, and send it through again once the cause is mended."""

import asyncio
import contextlib
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from fhir_server.access.senders import DOORS
from fhir_server.app import alone, application, context
from fhir_server.context import Context
from fhir_server.interactions.entries import Entry, entries
from fhir_server.interactions.targets import find
from fhir_server.operations.process_message import work
from fhir_server.operations.receive import withheld
from fhir_server.rest.keeping import REPLAYED, Sending, sent
from fhir_server.rest.reading import resource
from fhir_server.settings import Settings
from fhir_server.store import inbox
from fhir_server.store import read as store
from fhir_server.store.inbox import Message, SettledError, Status
from fhir_server.store.read import Stored
from r4.issue import FhirError


def listing(settings: Settings, status: Status) -> None:
    """Print the messages of one status: number, door, sender, control id and reason; no content."""
    made = context(settings)
    try:
        for message in inbox.every(made.database, status):
            what = message.control_id if message.door in DOORS else message.target
            print(f"{message.id}\t{message.door}\t{message.sender}\t{what}\t{message.reason or ''}")
        print(
            ", ".join(f"{n} {s}" for s, n in sorted(inbox.tally(made.database).items())) or "empty"
        )
    finally:
        made.database.close()


def replay(settings: Settings, numbers: list[int]) -> int:
    """Process refused messages again, all of them or those named, and print what became of each.

    Returns exit status 1 where a message that was named cannot be sent again.
    """
    return asyncio.run(alone(settings, lambda made: _replay(made, numbers)))


async def _replay(made: Context, numbers: list[int]) -> int:
    named = [(number, inbox.read(made.database, number)) for number in numbers]
    refused = [message for _, message in named if message and message.status == "refused"]
    for number, message in named:
        if message is None or message.status != "refused":
            status = message.status if message else "unknown"
            print(f"{number}\t{status}\tnot replayed: only refused messages are")
    for message in refused if numbers else inbox.every(made.database, "refused"):
        reason = await _again(made, message)
        after = inbox.read(made.database, message.id)
        if after is not None:
            print(f"{message.id}\t{after.status}\t{reason or after.reason or ''}")
    return int(len(refused) < len(numbers))


async def _again(made: Context, message: Message) -> str | None:
    """Send one message through again; returns why not, where that would do harm."""
    if message.door in DOORS:
        if why := withheld(message):
            return f"not replayed: {why}"
        with contextlib.suppress(SettledError):
            await work(made, message)
        return None
    write = sent(message)
    if write is None:
        return "not replayed: it was too large, and its beginning alone is kept"
    if place := _overtaken(made, message, write):
        return f"not replayed: {place} has been changed since"
    await _send(made, message, write)
    return None


async def _send(made: Context, message: Message, write: Sending) -> None:
    served = application(made)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await served({**scope, REPLAYED: message.id}, receive, send)

    headers = {"Content-Type": "application/fhir+json", **write.headers}
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 0))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        await client.request(
            write.method, write.url, content=write.raw,
            headers=[(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        )  # fmt: skip


def _overtaken(made: Context, message: Message, write: Sending) -> str | None:
    """Return a resource that the write would replace by what is older than it, or None."""
    for entry in _updates(made, write):
        try:
            found = _current(made, entry)
        except FhirError:
            continue  # the replay will say what is wrong with it
        if found is not None and found.updated > message.received:
            return f"{found.type}/{found.id}"
    return None


def _updates(made: Context, write: Sending) -> list[Entry]:
    """Return the updates that a write asks for, those aside that name the version they follow."""
    parts = urlsplit(write.url)
    if write.method == "PUT":
        kind, _, name = parts.path.removeprefix("/fhir/").partition("/")
        listed = [Entry("PUT", kind, unquote(name) or None, query=parts.query)]
        return [] if "If-Match" in write.headers else listed
    try:
        bundle = resource(write.raw)
        listed = entries(bundle, made.settings.max_entries) if bundle.get("entry") else []
    except FhirError:
        return []
    return [each for each in listed if each.method == "PUT" and each.if_match is None]


def _current(made: Context, entry: Entry) -> Stored | None:
    if entry.id is not None:
        return store.current(made.database, entry.type, entry.id)
    _, found = find(made, entry.type, entry.query or "")
    return found[0] if len(found) == 1 else None
