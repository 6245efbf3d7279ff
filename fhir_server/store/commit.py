"""The one commit: resources, their index rows, the audit and the inbox's answer, all of them or none."""

from fhir_server.store.connection import Database
from fhir_server.store.group import carried_out
from fhir_server.store.write import Commit


async def commit(database: Database, commit: Commit) -> None:
    """Store the writes durably, or nothing, if the plan is stale or what it refers to is not there.

    Raises ConflictError, MissingError, ReferredError or, where its message is settled, SettledError;
    GoneError where it is part of a job that has been cancelled.
    """
    refusal = await database.write(carried_out(commit))
    if refusal is not None:
        raise refusal
