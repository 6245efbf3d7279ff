"""`unmerge`: undo the merge that a message of the inbox has asked for, as an operator."""

import asyncio

from fhir_server.app import alone
from fhir_server.context import Context
from fhir_server.operations import unmerge as operation
from fhir_server.settings import Settings


def unmerge(settings: Settings, number: int, *, dry_run: bool) -> None:
    """Undo a merge and print what changed, or would; raises FhirError where it cannot be done."""

    async def work(made: Context) -> operation.Undone:
        return await operation.unmerge(made, number, dry_run=dry_run)

    undone = asyncio.run(alone(settings, work))
    for change in undone.changes:
        print(change)
    print("nothing was changed" if dry_run else "done")
    if undone.left:
        print(f"{undone.left} messages named both records: what they said stays with the survivor")
