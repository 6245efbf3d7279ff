"""`load`: store this release's artefacts, so that they can be read and searched as any resource.

The server behaves by the reviewed files of its release; the stored copies are for its users.
"""

import asyncio
from dataclasses import replace

from fhir_server.app import alone
from fhir_server.context import Context, instant
from fhir_server.interactions.transaction import transaction
from fhir_server.settings import Settings
from r4 import artefacts

PACKAGES = ("terminology", "profiles", "questionnaires", "mappings", "outcome_engine")


async def load_artefacts(made: Context) -> int:
    """Store every artefact under its own id, in one transaction; returns how many are new or changed."""
    entries = [
        {
            "resource": artefact,
            "request": {
                "method": "PUT",
                "url": f"{artefact['resourceType']}/{artefact['id']}",
            },
        }
        for package in PACKAGES
        for artefact in artefacts.load(package)
    ]
    moment = made.now()
    settings = made.settings.model_copy(update={"update_create": True})  # of clients' updates
    response = await transaction(
        replace(made, settings=settings),
        {"resourceType": "Bundle", "type": "transaction", "entry": entries},
    )
    written = (entry["response"]["lastModified"] for entry in response["entry"])
    return sum(stamp >= instant(moment) for stamp in written)


def load(settings: Settings) -> None:
    """Store the artefacts and say how many were new."""
    print(f"{asyncio.run(alone(settings, load_artefacts))} artefacts new or changed")
