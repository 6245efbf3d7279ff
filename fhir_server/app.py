"""The composition root: the only place where the parts meet, and where clock and ids enter."""

import asyncio
import contextlib
import logging
import os
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import uvicorn
from fastapi import FastAPI

import questionnaires
from fhir_server import mllp
from fhir_server.access import LOCAL, clients, refuse_open_doors
from fhir_server.context import Context, Knowledge
from fhir_server.interactions.capabilities import release
from fhir_server.operations.lanes import Lanes
from fhir_server.operations.notify import notifying
from fhir_server.operations.receive import finish, receive, refuse_oversize
from fhir_server.operations.working import work_off
from fhir_server.rest.application import FhirApplication
from fhir_server.rest.reading import resource
from fhir_server.rest.transport import GatheringProtocol
from fhir_server.settings import Settings
from fhir_server.store import inbox
from fhir_server.store.audit import Trail
from fhir_server.store.connection import reading
from fhir_server.store.database import open_database
from fhir_server.store.failure import place
from fhir_server.store.renewal import renew, under_way

T = TypeVar("T")
logger = logging.getLogger("csor")

_TENDED = 1.0
"""Seconds between two looks whether something was loaded, or a renewal of the index announced."""


def clock() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


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
    host = "127.0.0.1" if settings.fhir_host in ("0.0.0.0", "::") else settings.fhir_host  # noqa: S104
    database = open_database(settings.database, apart=apart)
    return Context(
        database=database,
        knowledge=Knowledge(database),
        forms=questionnaires.forms(),
        now=now,
        new_id=new_id or _Ids(),
        settings=settings,
        base_url=settings.base_url or f"http://{host}:{settings.fhir_port}/fhir",
        principal=LOCAL,
        audit=Trail(database, now),
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
        return await made.database.driven(work(made))
    finally:
        made.database.close()


def application(made: Context) -> FhirApplication:
    """Return the ASGI application: the FHIR endpoint under /fhir, and FastAPI for what is beside it."""
    app = FastAPI(title="CSOR", version=release(), docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health")
    async def health() -> dict[str, object]:
        """Answer with what the inbox holds, which says whether the server works."""
        held = await reading(made.database, lambda: inbox.tally(made.database))
        return {"status": "ok", "inbox": held}

    return FhirApplication(made, clients(made.settings.clients), app)


@asynccontextmanager
async def running(made: Context) -> AsyncIterator[tuple[str, int | None]]:
    """Serve both doors until left; yields the FHIR base URL and the MLLP port."""
    settings = made.settings
    refuse_open_doors(settings)
    config = uvicorn.Config(
        application(made), settings.fhir_host, settings.fhir_port,
        log_level="warning", access_log=False, lifespan="off",
        proxy_headers=False, server_header=False, http=GatheringProtocol,
    )  # fmt: skip
    server = _Server(config)
    lanes = Lanes()
    await made.knowledge.renewed()
    if not await _is_renewing(made):
        await _finish(made, lanes)
    async with contextlib.AsyncExitStack() as doors:
        tending = asyncio.create_task(_tend(made, lanes))
        doors.push_async_callback(_ended, tending)
        port = None
        if settings.mllp:

            def handle(frame: bytes, _peer: str) -> asyncio.Task[bytes]:
                return receive(made, lanes, frame)

            def oversize(beginning: bytes, _peer: str) -> asyncio.Task[bytes]:
                return asyncio.create_task(refuse_oversize(made, beginning))

            listener = await mllp.serve(
                settings.mllp_host,
                settings.mllp_port,
                handle,
                on_oversize=oversize,
                limits=mllp.Limits(frame=settings.max_body),
            )
            doors.push_async_callback(listener.close)
            port = listener.port
        working = asyncio.create_task(work_off(made, resource))
        doors.push_async_callback(_ended, working)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            if serving.done():
                await serving
                raise OSError(f"the FHIR endpoint could not open port {settings.fhir_port}")
            await asyncio.sleep(0.01)
        if settings.subscriptions:
            await doors.enter_async_context(notifying(made))
        try:
            yield made.base_url, port
        finally:
            server.should_exit = True
            await serving
            await made.audit.flush()


async def _is_renewing(made: Context) -> bool:
    return await reading(made.database, lambda: under_way(made.database.read)) is not None


async def _finish(made: Context, lanes: Lanes) -> None:
    if left := await finish(made, lanes):
        logger.info("worked through %d messages that an earlier run had received", left)


async def _tend(made: Context, lanes: Lanes) -> None:
    """See what has been loaded; carry renewals of the index through, then the messages that waited."""
    while True:
        try:
            if await made.knowledge.renewed():
                logger.info("packages or terminologies have been loaded: the server goes by them")
            if await _is_renewing(made):
                logger.info("the search index is being made anew; searches are answered with 503")
                slices = await made.database.driven(renew(made.database))
                logger.info("the search index is new, after %d commits", slices)
                await _finish(made, lanes)
        except Exception as failure:
            logger.error("the search index is not made anew: %s", place(failure))  # noqa: TRY400 - no content
        await asyncio.sleep(_TENDED)


async def _ended(task: asyncio.Task[None]) -> None:
    """End a task in the middle of its work."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: the command decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield
