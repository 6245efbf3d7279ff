"""`hes`: load a file of Hospital Episode Statistics, and print what it came to."""

import argparse
import asyncio
import json
from pathlib import Path

from fhir_server.app import alone
from fhir_server.context import Context
from fhir_server.operations import asynchronous, hes_load
from fhir_server.settings import Settings
from fhir_server.store.jobs import GoneError
from mappings.hes.bundle import PERSON

_EVERY = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command is given."""
    parser.add_argument("file", type=Path, help="admitted patient care, columns separated by |")
    parser.add_argument("--person", metavar="COLUMN", help="heading of the column of persons")
    parser.add_argument(
        "--system", default=PERSON, help="identifier system of Patients that the persons have"
    )
    parser.set_defaults(
        run=lambda given: hes(Settings(), given.file, given.person, system=given.system)
    )


def hes(settings: Settings, file: Path, person: str | None, *, system: str) -> int:
    """Load a file, one that an earlier run left unfinished from where that was; prints the report.

    Returns exit status 1 where the load was cancelled. Raises FhirError as `hes_load.load` does.
    """

    async def work(made: Context) -> int:
        try:
            job = await hes_load.accept(made, file, person, system)
            number = 0
            async for said in hes_load.load(made, job):
                if number % _EVERY == 0:
                    print(said, flush=True)
                number += 1
        except GoneError:
            print("the load was cancelled")
            return 1
        report = asynchronous.standing(made, job.id).manifest or {}
        print(json.dumps(report["extension"], indent=2))
        if report["error"]:
            print(f"refused rows: {asynchronous.folder(made, job.id) / hes_load.ERRORS}")
        return 0

    return asyncio.run(alone(settings, work))
