"""`purge`: erase a child, as an operator."""

import asyncio

from fhir_server.app import alone
from fhir_server.context import Context
from fhir_server.operations import purge as operation
from fhir_server.settings import Settings


def purge(settings: Settings, patient: str, reason: str) -> None:
    """Erase a child and say what that came to; raises FhirError where it cannot be done."""

    async def work(made: Context) -> str:
        return operation.said(await operation.purge(made, patient, reason))

    print(asyncio.run(alone(settings, work)))
