"""Opening a database: a path is SQLite's file, a URL is PostgreSQL's."""

from pathlib import Path

from fhir_server.store.connection import Database
from fhir_server.store.postgresql import PostgresqlDatabase
from fhir_server.store.sqlite import SqliteDatabase

POSTGRESQL = ("postgresql://", "postgres://")


def open_database(where: str | Path, *, upgraded: bool = True) -> Database:
    """Open a database: a file's path, or `postgresql://user@host/name`.

    It is migrated, and a renewal of an outdated index announced, unless it is opened as it is.
    """
    if str(where).startswith(POSTGRESQL):
        return PostgresqlDatabase(str(where), upgraded=upgraded)
    return SqliteDatabase(Path(where), upgraded=upgraded)
