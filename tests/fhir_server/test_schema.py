"""The migrations make what the tables declare."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlmodel import SQLModel

import fhir_server.store.tables  # noqa: F401 - declares the tables
from fhir_server.store import read
from fhir_server.store.database import open_database
from fhir_server.store.migrate import configuration, migrate
from fhir_server.store.renewal import renew
from fhir_server.store.search.parse import parse


def test_the_newest_schema_is_the_declared_one(tmp_path: Path) -> None:
    migrate(f"sqlite:///{tmp_path / 'csor.db'}")
    engine = create_engine(f"sqlite:///{tmp_path / 'csor.db'}")
    with engine.connect() as connection:
        options = {"include_name": _is_declared}
        made = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(made, SQLModel.metadata)
    engine.dispose()
    assert differences == []


def _is_declared(name: str | None, kind: str, _parents: object) -> bool:
    """Leave out the inverted indexes: FTS5 makes tables of its own for them."""
    return kind != "table" or not (name or "").startswith(
        ("search_key", "search_text", "concept_text")
    )


def test_a_database_is_migrated_once_and_keeps_its_content(tmp_path: Path) -> None:
    migrate(f"sqlite:///{tmp_path / 'csor.db'}")
    engine = create_engine(f"sqlite:///{tmp_path / 'csor.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO search_date VALUES (1, 2, 3, 4)")
    migrate(f"sqlite:///{tmp_path / 'csor.db'}")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT * FROM search_date").all() == [(1, 2, 3, 4)]
    engine.dispose()


def test_what_the_first_schema_stored_is_found_with_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "csor.db"
    command.upgrade(configuration(f"sqlite:///{path}"), "0001")
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        for rid, family, superseded in ((7, "Wren", 8), (8, "Heron", None)):
            body = f'{{"resourceType":"Patient","id":"a","name":[{{"family":"{family}"}}]}}'
            connection.exec_driver_sql(
                "INSERT INTO resource VALUES (?, 'Patient', 'a', ?, 1, 0, ?, ?, ?)",
                (rid, rid - 6, superseded, body.encode(), b""),
            )
    engine.dispose()
    database = open_database(path)
    try:
        assert asyncio.run(renew(database)) > 0
        assert [found.rid for found in read.search(database, parse("Patient", "name=heron"))] == [8]
        assert read.search(database, parse("Patient", "name=wren")) == []
        first = read.version(database, "Patient", "a", 1)
        assert first is not None
        assert b"Wren" in first.body
    finally:
        database.close()
