"""The update interaction, conditional update and update-as-create included.

https://hl7.org/fhir/R4/http.html#update
"""

from fhir_server.context import Context
from fhir_server.interactions.entries import Entry
from fhir_server.interactions.plan import Outcome
from fhir_server.interactions.transaction import execute
from r4.issue import FhirError, error
from r4.json import Resource


async def update(
    context: Context, resource: Resource, resource_id: str, if_match: str | None = None
) -> Outcome:
    """Store a new version (200) or, under an id not yet known, the first one (201).

    Raises FhirError 400 where the body has another id, 412 where If-Match does not hold.
    """
    if resource.get("id") != resource_id:
        text = f"The body's id is {resource.get('id')!r}; the URL says {resource_id!r}."
        raise FhirError(400, [error("invalid", text, f"{resource['resourceType']}.id")])
    entry = Entry(
        "PUT", resource["resourceType"], resource_id, resource=resource, if_match=if_match
    )
    return (await execute(context, [entry]))[0]


async def update_where(context: Context, resource: Resource, criteria: str) -> Outcome:
    """Update the one resource that matches the criteria, or create it.

    Raises FhirError 412 where several match, or where the criteria are blank.
    """
    entry = Entry("PUT", resource["resourceType"], query=criteria, resource=resource)
    return (await execute(context, [entry]))[0]
