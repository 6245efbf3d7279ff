"""`opt-outs`: write the NHS numbers that are to be checked for national data opt-outs; go by the answer."""

import argparse
import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from fhir_server.app import alone
from fhir_server.context import Context
from fhir_server.operations import opt_outs as operation
from fhir_server.operations.opt_outs import Applied
from fhir_server.settings import Settings


def add_arguments(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the command and its actions."""
    actions = add("opt-outs", "Check children for national data opt-outs, by files of NHS numbers.")
    listed = actions.add_subparsers(required=True, metavar="action")
    writing = listed.add_parser("list", help="write the numbers that are to be checked")
    writing.add_argument("file", type=Path, help="is made, for its owner alone; may not be there")
    writing.set_defaults(run=lambda given: list_(Settings(), given.file))
    applied = listed.add_parser("apply", help="go by the answer, effective at once")
    applied.add_argument("sent", type=Path, help="the file that was sent")
    applied.add_argument("returned", type=Path, help="the file that came back")
    applied.set_defaults(run=lambda given: apply(Settings(), given.sent, given.returned))


def list_(settings: Settings, file: Path) -> None:
    """Write the numbers; raises FileExistsError rather than write over another file."""

    async def work(made: Context) -> list[str]:
        found = [each async for each in operation.to_check(made)]
        await made.audit.flush()
        return found

    numbers = asyncio.run(alone(settings, work))
    descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii", newline="") as out:
        out.write(operation.written(numbers))
    print(f"{len(numbers)} numbers to be checked")


def apply(settings: Settings, sent: Path, returned: Path) -> None:
    """Go by an answer and print counts, no number.

    Raises OSError or ValueError for files, and FhirError 422 where the one does not answer the other.
    """
    policy = operation.policy_of(settings.opt_outs)
    files = sent.read_bytes(), returned.read_bytes()

    async def work(made: Context) -> Applied:
        return await operation.apply(made, policy, *files)

    done = asyncio.run(alone(settings, work))
    print(
        f"{done.checked} checked, {done.opted_out} have opted out;"
        f" {done.made} objections recorded, {done.ended} withdrawn;"
        f" {done.unknown} numbers are not here any more"
    )
