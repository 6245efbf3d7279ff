"""Who objects to the use of which data: what the current Consents deny, by child and stream.

`objection` is made anew, for those concerned, in the transaction that changes what it comes from: a
Consent, or the links by which Patients are one person. Whoever reads for a use that is objected to reads
what `store.view` leaves; whoever publishes names the state that was read by (`changes`).
https://hl7.org/fhir/R4/consent.html
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from fhir_server.store import custody, jobs
from fhir_server.store.connection import Connection, Database, Row
from fhir_server.store.search.keys import bounds, place
from r4.json import Resource, decode
from r4.reference import literal
from terminology.systems import CSOR

HEALTH_RECORD, NATIONAL_DATA, PARENT_REPORTED = "health-record", "national-data", "parent-reported"
SURGEON_FEEDBACK, RESEARCH_EXTRACT = "surgeon-feedback", "research-extract"
STREAMS = (HEALTH_RECORD, NATIONAL_DATA, PARENT_REPORTED, SURGEON_FEEDBACK, RESEARCH_EXTRACT)
"""The streams of data and uses that can be objected to: the codes of CodeSystem/data-stream."""
STREAM = f"{CSOR}/CodeSystem/data-stream"

SEEN_AFTER = 1.0
"""Seconds after which every process has seen that somebody objects."""
_MANY = 500
"""Most values in one statement."""

Read = Callable[..., Sequence[Row]]
_SELECT = "SELECT whose, stream, consent, told, until FROM objection"
_Held = tuple[int, str, int, int, int | None]
"""A row of `objection`."""


class Denied(NamedTuple):
    """What a Consent denies: to the use of which streams, of which Patient (its place), until when."""

    streams: frozenset[str]
    child: int
    until: int | None


class Watch:
    """Whether anybody objects to anything, or is on another list: what a process has read of it.

    Once somebody does, it is asked no more: what is then read is filtered by the database itself.
    """

    def __init__(self, look: Callable[[Read], bool] | None = None) -> None:
        self._look = look or is_any
        self._read_at = float("-inf")
        self._found = False

    def is_any(self, read: Read) -> bool:
        """Tell whether anybody objects, or did so a second ago."""
        if self._found or time.monotonic() - self._read_at < SEEN_AFTER:
            return self._found
        return self.is_any_now(read)

    def is_any_now(self, read: Read) -> bool:
        """Tell whether anybody objects."""
        if not self._found:
            self._read_at = time.monotonic()
            self._found = self._look(read)
        return self._found

    def is_first(self, read: Read) -> bool:
        """Tell whether anybody objects and this process did not know of it."""
        return not self._found and self.is_any_now(read)


def denied(resource: Resource, now: int) -> Denied | None:
    """Return what a Consent denies, None where it denies nothing: a permit, or one not in force.

    now: microseconds. What begins later is denied at once.
    """
    provision = resource.get("provision", {})
    found = literal(resource.get("patient", {}).get("reference", ""))
    if resource.get("status") != "active" or provision.get("type") != "deny" or found is None:
        return None
    streams = {
        coding.get("code")
        for code in provision.get("code", ())
        for coding in code.get("coding", ())
        if coding.get("system") == STREAM
    }
    end = provision.get("period", {}).get("end")
    until = None if end is None else bounds(end)[1]
    known = streams.intersection(STREAMS)
    if not known or (until is not None and until < now):
        return None
    return Denied(frozenset(known), place("Patient", found.id), until)


def is_any(read: Read) -> bool:
    """Tell whether anybody objects to anything."""
    return bool(read("SELECT 1 FROM objection LIMIT 1"))


def changes(read: Read) -> int:
    """Return how often it has changed who objects to what."""
    found = read("SELECT changes FROM objection_state")
    return int(found[0][0]) if found else 0


def objects(read: Read, patient: str, streams: Sequence[str] = STREAMS) -> bool:
    """Tell whether anybody objects to one of several streams of a child's data."""
    whose = place("Patient", patient)
    found = read("SELECT stream FROM objection WHERE whose = ?", (whose,))
    return not {row[0] for row in found}.isdisjoint(streams)


def decide(connection: Connection, consents: Mapping[int, Denied | None]) -> None:
    """Go by Consents, given by their places, as they are from now on; None: it denies nothing."""
    before = _held(connection, "consent", consents)
    after = {
        (whose, stream, consent, denial.child, denial.until)
        for consent, denial in consents.items()
        if denial is not None
        for whose in _person(connection, denial.child)
        for stream in denial.streams
    }
    _replace(connection, before, after)


def renew(connection: Connection, children: Iterable[int]) -> None:
    """Make anew what is objected to about children, by their places, whose links may have changed."""
    wanted = {each for person in custody.persons(connection, list(children)) for each in person}
    before = _held(connection, "told", wanted)
    persons = {told: _person(connection, told) for told in {row[3] for row in before}}
    _replace(connection, before, {(one, *row[1:]) for row in before for one in persons[row[3]]})


def everyone(reader: custody.Reader) -> set[_Held]:
    """Return the whole of `objection`, as it follows from what is stored, what may run out aside."""
    found: set[_Held] = set()
    for at, updated, body in reader.read(
        "SELECT r.place, r.updated, c.body FROM resource AS r JOIN content AS c ON c.rid = r.rid"
        " WHERE r.type = 'Consent' AND r.superseded IS NULL AND NOT r.deleted"
    ):
        denial = denied(decode(body), updated)
        if denial is not None and denial.until is None:
            for whose in custody.persons(reader, [denial.child])[0]:
                found |= {(whose, each, at, denial.child, None) for each in denial.streams}
    return found


def held(read: Read) -> set[_Held]:
    """Return the rows of `objection`, what may run out aside."""
    return {_row(each) for each in read(f"{_SELECT} WHERE until IS NULL")}


def lapsed(read: Read, now: int) -> bool:
    """Tell whether an objection has run out by a moment, in microseconds, and is still gone by."""
    return bool(read("SELECT 1 FROM objection WHERE until < ? LIMIT 1", (now,)))


async def lapse(database: Database, now: int) -> None:
    """Go no longer by objections that have run out by a moment, in microseconds."""
    if lapsed(database.read, now):
        await database.write(partial(_lapse, now=now))


def forget(connection: Connection, places: Sequence[int]) -> None:
    """Take away what is known of Patients and Consents that are purged."""
    gone = _held(connection, "whose", places) | _held(connection, "consent", places)
    _replace(connection, gone, set())


def _lapse(connection: Connection, now: int) -> None:
    _replace(connection, _rows(connection, "WHERE until < ?", (now,)), set())


def _held(connection: Connection, column: str, values: Iterable[int]) -> set[_Held]:
    found: set[_Held] = set()
    listed = sorted(values)
    for start in range(0, len(listed), _MANY):
        among = connection.dialect.among(column, listed[start : start + _MANY])
        found |= _rows(connection, f"WHERE {among.text}", among.parameters)
    return found


def _rows(connection: Connection, where: str, values: Sequence[int]) -> set[_Held]:
    return {_row(each) for each in connection.read(f"{_SELECT} {where}", values)}


def _row(row: Row) -> _Held:
    whose, stream, consent, told, until = row
    return whose, stream, consent, told, until


def _replace(connection: Connection, before: set[_Held], after: set[_Held]) -> None:
    """Put rows in the place of others; what was written for whoever objects now is not given out."""
    for whose, stream, consent, *_ in before - after:
        connection.execute(
            "DELETE FROM objection WHERE whose = ? AND stream = ? AND consent = ?",
            (whose, stream, consent),
        )
    if added := sorted(after - before, key=lambda row: row[:3]):
        connection.insert({"objection": added})
    was, now = {row[:2] for row in before}, {row[:2] for row in after}
    if now - was:
        jobs.cancel_reading(connection)
    if now != was:
        connection.execute(
            "INSERT INTO objection_state (id, changes) VALUES (1, 1)"
            " ON CONFLICT (id) DO UPDATE SET changes = objection_state.changes + 1"
        )


def _person(connection: Connection, child: int) -> set[int]:
    return custody.persons(connection, [child])[0]
