"""Alembic's entry: run the migrations on the configured database."""

import asyncio

from alembic import context
from sqlalchemy import Connection, create_engine, pool
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

import fhir_server.store.tables  # noqa: F401 - declares the tables

url = context.config.get_main_option("sqlalchemy.url") or ""


def run(connection: Connection) -> None:
    """Run the migrations, one server at a time where several start at once."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4, 0)")
    context.configure(connection=connection, target_metadata=SQLModel.metadata)
    with context.begin_transaction():
        context.run_migrations()


async def run_asynchronously() -> None:
    """Run the migrations through the asynchronous driver."""
    engine = create_async_engine(url, poolclass=pool.NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(run)


if url.startswith("postgresql"):
    asyncio.run(run_asynchronously())
else:
    with create_engine(url, poolclass=pool.NullPool).connect() as connected:
        run(connected)
