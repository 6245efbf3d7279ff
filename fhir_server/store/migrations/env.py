"""Alembic's entry: run the migrations on the configured database."""

from alembic import context
from sqlalchemy import create_engine, pool
from sqlmodel import SQLModel

import fhir_server.store.tables  # noqa: F401 - declares the tables

engine = create_engine(
    context.config.get_main_option("sqlalchemy.url") or "", poolclass=pool.NullPool
)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=SQLModel.metadata)
    with context.begin_transaction():
        context.run_migrations()
