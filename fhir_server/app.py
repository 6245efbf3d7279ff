"""The composition root: the only place where the parts meet, and where clock and ids enter."""

import asyncio
import contextlib
import logging
import os
import ssl
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import uvicorn
from fastapi import FastAPI

from fhir_server import mllp
from fhir_server.access import LOCAL, Callers, Clients, refuse_open_doors
from fhir_server.access.grants import Grants
from fhir_server.access.jwks import fetcher
from fhir_server.access.keys import Keys, signing_key
from fhir_server.access.pseudonyms import refuse_useless
from fhir_server.access.rates import Rates
from fhir_server.access.senders import Listener
from fhir_server.access.senders import senders as registered_senders
from fhir_server.access.sessions import Lasting, Sessions
from fhir_server.access.tokens import Tokens
from fhir_server.context import Context, Knowledge, instant, microseconds
from fhir_server.interactions.capabilities import release
from fhir_server.operations import quality_of_life
from fhir_server.operations.audit_seals import sealing
from fhir_server.operations.lanes import Lanes
from fhir_server.operations.notify import notifying
from fhir_server.operations.outcomes_follow import following
from fhir_server.operations.outcomes_process import Finder, InThread
from fhir_server.operations.outcomes_remade import remake
from fhir_server.operations.receive import finish
from fhir_server.operations.reception import Reception
from fhir_server.operations.working import work_off
from fhir_server.rest import (
    authorize,
    keys,
    launch,
    oauth,
    openapi,
    pages,
    registration,
    sign_in,
    sign_in_development,
    surveys,
)
from fhir_server.rest.application import FhirApplication
from fhir_server.rest.hl7v2 import Hl7v2Application
from fhir_server.rest.limits import Limited
from fhir_server.rest.metrics import metrics
from fhir_server.rest.reading import resource
from fhir_server.rest.transport import Arriving, headers, protocol
from fhir_server.settings import Settings
from fhir_server.store import inbox
from fhir_server.store.audit import Trail
from fhir_server.store.connection import reading
from fhir_server.store.database import open_database
from fhir_server.store.failure import place
from fhir_server.store.renewal import renew, under_way
from mappings import layers
from outcome_engine.parameter_files.watched import Watched

T = TypeVar("T")
logger = logging.getLogger("csor")

_SEEN: tuple[tuple[str, Callable[[mllp.Counts], int], str], ...] = (
    ("connections", lambda counts: counts.connections, "Accepted."),
    ("handshakes_failed", lambda counts: counts.handshakes_failed, "Not opened: TLS failed."),
    ("frames", lambda counts: counts.frames, "Frames read."),
    ("oversize", lambda counts: counts.oversize, "Frames too large."),
    ("commits", lambda counts: counts.commits, "Blocks of MLLP release 2, passed over."),
    ("skipped_bytes", lambda counts: counts.skipped_bytes, "Bytes outside a frame, passed over."),
)
"""What is counted of MLLP connections: name, where it is counted, and what it says."""
_SWEPT = 30.0
"""Seconds between two looks for messages that were received and are not settled."""
_OVERDUE = 30_000_000
"""Microseconds after which a message that is not settled is looked for: most are within a few thousand."""
_TENDED = 1.0
"""Seconds between two looks whether something was loaded, or a renewal of the index announced."""


def clock() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


def served_at(settings: Settings) -> str:
    """Return the base URL of the FHIR endpoint: the public one, else the address served."""
    host = "127.0.0.1" if settings.fhir_host in ("0.0.0.0", "::") else settings.fhir_host  # noqa: S104
    scheme = "http" if settings.tls_certificate is None else "https"
    return settings.base_url or f"{scheme}://{host}:{settings.fhir_port}/fhir"


def context(
    settings: Settings,
    *,
    apart: bool = False,
    now: Callable[[], datetime] = clock,
    new_id: Callable[[], str] | None = None,
) -> Context:
    """Open the database and put together what every interaction is given.

    apart: what is written is committed by a process of its own, which a server has the use of.
    """
    forms = quality_of_life.forms(settings.quality_of_life, instant(now()))
    engine = layers.engine(settings.mappings)  # a fault in it must leave nothing open
    refuse_useless(settings)
    parameters = Watched(settings.parameters, settings.signatories)
    database = open_database(settings.database, apart=apart)
    signing = Keys(signing_key(settings))
    return Context(
        database=database,
        knowledge=Knowledge(database, engine),
        forms=forms,
        now=now,
        new_id=new_id or _Ids(),
        settings=settings,
        base_url=served_at(settings),
        principal=LOCAL,
        audit=Trail(database, now, settings.journals),
        seal=signing.seal,
        jwks=signing.jwks,
        parameters=parameters,
    )


class _Ids:
    """Random UUIDs (version 4), the system asked for many at once: each call gives way to other threads.

    Any thread may ask: no id is given twice.
    """

    def __init__(self) -> None:
        self._random: list[bytes] = []

    def __call__(self) -> str:
        """Return an id that nobody can guess."""
        try:
            drawn = self._random.pop()
        except IndexError:
            many = os.urandom(16 * 256)
            drawn, *others = (many[at : at + 16] for at in range(0, len(many), 16))
            self._random.extend(others)
        return str(uuid.UUID(bytes=drawn, version=4))


async def alone(settings: Settings, work: Callable[[Context], Coroutine[Any, Any, T]]) -> T:
    """Do a command's work with a context of its own, and close that."""
    made = context(settings)
    try:
        await made.database.driven(renew(made.database))
        await made.audit.recover()
        return await made.database.driven(work(made))
    finally:
        await made.audit.flush()
        made.database.close()


def application(made: Context, reception: Reception | None = None) -> FhirApplication:
    """Return the ASGI application: the FHIR endpoint under /fhir, and what is beside it.

    That is `/health`, `/metrics`, the public keys, the tokens, the sessions, the pages, and `/hl7v2`
    where there is a reception for HL7 v2.
    """
    app = FastAPI(title="CSOR", version=release(), docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health")
    async def health() -> dict[str, object]:
        """Answer with what waits in the inbox, which says whether the server works."""
        held, _ = await asyncio.to_thread(inbox.backlog, made.database)
        return {"status": "ok", "inbox": held}

    made.database.limit(made.settings.query_seconds)
    settings = made.settings
    lasting = Lasting(
        timedelta(minutes=settings.session_idle_minutes), timedelta(hours=settings.session_hours)
    )
    sessions = Sessions(made.now, made.base_url, lasting, embedded=bool(settings.epr_origins))
    asking = surveys.Door(made)
    given = oauth.Giving(Tokens(made.now), Grants(made.now))
    callers = Callers(Clients(made.settings.clients), sessions, asking.sittings, given.tokens)
    fetch = fetcher(made.settings.jwks_private_hosts)
    rates = reception.rates if reception is not None else Rates(made.settings)
    giving = oauth.Door(made, callers, given, fetch, rates)
    app.add_route("/metrics", metrics(made, callers))
    app.router.routes.extend([*pages.routes(made), *keys.routes(made)])
    launching = launch.Door(made, sessions)
    signing_in = sign_in.Door(made, sessions, given, fetch)
    app.router.routes.extend([*launching.routes(), *asking.routes(), *giving.routes()])
    app.router.routes.extend(registration.Door(made).routes())
    app.router.routes.extend(signing_in.routes())
    app.router.routes.extend(authorize.Door(made, callers, sessions, given.grants).routes())
    if made.settings.demo:
        app.router.routes.extend(sign_in_development.Door(made, callers).routes())
    app.router.routes.extend(openapi.routes(app.router.routes))
    made.metrics.watch(
        "csor_throttled_total", "counter", "Requests refused with 429.", lambda: rates.refused
    )
    limited = Limited(app, rates)
    beside = limited if reception is None else Hl7v2Application(reception, callers, limited)
    return FhirApplication(made, callers, beside, rates, launching.signed)


def refuse(made: Context) -> None:
    """Raise ValueError where a door would be open to anybody, or the file of keys is useless.

    And unless a sandbox is served as one, and nothing else is.
    """
    refuse_open_doors(made.settings)
    made.jwks()
    registration.refuse_other(made)


@asynccontextmanager
async def running(
    made: Context, finder: Finder | None = None
) -> AsyncIterator[tuple[str, tuple[mllp.Server, ...], "HttpServer"]]:
    """Serve every door until left; yields the FHIR base URL, the MLLP listeners and the HTTP server.

    finder: finds outcomes anew; by default a thread of this process.

    Raises ValueError where a door would be open to callers that cannot be told apart, or where the
    file of keys that sign documents is useless; where it is not there yet, it is made.
    """
    settings = made.settings
    refuse(made)
    senders = registered_senders(settings)
    lanes = Lanes()
    reception = Reception(made, lanes, senders)
    server = _server(made, reception)
    made.metrics.watch(
        "csor_lanes_busy", "gauge", "Children whose messages are worked.", lambda: lanes.busy
    )
    await _begin(made)
    if not await _is_renewing(made):
        await _finish(made, reception)
    async with contextlib.AsyncExitStack() as doors:
        tending = asyncio.create_task(_tend(made, reception))
        doors.push_async_callback(_ended, tending)
        sweeping = asyncio.create_task(_sweep(made, reception))
        doors.push_async_callback(_ended, sweeping)
        listening = [
            await doors.enter_async_context(_listening(reception, each, settings.max_body))
            for each in senders.listeners
        ]
        _watch(made, listening)
        working = asyncio.create_task(work_off(made, resource))
        doors.push_async_callback(_ended, working)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            if serving.done():
                await serving
                raise OSError(f"the FHIR endpoint could not open port {settings.fhir_port}")
            await asyncio.sleep(0.01)
        await doors.enter_async_context(sealing(made))
        if settings.subscriptions:
            await doors.enter_async_context(notifying(made))
        if settings.outcomes:
            await doors.enter_async_context(following(made, finder or InThread(made), remake))
        try:
            yield made.base_url, tuple(listening), server
        finally:
            server.should_exit = True
            await serving
            await made.audit.flush()


async def _begin(made: Context) -> None:
    """Store what a killed server had recorded, and go by what is loaded, before anybody is answered."""
    await made.audit.recover()
    await made.knowledge.renewed()


def _server(made: Context, reception: Reception) -> "HttpServer":
    """Return the server of the HTTP doors, which has not begun to serve.

    Raises ValueError where the files for TLS are not there, or do not belong together.
    """
    settings = made.settings
    arriving = Arriving(settings.request_seconds, settings.max_url, settings.max_headers)
    files, encrypted = None, None
    if settings.tls_certificate is not None and settings.tls_key is not None:
        files = mllp.Files(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
        encrypted = mllp.context(files)
    config = uvicorn.Config(
        application(made, reception), settings.fhir_host, settings.fhir_port,
        log_level="warning", access_log=False, lifespan="off",
        proxy_headers=False, server_header=False, ws="none", http=protocol(arriving),
        headers=headers(made.base_url),
        ssl_context_factory=None if encrypted is None else lambda *_: encrypted,
    )  # fmt: skip
    return HttpServer(config, files, encrypted)


def _watch(made: Context, listening: Sequence[mllp.Server]) -> None:
    """Let the metrics tell what the listeners have seen."""

    def seen(count: Callable[[mllp.Counts], int]) -> int:
        return sum(count(each.counts) for each in listening)

    for name, count, about in _SEEN:
        made.metrics.watch(f"csor_mllp_{name}_total", "counter", about, partial(seen, count))


@asynccontextmanager
async def _listening(
    reception: Reception, listener: Listener, largest: int
) -> AsyncIterator[mllp.Server]:
    """Listen for MLLP connections until left."""
    given = {
        name: value
        for name in ("connections", "idle_seconds")
        if (value := getattr(listener, name)) is not None
    }
    files = None
    if listener.certificate is not None and listener.key is not None:
        files = mllp.Files(listener.certificate, listener.key, listener.client_ca)
    server = await mllp.serve(
        listener.host,
        listener.port,
        reception.receive,
        on_oversize=reception.oversize,
        limits=mllp.Limits(frame=listener.frame or largest, pace=reception.paced, **given),
        files=files,
    )
    try:
        yield server
    finally:
        await server.close()


async def _is_renewing(made: Context) -> bool:
    return await reading(made.database, lambda: under_way(made.database.read)) is not None


async def _finish(made: Context, reception: Reception, until: int | None = None) -> None:
    if left := await finish(made, reception.lanes, reception.policy_of, until):
        logger.info("looked through %d messages that had been received and not settled", left)


async def _sweep(made: Context, reception: Reception) -> None:
    """Work through, now and then, what was kept when the writer ended and is nobody's work any more."""
    while True:
        await asyncio.sleep(_SWEPT)
        try:
            if not await _is_renewing(made):
                await _finish(made, reception, microseconds(made.now()) - _OVERDUE)
        except Exception as failure:
            logger.error("what was received is not worked: %s", place(failure))  # noqa: TRY400 - no content


async def _tend(made: Context, reception: Reception) -> None:
    """See what has been loaded; carry renewals of the index through, then the messages that waited."""
    while True:
        try:
            if await made.knowledge.renewed():
                logger.info("packages or terminologies have been loaded: the server goes by them")
            if await _is_renewing(made):
                logger.info("the search index is being made anew; searches are answered with 503")
                slices = await made.database.driven(renew(made.database))
                logger.info("the search index is new, after %d commits", slices)
                await _finish(made, reception)
        except Exception as failure:
            logger.error("the search index is not made anew: %s", place(failure))  # noqa: TRY400 - no content
        await asyncio.sleep(_TENDED)


async def _ended(task: asyncio.Task[None]) -> None:
    """End a task in the middle of its work."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class HttpServer(uvicorn.Server):
    """Uvicorn without its signal handlers: the command decides when to stop, and to read files anew."""

    def __init__(
        self, config: uvicorn.Config, files: mllp.Files | None, encrypted: ssl.SSLContext | None
    ) -> None:
        super().__init__(config)
        self.files, self._tls = files, encrypted

    def renew(self) -> None:
        """Shake hands by what the files for TLS hold now; raises ValueError as they are no good."""
        if self.files is not None and self._tls is not None:
            mllp.context(self.files)  # the context in use is only touched where this one is made
            mllp.renew(self._tls, self.files)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield
