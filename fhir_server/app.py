"""The composition root: the only place where the parts meet, and where clock and ids enter."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import uvicorn
from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

import questionnaires
from fhir_server import mllp
from fhir_server.access import LOCAL, clients, refuse_open_doors
from fhir_server.context import Context
from fhir_server.interactions.capabilities import release
from fhir_server.operations.process_message import finish, process_message, refuse_oversize
from fhir_server.operations.working import work_off
from fhir_server.rest.reading import resource
from fhir_server.rest.routes import routes
from fhir_server.settings import Settings
from fhir_server.store import inbox
from fhir_server.store.database import open_database
from mappings.hl7v2 import MappingContext
from terminology import Terminology

T = TypeVar("T")
logger = logging.getLogger("csor")


def context(
    settings: Settings,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
) -> Context:
    """Open the database and put together what every interaction is given."""
    host = "127.0.0.1" if settings.fhir_host in ("0.0.0.0", "::") else settings.fhir_host  # noqa: S104
    terminology = Terminology.load()
    return Context(
        database=open_database(settings.database),
        terminology=terminology,
        mapping=MappingContext(terminology),
        forms=questionnaires.forms(),
        now=now,
        new_id=new_id,
        settings=settings,
        base_url=settings.base_url or f"http://{host}:{settings.fhir_port}/fhir",
        principal=LOCAL,
    )


async def alone(settings: Settings, work: Callable[[Context], Coroutine[Any, Any, T]]) -> T:
    """Do a command's work with a context of its own, and close that."""
    made = context(settings)
    try:
        return await made.database.driven(work(made))
    finally:
        made.database.close()


def application(made: Context) -> FastAPI:
    """Return the ASGI application: the FHIR endpoint under /fhir, and /health beside it."""
    app = FastAPI(title="CSOR", version=release(), docs_url=None, redoc_url=None, openapi_url=None)
    registered = clients(made.settings.clients)

    @app.get("/health")
    async def health() -> dict[str, object]:
        """Answer with what the inbox holds, which says whether the server works."""
        return {"status": "ok", "inbox": inbox.tally(made.database)}

    app.router.routes.extend(routes(made, registered))
    app.add_middleware(GZipMiddleware, minimum_size=2048)
    return app


@asynccontextmanager
async def running(made: Context) -> AsyncIterator[tuple[str, int | None]]:
    """Serve both doors until left; yields the FHIR base URL and the MLLP port."""
    settings = made.settings
    refuse_open_doors(settings)
    config = uvicorn.Config(
        application(made), settings.fhir_host, settings.fhir_port,
        log_level="warning", access_log=False, lifespan="off",
        proxy_headers=False,
    )  # fmt: skip
    server = _Server(config)
    if left := await finish(made):
        logger.info("worked through %d messages that an earlier run had received", left)
    async with contextlib.AsyncExitStack() as doors:
        port = None
        if settings.mllp:

            async def handle(frame: bytes, _peer: str) -> bytes:
                return await process_message(made, frame)

            async def oversize(beginning: bytes, _peer: str) -> bytes:
                return await refuse_oversize(made, beginning)

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
        try:
            yield made.base_url, port
        finally:
            server.should_exit = True
            await serving


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
