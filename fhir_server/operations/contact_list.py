"""The children whose parents NHS DigiTrials would be asked to write to, as rows of a CSV file.

The format that NHS DigiTrials takes is not public: the columns are ours, to be agreed. The National Data
Opt-Out is applied by NHS England, which holds it; it is not known here.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

from fhir_server.context import Context
from fhir_server.interactions import identity
from fhir_server.interactions.targets import survivor
from fhir_server.operations.forms import one
from fhir_server.operations.survey_standing import stopped
from fhir_server.store import read as store
from fhir_server.store.search.keys import place
from r4.json import Resource, decode
from terminology.systems import NHS_NUMBER


class Contact(NamedTuple):
    """A child as the file tells it; the names are its columns."""

    nhs_number: str
    family_name: str
    given_names: str
    date_of_birth: str
    postcode: str


async def contacts(context: Context) -> AsyncIterator[Contact]:
    """Yield each child with an active case and an NHS number, once; each is recorded in the audit.

    A child who has died is left out, and one about whom anybody objects to what parents report.
    """
    told: set[str] = set()
    for stored in store.every(context.database, "EpisodeOfCare", "status=active"):
        reference = decode(stored.body)["patient"].get("reference", "")
        patient = one(context, reference, "Patient")
        if patient is not None:
            child = decode(survivor(context, patient).body)
            found = _contact(child)
            if child["id"] not in told and found and not stopped(context, child):
                told.add(child["id"])
                what = ("contact-list", "Patient", child["id"], 200)
                context.audit.record(context.agent, *what, children={place("Patient", child["id"])})
                yield found
        await asyncio.sleep(0)


def _contact(child: Resource) -> Contact | None:
    number = identity.number(child, (NHS_NUMBER,))
    if number is None or "value" not in number:
        return None
    name = _chosen(child.get("name", ()), "official")
    home = _chosen(child.get("address", ()), "home")
    given = " ".join(name.get("given", ()))
    born = child.get("birthDate", "")
    return Contact(number["value"], name.get("family", ""), given, born, home.get("postalCode", ""))


def _chosen(listed: list[Resource], use: str) -> Resource:
    """Return the one of a use, or the first that is not an old one."""
    current = [each for each in listed if each.get("use") != "old"]
    found: Resource = next(
        (e for e in current if e.get("use") == use), current[0] if current else {}
    )
    return found
