"""The migrations make what the tables declare."""

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlmodel import SQLModel

import fhir_server.store.tables  # noqa: F401 - declares the tables
from fhir_server.store.migrate import migrate


def test_the_newest_schema_is_the_declared_one(tmp_path: Path) -> None:
    migrate(tmp_path / "csor.db")
    engine = create_engine(f"sqlite:///{tmp_path / 'csor.db'}")
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), SQLModel.metadata)
    engine.dispose()
    assert differences == []


def test_a_database_is_migrated_once_and_keeps_its_content(tmp_path: Path) -> None:
    migrate(tmp_path / "csor.db")
    engine = create_engine(f"sqlite:///{tmp_path / 'csor.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO search_key VALUES (1, 2)")
    migrate(tmp_path / "csor.db")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT * FROM search_key").all() == [(1, 2)]
    engine.dispose()
