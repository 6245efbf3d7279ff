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
from fhir_server.operations.document import document as signed_document
from fhir_server.store.failure import place
from questionnaires.pdf import pdf
from r4.issue import FhirError
from r4.json import Resource, decode, encode
from r4.reference import literal

logger = logging.getLogger("csor.launch")

ATTEMPTS = 10
DELAY = 1.0
"""Seconds before the second attempt; twice as long before each one after: 17 minutes in all."""
_UNAUTHORISED = 401
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


class Related(NamedTuple):
    """An earlier note that a note corrects or adds to: how, its Composition, its document's identifier."""

    code: str
    composition: str
    identifier: Resource


class Note(NamedTuple):
    """A signed note: the place of its Composition, its document as it is stored, what it relates to."""

    composition: str
    content: bytes
    related: list[Related]


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
        composition = _composition(decode(answer))
        if composition is None or any(
            each["composition"] == composition for each in session.written
        ):
            return
        note = _note(self._context, composition)
        said = {"composition": composition, "status": "waiting"}
        session.written.append(said)
        task = asyncio.create_task(self._given(session, session.grant, note, said))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _given(self, session: Session, grant: Grant, note: Note, said: Resource) -> None:
        """Give a note to an EPR, and say in `said` what became of it. Never raises."""
        try:
            async with self._context.validating:  # one at a time, as whatever takes long is done
                print_ = await _printed(note)
            made = reference(note, print_, grant, session.written, instant(self._context.now()))
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


def reference(
    note: Note, print_: bytes | None, grant: Grant, written: list[Resource], now: str
) -> Resource:
    """Return the DocumentReference of a note, in the EPR's own references; now is an instant.

    print_: the PDF; None where it cannot be printed. written: what was given back in this session, which
    a correction or addendum names by its place; others it names by the document's identifier.
    """
    document = decode(note.content)
    composition = document["entry"][0]["resource"]
    stay = {"encounter": [{"reference": f"Encounter/{grant.encounter}"}]} if grant.encounter else {}
    places = {each["composition"]: each["place"] for each in written if "place" in each}
    related = [
        {"code": each.code, "target": _target(each, places.get(each.composition))}
        for each in note.related
    ]
    kinds = {"application/fhir+json": note.content, "application/pdf": print_}
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
                    "contentType": kind,
                    "data": b64encode(content).decode(),
                    "title": composition["title"],
                    "creation": document["timestamp"],
                }
            }
            for kind, content in kinds.items()
            if content is not None
        ],
        **({"context": stay} if stay else {}),
    }


def _target(related: Related, known: str | None) -> Resource:
    named = {"reference": known} if known else {}
    return {**named, "type": "DocumentReference", "identifier": related.identifier}


async def _printed(note: Note) -> bytes | None:
    """Return the PDF of a note, set in a thread; None where it cannot be: the document is given alone."""
    try:
        return await asyncio.to_thread(pdf, decode(note.content), note.content)
    except FhirError:
        logger.warning("a signed note cannot be printed: it is given back without its PDF")
        return None


def _composition(answer: Resource) -> str | None:
    """Return the place of the Composition that a transaction-response tells of, or None."""
    for entry in answer.get("entry", ()):
        found = literal(entry.get("response", {}).get("location", ""))
        if found is not None and found.type == "Composition":
            return f"Composition/{found.id}"
    return None


def _note(context: Context, composition: str) -> Note:
    """Return a signed note as it is stored; raises FhirError 404 where it has no document."""
    content = signed_document(context, composition.partition("/")[2])
    related = []
    for each in decode(content)["entry"][0]["resource"].get("relatesTo", ()):
        place = literal(each.get("targetReference", {}).get("reference", ""))
        if place is not None and place.type == "Composition":
            earlier = decode(signed_document(context, place.id))
            known = f"Composition/{place.id}"
            related.append(Related(each["code"], known, earlier["identifier"]))
    return Note(composition, content, related)
