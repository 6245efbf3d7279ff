"""Opening a database: a path is SQLite's file, a URL is PostgreSQL's."""

from pathlib import Path

from fhir_server.store.connection import Database
from fhir_server.store.postgresql import PostgresqlDatabase
from fhir_server.store.sqlite import SqliteDatabase

POSTGRESQL = ("postgresql://", "postgres://")


def open_database(where: str | Path) -> Database:
    """Open and migrate a database: a file's path, or `postgresql://user@host/name`."""
    if str(where).startswith(POSTGRESQL):
        return PostgresqlDatabase(str(where))
    return SqliteDatabase(Path(where))
