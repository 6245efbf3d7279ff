"""Reading of one kind of resource as it stands, or as it stood at a moment: the same questions, one answer.

A moment is inclusive: what was stored at it counts. What has been purged since is gone from the past too.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import urlencode

from fhir_server.context import Context, microseconds
from fhir_server.store import past
from fhir_server.store import read as store
from fhir_server.store.connection import Database
from fhir_server.store.read import Stored
from fhir_server.store.seen import used
from fhir_server.store.uses import MEASURING
from r4.json import Resource, decode
from r4.reference import literal

READ_AT_ONCE = 500
"""Versions that are read together; others are served between two such parts."""
_PAUSE = 0.001
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Resources of a type: by search parameters, and the same said of one resource.

    about: ids of Patients, one of which it concerns; None for any.
    """

    type: str
    criteria: Mapping[str, str]
    about: frozenset[str] | None
    fits: Callable[[Resource], bool]


class Reading(Protocol):
    """Where records are read from."""

    def every(self, wanted: Wanted) -> list[Resource]:
        """Return all that is wanted, in the order in which it was stored."""
        ...


@dataclass(frozen=True, slots=True)
class Present:
    """What stands now."""

    database: Database

    def every(self, wanted: Wanted) -> list[Resource]:
        """Return what the index finds."""
        found = store.every(self.database, wanted.type, urlencode(wanted.criteria))
        return [decode(stored.body) for stored in found]


@dataclass(slots=True)
class Past:
    """What stood at a moment: what the index finds and is as old, and what has been replaced since.

    The index is asked before the history: what is replaced in between is found by the one or the other.
    """

    database: Database
    moment: int
    looked: int = 0
    held: dict[str, dict[int, Resource]] = field(default_factory=dict)
    concerning: dict[tuple[str, str], set[int]] = field(default_factory=dict)

    def every(self, wanted: Wanted) -> list[Resource]:
        """Return what the index finds, and what no longer stands."""
        found = store.every(self.database, wanted.type, urlencode(wanted.criteria))
        standing = {each.rid: each.body for each in found if each.updated <= self.moment}
        self._look()
        among = {rid: each for rid, each in self._gone(wanted) if wanted.fits(each)}
        among |= {rid: decode(body) for rid, body in standing.items() if rid not in among}
        return [among[rid] for rid in sorted(among)]

    def _gone(self, wanted: Wanted) -> Iterable[tuple[int, Resource]]:
        """Return what no longer stands, of a type and about some Patients, by its rows."""
        held = self.held[wanted.type]
        if wanted.about is None:
            return held.items()
        rids = {rid for id in wanted.about for rid in self.concerning.get((wanted.type, id), ())}
        return [(rid, held[rid]) for rid in rids]

    def _look(self) -> None:
        """Look at what was stored since the last look: little, once the first one is done."""
        newest = store.snapshot(self.database)
        if newest > self.looked:
            rows = (self.looked + 1, newest)
            kinds = tuple(self.held)
            rids = past.replaced(self.database, kinds, self.moment, rows)
            for start in range(0, len(rids), READ_AT_ONCE):
                self.hold(store.by_rid(self.database, rids[start : start + READ_AT_ONCE]))
            self.looked = newest

    def hold(self, versions: Collection[Stored]) -> None:
        """Hold versions that stood at the moment and stand no more."""
        for each in versions:
            resource = decode(each.body)
            self.held[each.type][each.rid] = resource
            for id in concerned(resource):
                self.concerning.setdefault((each.type, id), set()).add(each.rid)


async def reading(context: Context, at: datetime | None, kinds: Sequence[str]) -> Reading:
    """Return where to read some types from: as they stand or, given a moment, as they stood at it.

    Of whoever objects now, to being measured, nothing is read, of no moment.
    """
    database = used(context.database, MEASURING)
    if at is None:
        return Present(database)
    moment = microseconds(at)
    made = Past(database, moment, held={kind: {} for kind in kinds})
    newest = store.snapshot(database)
    first = past.first_after(database, moment)
    while first is not None and first <= newest:
        last = min(first + past.SLICE - 1, newest)
        rids = past.replaced(database, kinds, moment, (first, last))
        for start in range(0, len(rids), READ_AT_ONCE):
            made.hold(store.by_rid(database, rids[start : start + READ_AT_ONCE]))
            await asyncio.sleep(0)
        first = last + 1
        await asyncio.sleep(0)
    made.looked = newest
    return made


async def settled(context: Context) -> datetime:
    """Return a whole millisecond, now, as of which everything can be read again exactly as it is.

    It waits until what began to be written up to then is stored: whoever was told that something is
    stored finds it in a report as of this moment, and nothing will be stored under an earlier time.
    """
    now = context.now()
    moment = now.replace(microsecond=now.microsecond // 1000 * 1000) + _MILLISECOND
    await asyncio.sleep((moment - now).total_seconds())
    while (stored := context.settled()) <= moment and stored != context.now():
        await asyncio.sleep(_PAUSE)
    return moment


def concerned(resource: Resource) -> set[str]:
    """Return the ids of the Patients whom a resource concerns: of a Patient, itself and its links."""
    if resource["resourceType"] != "Patient":
        found = child(resource)
        return {found} if found else set()
    others = (patient_of(link.get("other", {})) for link in resource.get("link", ()))
    return {resource["id"], *(id for id in others if id)}


def child(resource: Resource) -> str | None:
    """Return the id of the Patient whom a resource is about, None where it is none of this server."""
    return patient_of(resource.get("patient") or resource.get("subject") or {})


def patient_of(reference: Resource) -> str | None:
    """Return the id of the Patient that a Reference means, None where it is none of this server."""
    text = reference.get("reference")
    found = literal(text) if isinstance(text, str) else None
    return found.id if found and found.type == "Patient" and found.base is None else None
