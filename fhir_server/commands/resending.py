"""Sending a FHIR request again that the inbox holds, as its sender would, but not over what is newer."""

from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlsplit

from fhir_server.app import application
from fhir_server.commands.local import local_client
from fhir_server.context import Context
from fhir_server.interactions.entries import Entry, entries
from fhir_server.interactions.targets import find
from fhir_server.rest.application import FhirApplication
from fhir_server.rest.keeping import REPLAYED, Sending, sent
from fhir_server.rest.reading import resource
from fhir_server.store import read as store
from fhir_server.store.inbox import Message
from fhir_server.store.read import Stored
from r4.issue import FhirError


class Resending:
    """Sends requests of the inbox again, by one application: each that is made reads all that are refused."""

    def __init__(self, made: Context) -> None:
        self._made = made

    @cached_property
    def _served(self) -> FhirApplication:
        return application(self._made)

    async def send_again(self, message: Message) -> str | None:
        """Send a request of the inbox again; returns why not, where that would do harm."""
        write = sent(message)
        if write is None:
            return "not replayed: it was too large, and its beginning alone is kept"
        if place := _overtaken(self._made, message, write):
            return f"not replayed: {place} has been changed since"
        await self._send(message, write)
        return None

    async def _send(self, message: Message, write: Sending) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await self._served({**scope, REPLAYED: message.id}, receive, send)

        headers = {"Content-Type": "application/fhir+json", **write.headers}
        async with local_client(app) as client:
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
