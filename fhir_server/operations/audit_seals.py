"""The audit's chain, sealed by this server's key: each minute in which something was recorded.

Whoever changes the database can make the chain anew, and cannot make the seals: they lack the key. A
seal that was taken away is missed by whoever has kept a head elsewhere (`audit head`).
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fhir_server.access import heads
from fhir_server.context import Context, instant
from fhir_server.store import chain
from fhir_server.store.connection import Connection
from fhir_server.store.failure import place
from r4.json import Resource, encode

logger = logging.getLogger("csor.audit")

EVERY = 60.0
"""Seconds between two seals."""


@asynccontextmanager
async def sealing(context: Context) -> AsyncIterator[None]:
    """Seal the chain now and then until left, and once more then."""
    task = asyncio.create_task(_seal_on(context))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await _seal_anew(context)


async def seal(context: Context) -> Resource | None:
    """Seal the chain as it stands, and keep the seal; returns the head, None where nothing is linked."""
    found = chain.head(context.database.read)
    if found is None:
        return None
    said = heads.signed(found, instant(context.now()), context.seal)
    await context.database.write(partial(_keep, last=found.last, head=encode(said).decode()))
    return said


async def _seal_on(context: Context) -> None:
    while True:
        await asyncio.sleep(EVERY)
        await _seal_anew(context)


async def _seal_anew(context: Context) -> None:
    try:
        if not _is_sealed(context):
            await context.database.driven(seal(context))
    except Exception as failure:
        logger.error("the audit is not sealed: %s", place(failure))  # noqa: TRY400 - no content


def _is_sealed(context: Context) -> bool:
    ((linked, sealed),) = context.database.read(
        "SELECT (SELECT max(last) FROM audit_link), (SELECT max(last) FROM audit_seal)"
    )
    return linked is None or linked == sealed


def _keep(connection: Connection, last: int, head: str) -> None:
    connection.execute("DELETE FROM audit_seal WHERE last = ?", (last,))
    connection.execute("INSERT INTO audit_seal (last, head) VALUES (?, ?)", (last, head))
