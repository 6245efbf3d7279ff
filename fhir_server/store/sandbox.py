"""The mark of a sandbox: that nothing in this database is of a real child, from its first row on.

No request can make the mark: it is a row of a table of its own.
"""

from functools import partial

from fhir_server.store.connection import Connection, Database


def is_sandbox(database: Database) -> bool:
    """Tell whether a database has the mark."""
    return bool(database.read("SELECT since FROM sandbox"))


async def claim(database: Database, moment: int) -> None:
    """Mark an empty database as a sandbox; one that is marked stays so.

    Raises ValueError where the database holds anything and is not marked.
    """
    await database.write(partial(_claim, moment=moment))


def _claim(connection: Connection, moment: int) -> None:
    if connection.read("SELECT since FROM sandbox"):
        return
    for table in ("resource", "inbox", "audit"):
        if connection.read(f"SELECT 1 FROM {table} LIMIT 1"):
            raise ValueError(
                "this database holds what is not a sandbox's: a sandbox begins with an empty one."
            )
    connection.execute("INSERT INTO sandbox (since) VALUES (?)", (moment,))
