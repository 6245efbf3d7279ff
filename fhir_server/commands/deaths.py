"""`deaths`: load the deaths that were linked to the registry's children, and print what it came to."""

import argparse
import asyncio
import json
from pathlib import Path

from fhir_server.app import alone
from fhir_server.context import Context
from fhir_server.operations import asynchronous, deaths_load
from fhir_server.settings import Settings
from fhir_server.store.jobs import GoneError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command is given."""
    parser.add_argument("file", type=Path, help="deaths, a row each")
    parser.add_argument(
        "--layout", type=Path, help="a TOML file that says how the file is laid out"
    )
    parser.add_argument(
        "--bridge", type=Path, help="rows that lead from a death's record to a person of HES"
    )
    parser.set_defaults(
        run=lambda given: deaths(Settings(), given.file, given.layout, bridge=given.bridge)
    )


def deaths(settings: Settings, file: Path, layout: Path | None, *, bridge: Path | None) -> int:
    """Load a file, one that an earlier run left unfinished from where that was; prints the report.

    Returns exit status 1 where the load was cancelled. Raises ValueError without a layout, and what
    `deaths_load` raises.
    """
    if layout is None:
        raise ValueError(
            "Nothing public says how a file of deaths is laid out, and nothing is guessed: write a "
            "layout by the specification of your extract (docs/hes.md) and name it with --layout."
        )
    given = layout.read_text(encoding="utf-8")

    async def work(made: Context) -> int:
        try:
            job = await deaths_load.accept(made, file, bridge, given)
            async for said in deaths_load.load(made, job):
                print(said, flush=True)
        except GoneError:
            print("the load was cancelled")
            return 1
        manifest = asynchronous.standing(made, job.id).manifest or {}
        print(json.dumps(manifest["extension"], indent=2))
        if manifest["error"]:
            told = asynchronous.folder(made, job.id) / deaths_load.ERRORS
            print(f"what was refused or differs: {told}")
        return 0

    return asyncio.run(alone(settings, work))
