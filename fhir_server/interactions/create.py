"""The create interaction, conditional create included: a transaction of one entry.

https://hl7.org/fhir/R4/http.html#create
"""

from fhir_server.context import Context
from fhir_server.interactions.entries import Entry
from fhir_server.interactions.plan import Outcome
from fhir_server.interactions.transaction import execute
from r4.json import Resource


async def create(context: Context, resource: Resource, if_none_exist: str | None = None) -> Outcome:
    """Store a resource under a new id (201); if the criteria match one, return that (200).

    Raises FhirError 412 where they match several, 422 where the resource is refused.
    """
    kind = resource["resourceType"]
    return (await execute(context, [Entry("POST", kind, query=if_none_exist, resource=resource)]))[
        0
    ]
