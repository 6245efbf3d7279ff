"""Give a signed note back to the EPR that launched it, as a DocumentReference.

The note is signed and stored by then: what the EPR answers changes nothing of it, and is told in
`GET /session`. What waits is held in memory, with the tokens that it needs, as sessions are.
https://hl7.org/fhir/R4/documentreference.html
"""

import asyncio
import logging
from base64 import b64encode
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from fhir_server.access.asking import Ask, RefusedError
from fhir_server.access.launch import Grant, Launches
from fhir_server.access.sessions import Session
from fhir_server.context import Context, instant
from fhir_server.store import read as store
from fhir_server.store.failure import place
from r4.issue import FhirError
from r4.json import Resource, decode, encode
from r4.reference import literal

logger = logging.getLogger("csor.launch")

ATTEMPTS = 10
DELAY = 1.0
"""Seconds before the second attempt; twice as long before each one after: 17 minutes in all."""
_UNAUTHORISED = 401
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


class Note(NamedTuple):
    """A signed document as it is stored: its Bundle's and its Composition's place, and its bytes."""

    bundle: str
    composition: str
    content: bytes


class WriteBacks:
    """What is on its way to EPRs, each document a task of its own."""

    def __init__(
        self, context: Context, launches: Launches, ask: Ask, *, delay: float = DELAY
    ) -> None:
        self._context, self._launches, self._ask, self._delay = context, launches, ask, delay
        self._tasks: set[asyncio.Task[None]] = set()

    def signed(self, session: Session, answer: bytes) -> None:
        """Begin to give back the document that a transaction-response says was stored, if that is allowed."""
        if session.grant is None or not session.told.get("writeBack"):
            return
        note = _stored(self._context, decode(answer))
        if note is None or any(each["document"] == note.bundle for each in session.written):
            return
        said = {"document": note.bundle, "composition": note.composition, "status": "waiting"}
        session.written.append(said)
        made = reference(note, session.grant, session.written, instant(self._context.now()))
        task = asyncio.create_task(self._given(session.grant, made, said))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _given(self, grant: Grant, made: Resource, said: Resource) -> None:
        """Give a DocumentReference to an EPR, and say in `said` what became of it. Never raises."""
        try:
            found = await self._tried(grant, made)
        except FhirError as refusal:
            said |= {"status": "refused", "text": refusal.issues[0].diagnostics}
            logger.warning("epr %s does not take a signed note back", grant.epr.name)
        except Exception as unforeseen:
            said |= {"status": "refused", "text": "The registry failed to write to it."}
            logger.error("a signed note is not given back: %s", place(unforeseen))  # noqa: TRY400
        else:
            said |= {"status": "written", "place": f"DocumentReference/{found.get('id')}"}

    async def _tried(self, grant: Grant, made: Resource) -> Mapping[str, Any]:
        """Try until it is taken; raises FhirError where it is refused, or was tried often enough."""
        content, number = encode(made), made["masterIdentifier"]
        once = f"identifier={number['system']}|{number['value']}"
        post = partial(
            self._ask, f"{grant.epr.issuer}/DocumentReference", resource=content, once=once
        )
        for attempt in range(ATTEMPTS):
            if self._context.now() >= grant.expires:
                await self._launches.refreshed(grant)
            try:
                return await post(token=grant.access)
            except FhirError as failure:
                answered = failure.answered if isinstance(failure, RefusedError) else 503
                if answered == _UNAUTHORISED and attempt == 0:
                    await self._launches.refreshed(grant)
                    continue
                if answered not in _TRANSIENT or attempt == ATTEMPTS - 1:
                    raise
            await asyncio.sleep(self._delay * 2**attempt)
        raise AssertionError("the last attempt returns or raises")


def reference(note: Note, grant: Grant, written: list[Resource], now: str) -> Resource:
    """Return the DocumentReference of a note, in the EPR's own references; now is an instant.

    written: what was given back in this session before, which a correction or addendum relates to.
    """
    document = decode(note.content)
    composition = document["entry"][0]["resource"]
    stay = {"encounter": [{"reference": f"Encounter/{grant.encounter}"}]} if grant.encounter else {}
    related = [
        {"code": each["code"], "target": {"reference": before["place"]}}
        for each in composition.get("relatesTo", ())
        for before in written
        if before["composition"] == each.get("targetReference", {}).get("reference")
        and "place" in before
    ]
    return {
        "resourceType": "DocumentReference",
        "masterIdentifier": document["identifier"],
        "status": "current",
        "docStatus": composition["status"],
        "type": composition["type"],
        "subject": {"reference": f"Patient/{grant.patient}"},
        "date": now,
        "author": [{"reference": f"{grant.user.type}/{grant.user.id}"}],
        **({"relatesTo": related} if related else {}),
        "content": [
            {
                "attachment": {
                    "contentType": "application/fhir+json",
                    "data": b64encode(note.content).decode(),
                    "title": composition["title"],
                    "creation": document["timestamp"],
                }
            }
        ],
        **({"context": stay} if stay else {}),
    }


def _stored(context: Context, answer: Resource) -> Note | None:
    """Return the document that a transaction-response tells of, or None."""
    places: dict[str, str] = {}
    for entry in answer.get("entry", ()):
        found = literal(entry.get("response", {}).get("location", ""))
        if found is not None:
            places[found.type] = found.id
    if not {"Bundle", "Composition"} <= places.keys():
        return None
    stored = store.current(context.database, "Bundle", places["Bundle"])
    if stored is None or stored.deleted:
        return None
    return Note(f"Bundle/{places['Bundle']}", f"Composition/{places['Composition']}", stored.body)
