"""What an interaction is given: the database, the terminology, the clock, ids and who asks.

Time and ids come from here alone, so that tests can fix them.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from fhir_server.settings import Settings
from fhir_server.store.audit import Trail
from fhir_server.store.connection import Database
from mappings.hl7v2 import MappingContext
from r4.json import Resource
from terminology import Terminology


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a name for the audit, and the roles that the access layer knows."""

    name: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Context:
    """Everything outside a function's arguments that it may use."""

    database: Database
    terminology: Terminology
    forms: Mapping[str, Resource]
    mapping: MappingContext
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    settings: Settings
    base_url: str
    principal: Principal
    audit: Trail
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one write that is tried again; `alone` while no other one may begin."""
    alone: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    """Set where an asynchronous job waits to be worked off, or removed."""
    _began: list[datetime] = field(default_factory=list)

    def asked_by(self, principal: Principal) -> "Context":
        """Return this context for another principal."""
        return replace(self, principal=principal)

    @contextmanager
    def underway(self) -> Iterator[None]:
        """Remember, while a write is planned and stored, when it began."""
        moment = self.now()
        self._began.append(moment)
        try:
            yield
        finally:
            self._began.remove(moment)

    def settled(self) -> datetime:
        """Return a moment up to which every version that this server stamps is stored by now."""
        return min([self.now(), *self._began])


def instant(moment: datetime) -> str:
    """Write a moment as a FHIR instant in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def microseconds(moment: datetime) -> int:
    """Write a moment as microseconds since 1970-01-01 UTC."""
    return int(moment.timestamp() * 1_000_000)
