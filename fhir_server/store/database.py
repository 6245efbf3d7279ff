"""Opening a database: a path is SQLite's file, a URL is PostgreSQL's."""

from pathlib import Path

from fhir_server.store import migrate
from fhir_server.store.connection import Database
from fhir_server.store.postgresql import PostgresqlCommitter, PostgresqlDatabase
from fhir_server.store.sqlite import SqliteCommitter, SqliteDatabase
from fhir_server.store.writer import Committer

POSTGRESQL = ("postgresql://", "postgres://")


def open_database(where: str | Path, *, upgraded: bool = True, apart: bool = False) -> Database:
    """Open a database: a file's path, or `postgresql://user@host/name`.

    It is migrated, and a renewal of an outdated index announced, unless it is opened as it is. apart:
    what is written is committed by a process of its own.
    """
    if str(where).startswith(POSTGRESQL):
        return PostgresqlDatabase(str(where), upgraded=upgraded, apart=apart)
    return SqliteDatabase(Path(where), upgraded=upgraded, apart=apart)


def committer(where: str) -> Committer:
    """Return what commits to a database that is open already."""
    if where.startswith(POSTGRESQL):
        return PostgresqlCommitter(where)
    return SqliteCommitter(Path(where))


def upgrade(where: str | Path, to: str = "head") -> None:
    """Migrate a database, up to a revision; raises ValueError for one that there is not."""
    migrate.migrate(_url(where), to)


def revisions(where: str | Path) -> tuple[str | None, str]:
    """Return the revision that a database has, None where it is empty or not there, and the newest."""
    if not str(where).startswith(POSTGRESQL) and not Path(where).exists():
        return None, migrate.newest()  # to look would leave an empty file
    return migrate.revisions(_url(where))


def _url(where: str | Path) -> str:
    if str(where).startswith(POSTGRESQL):
        return "postgresql+asyncpg://" + str(where).partition("://")[2]
    Path(where).parent.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{where}"
