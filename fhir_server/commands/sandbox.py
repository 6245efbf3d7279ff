"""`sandbox`: serve fictitious children to vendors, who register their clients themselves.

It has a folder of its own, and in it a database that is marked as a sandbox from its first row on.
"""

import argparse
import asyncio
import os
import shutil
import signal
from datetime import date
from pathlib import Path

from rich.console import Console

from fhir_server import simulate
from fhir_server.app import alone
from fhir_server.commands import server_process
from fhir_server.context import Context, microseconds
from fhir_server.settings import Settings
from fhir_server.store import sandbox as marks

_FIRST = """# Who calls the sandbox. Vendors add themselves; an entry that is revoked keeps its name taken.
[[client]]
name = "sandbox"
revoked = true
reason = "the file must have an entry"
"""
_DATABASE = "csor.db"
_KEPT = frozenset(
    {
        "CSOR_FHIR_HOST", "CSOR_FHIR_PORT", "CSOR_BASE_URL", "CSOR_MLLP", "CSOR_MLLP_HOST",
        "CSOR_MLLP_PORT", "CSOR_CORS_ORIGINS", "CSOR_PAGES",
    }
)  # fmt: skip
"""The settings that count: a registry's keys, senders and couriers are not a sandbox's."""
_SIZE = 0.05
"""Of the usual cohort of a year: about 30 children of ten hospitals."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sandbox's options."""
    default = Path(".sandbox")
    parser.add_argument("--folder", type=Path, default=default, help="where its data is kept")
    parser.add_argument(
        "--reset", action="store_true", help="begin with new children; who is registered stays so"
    )
    parser.add_argument("--exit", action="store_true", help="stop once the children are there")


def sandbox(given: argparse.Namespace) -> int:
    """Serve the sandbox until stopped; returns the exit status.

    Raises ValueError where the folder's database is none of a sandbox, OSError where a port is taken.
    """
    settings, folder = Settings(), given.folder
    server_process.refuse_taken(settings)
    folder.mkdir(parents=True, exist_ok=True)
    database, filled, clients = (
        folder / name for name in (_DATABASE, f"{_DATABASE}.filled", "clients.toml")
    )
    claimed(database)
    if given.reset:
        remove(folder)
        claimed(database)
    if not clients.exists():
        clients.write_text(_FIRST)
        clients.chmod(0o600)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server must end with us
    others = {name for name in os.environ if name.upper().startswith("CSOR_")} - _KEPT
    environment = {
        **dict.fromkeys(others),
        "CSOR_SANDBOX": "true",
        "CSOR_DATABASE": str(database),
        "CSOR_CLIENTS": str(clients),
    }
    server = server_process.start(settings, environment)
    try:
        _fill(settings, filled)
        _where(settings, folder)
        return 0 if given.exit else server.wait()
    finally:
        server_process.end(server)


def claimed(database: Path) -> None:
    """Mark a database as a sandbox, made where it is not there; raises ValueError where it is none."""

    async def claim(made: Context) -> None:
        await marks.claim(made.database, microseconds(made.now()))

    asyncio.run(alone(Settings(database=str(database)), claim))


def remove(folder: Path) -> None:
    """Delete a sandbox's database and what lies beside it; who is registered there stays so."""
    for each in folder.glob(f"{_DATABASE}*"):
        if each.is_dir():
            shutil.rmtree(each)
        else:
            each.unlink()


def _fill(settings: Settings, filled: Path) -> None:
    """Have fictitious children in it, once."""
    if filled.exists():
        return
    console = Console()
    console.print("Simulating some children of ten hospitals; all people are fictitious")
    options = simulate.Options(
        fhir=server_process.base(settings), mllp=f"127.0.0.1:{settings.mllp_port}",
        start=date(2025, 1, 1), years=1, size=_SIZE,
    )  # fmt: skip
    console.print(f"{simulate.run(options, console).answered} messages were answered")
    filled.touch()


def _where(settings: Settings, folder: Path) -> None:
    root = server_process.base(settings).removesuffix("/fhir")
    print("A sandbox: every child in it is fictitious. Nothing real may be sent to it.")
    print(f"  register a client    {root}/integrators")
    print(f"  FHIR                 {root}/fhir")
    print(f"  HL7 v2 (MLLP)        127.0.0.1:{settings.mllp_port}")
    print(f"  its data             {folder}", flush=True)
