"""`reindex`: make the search index anew, beside a running server or without one."""

import asyncio
import time

from fhir_server.settings import Settings
from fhir_server.store.connection import Database
from fhir_server.store.database import open_database
from fhir_server.store.renewal import announce, renewals

_EVERY = 2.0
"""Seconds between two lines of progress."""


def reindex(settings: Settings) -> None:
    """Make the index anew from the stored bodies, printing how far it is.

    One that was interrupted goes on where it was. Meanwhile reads and writes are served, searches not.
    """
    asyncio.run(_reindex(settings))


async def _reindex(settings: Settings) -> None:
    database = open_database(settings.database)
    try:
        await database.driven(_announced(database))
    finally:
        database.close()


async def _announced(database: Database) -> None:
    await database.write(announce)
    print("announced; searches are answered with 503 until the index is new", flush=True)
    began = said = time.monotonic()
    slices = 0
    async for done in renewals(database):
        slices += 1
        if time.monotonic() - said >= _EVERY:
            said = time.monotonic()
            share = 100 * done.up_to // done.until
            print(f"{done.up_to} of {done.until} ({share} %)", flush=True)
    print(f"the index is new, after {slices} commits in {time.monotonic() - began:.1f} s")
