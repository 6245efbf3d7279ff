"""The one commit: resources, their index rows, the audit and the inbox's answer, all of them or none."""

import asyncio

from fhir_server.store.connection import Database
from fhir_server.store.group import carried_out
from fhir_server.store.objections import SEEN_AFTER
from fhir_server.store.write import Commit


async def commit(database: Database, commit: Commit) -> None:
    """Store the writes durably, or nothing, if the plan is stale or what it refers to is not there.

    Raises ConflictError, MissingError, ReferredError or, where its message is settled, SettledError;
    GoneError where it is part of a job that has been cancelled, ObjectedError where what it publishes
    was computed before somebody objected.
    """
    refusal = await database.write(carried_out(commit))
    if refusal is not None:
        raise refusal
    is_decided = any(write.type == "Consent" for write in commit.writes)
    if is_decided and database.objections.is_first(database.read):
        await asyncio.sleep(SEEN_AFTER)  # by then every process reads by what is objected to
