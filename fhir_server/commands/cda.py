"""`cda`: take CDA operative notes from files, through the same door as those that are sent."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from fhir_server.app import alone, application
from fhir_server.commands.local import local_client
from fhir_server.context import Context
from fhir_server.settings import Settings
from mappings.cda import MEDIA_TYPE

PLACE = "/fhir/DocumentReference/$process-cda"


def cda(settings: Settings, files: Sequence[Path]) -> int:
    """Send each file and print what became of it; what is refused is kept in the inbox.

    Returns exit status 1 where any was refused; raises OSError for a file that cannot be read.
    """
    documents = [(file.name, file.read_bytes()) for file in files]
    return asyncio.run(alone(settings, lambda made: _send(made, documents)))


async def _send(made: Context, documents: Sequence[tuple[str, bytes]]) -> int:
    status = 0
    async with local_client(application(made)) as client:
        for name, raw in documents:
            answer = await client.post(PLACE, content=raw, headers={"Content-Type": MEDIA_TYPE})
            body = answer.json()
            if answer.is_success:
                print(f"{name}\t{body['entry'][0]['response']['location']}")
            else:
                status = 1
                print(f"{name}\trefused\t{'; '.join(i['diagnostics'] for i in body['issue'])}")
    return status
