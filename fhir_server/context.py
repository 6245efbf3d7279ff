"""What an interaction is given: the database, the terminology, the clock, ids and who asks.

Time and ids come from here alone, so that tests can fix them.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import NamedTuple

import questionnaires
from fhir_server.settings import Settings
from fhir_server.store import suppression
from fhir_server.store.audit import Trail
from fhir_server.store.audit_row import NOBODY, Agent
from fhir_server.store.concepts.releases import Systems
from fhir_server.store.connection import Database, reading
from fhir_server.store.metrics import Metrics
from fhir_server.store.objections import Watch
from fhir_server.store.packages import Held, generation
from fhir_server.store.scoped import Scoped
from fhir_server.store.seen import Seen, lettered, used, whole
from fhir_server.store.told import now as told_now
from fhir_server.store.uses import Use
from fhir_server.store.view import view
from mappings.hl7v2 import Engine, MappingContext, own
from outcome_engine.parameter_files.parameter_file import NONE, Parameters
from profiles import Options
from profiles.findings import Resolve
from questionnaires.seal import Seal
from r4 import artefacts
from r4.definitions.catalogue import Catalogue
from r4.json import Resource
from terminology import Terminology

HOSPITAL = "hospital"
"""The role of a hospital's own systems, which see its children alone."""
ANALYST = "analyst"
"""The role of whoever sees every child and is not told who it is (`rest.pseudonymised`)."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a name for the audit, and the roles that the access layer knows.

    patient: the one child that is seen, as `Patient/1`; None for whoever is not confined to one. Whoever
    is signs as `practitioner` and for `hospital`, local references as well. hospitals: ODS codes whose
    children the role of a hospital's system sees and writes for. scopes: the SMART scopes that were
    granted; None for whoever is not limited by scopes. purpose: why it asks, a code of v3-ActReason. rate:
    requests a second, None for the usual. only: the one Patient, as `Patient/1`, of whose record alone an app
    sees anything that was launched with it. scoped: what the queries of its scopes narrow.
    """

    name: str
    roles: frozenset[str]
    patient: str | None = None
    practitioner: str | None = None
    hospital: str | None = None
    hospitals: frozenset[str] = frozenset()
    scopes: tuple[str, ...] | None = None
    purpose: str | None = None
    rate: float | None = None
    only: str | None = None
    scoped: tuple[Scoped, ...] = ()

    @property
    def is_narrowed(self) -> bool:
        """Whether it is one that sees a part alone: a hospital's, or a child's, whatever else it may be."""
        return HOSPITAL in self.roles or self.only is not None

    @property
    def is_analyst(self) -> bool:
        """Whether it is one that is answered in pseudonyms, whatever else it may be."""
        return ANALYST in self.roles


def agent_of(principal: Principal | None) -> Agent:
    """Return a principal as the audit has it, None being nobody known, and where it asks from."""
    made, told = NOBODY if principal is None else _agent(principal), told_now()
    if told is None or told.address is None:
        return made
    return Agent(made.name, made.role, made.hospital, made.purpose, told.address)


@lru_cache(maxsize=1024)
def _agent(principal: Principal) -> Agent:
    roles = " ".join(sorted(principal.roles)) or None
    hospitals = " ".join(sorted(principal.hospitals)) or principal.hospital
    return Agent(principal.name, roles, hospitals, principal.purpose)


PACKAGES = ("terminology", "profiles", "questionnaires", "mappings", "outcome_engine")
"""The packages whose artefacts are the server's own."""


def carried(package: str) -> tuple[Resource, ...]:
    """Return the artefacts of a package as the server goes by them: forms assembled."""
    return questionnaires.artefacts() if package == "questionnaires" else artefacts.load(package)


class _Told(NamedTuple):
    """What is loaded: the generation of packages; id, digest and state of releases."""

    generation: int
    releases: tuple[tuple[int, str, str], ...]


class Knowledge:
    """What the server goes by: definitions and terminologies, its own, R4's, and those loaded.

    As they are at one moment; `renew` looks whether something has been loaded since. The `engine` that
    HL7 v2 is mapped by stays as it was at start.
    """

    def __init__(self, database: Database, engine: Engine | None = None) -> None:
        self._database = database
        self._engine = engine
        self.systems = Systems(database)
        self._loaded: _Told | None = None
        self.renew()

    def renew(self) -> bool:
        """Go by what is loaded now; returns whether that is something else than before."""
        return self._go_by(self._told())

    async def renewed(self) -> bool:
        """Go by what is loaded now, large code systems in memory; returns whether that is something else.

        They are read beside whoever is answered, who goes by what was known before until they are.
        """
        told = await reading(self._database, self._told)
        if told == self._loaded and self.systems.is_held:
            return False
        holding = asyncio.create_task(asyncio.to_thread(self.systems.hold))
        try:
            await asyncio.shield(holding)
        except asyncio.CancelledError:
            await holding  # the thread cannot be stopped, and reads a database that stays open
            raise
        return self._go_by(told)

    @property
    def engine(self) -> Engine:
        """Return what HL7 v2 is mapped by; our own tables are compiled when they are first needed."""
        return self._engine or own()

    @property
    def told(self) -> str:
        """Return what is loaded, as a text that is another one when that is something else."""
        return repr(self._loaded)

    def _told(self) -> _Told:
        return _Told(generation(self._database), self.systems.releases())

    def _go_by(self, told: _Told) -> bool:
        if told == self._loaded:
            return False
        self._loaded = told
        own = (each for package in PACKAGES for each in carried(package))
        self.catalogue = Catalogue.of(own, Held(self._database), told.generation)
        self.terminology = Terminology(self.catalogue, self.systems)
        self.mapping = MappingContext(self.terminology, engine=self._engine)
        return True


@dataclass(frozen=True, slots=True)
class Context:
    """Everything outside a function's arguments that it may use."""

    database: Database
    knowledge: Knowledge
    forms: Mapping[str, Resource]
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    settings: Settings
    base_url: str
    principal: Principal
    audit: Trail
    seal: Seal
    """Signs documents, by the key of this server."""
    jwks: Callable[[], Resource]
    """Gives the public keys, by which what is sealed is verified."""
    parameters: Parameters = NONE
    """What measures are computed with that need signed parameters, as it is at any moment."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one write that is tried again; `alone` while no other one may begin."""
    alone: asyncio.Lock = field(default_factory=asyncio.Lock)
    validating: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one validation, or scorecard, that is done in a thread."""
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    """Set where an asynchronous job waits to be worked off, or removed."""
    suppressions: Watch = field(default_factory=partial(Watch, suppression.is_any))
    """Whether anybody was erased who may not come back."""
    metrics: Metrics = field(default_factory=Metrics)
    """What this process has counted since it started."""
    _began: list[datetime] = field(default_factory=list)

    @property
    def agent(self) -> Agent:
        """Who asks, as the audit has it."""
        return agent_of(self.principal)

    @property
    def terminology(self) -> Terminology:
        """The terminology service over what is known."""
        return self.knowledge.terminology

    @property
    def mapping(self) -> MappingContext:
        """What HL7 v2 is mapped with."""
        return self.knowledge.mapping

    def checked(
        self,
        resource_type: str,
        *profiles: str,
        warnings: bool = True,
        resolve: Resolve | None = None,
    ) -> Options:
        """Return how a resource is validated: by the default profiles of its type, and those named.

        Without warnings, only what refuses it is looked for. resolve: finds what it refers to.
        """
        severity = self.settings.nhs_number_severity
        return Options(
            profiles=(*self.settings.default_profiles.get(resource_type, ()), *profiles),
            structures=self.knowledge.catalogue,
            warnings=warnings,
            nhs_severity=None if severity == "off" else severity,
            resolve=resolve,
        )

    def asked_by(self, principal: Principal) -> "Context":
        """Return this context for another principal; a hospital's sees a part of the database.

        So does that of scopes with queries: by those of reading and searching, if not `by_letters`.
        """
        database = whole(self.database)
        if principal.is_narrowed or principal.scoped:
            hospitals = sorted(principal.hospitals) if HOSPITAL in principal.roles else None
            database = Seen(database, view(hospitals, principal.only, principal.scoped))
        return replace(self, principal=principal, database=database)

    def by_letters(self, letters: str) -> "Context":
        """Return this context with the database as the queries of some letters of its scopes leave it."""
        if not self.principal.scoped:
            return self
        return replace(self, database=lettered(self.database, letters))

    def steady(self) -> "Context":
        """Return this context with the parameters of this moment, for what must be by one set of them."""
        return replace(self, parameters=self.parameters.now())

    def used_for(self, use: Use) -> "Context":
        """Return this context with the database as the registry reads it for a use.

        A hospital's, and that of a session about one child, stay as they are: whoever asks treats the child.
        That somebody is the first to object is seen within the second that recording it takes.
        """
        database = self.database
        treats = self.principal.is_narrowed or self.principal.patient is not None
        if treats or not database.objections.is_any(whole(database).read):
            return self
        return replace(self, database=used(database, use))

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
