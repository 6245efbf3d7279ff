"""The patch interaction, conditional patch included: the current version, changed, is the next one.

https://hl7.org/fhir/R4/http.html#patch
"""

from fhir_server.context import Context
from fhir_server.interactions.entries import Entry, Patch
from fhir_server.interactions.plan import Outcome
from fhir_server.interactions.transaction import execute


async def patch(
    context: Context,
    resource_type: str,
    resource_id: str,
    change: Patch,
    if_match: str | None = None,
) -> Outcome:
    """Store the patched resource as a new version (200); raises FhirError 404, 412 or 422.

    Where others change the resource meanwhile, the patch is applied to what they have made of it.
    """
    entry = Entry("PATCH", resource_type, resource_id, patch=change, if_match=if_match)
    return (await execute(context, [entry]))[0]


async def patch_where(
    context: Context, resource_type: str, criteria: str, change: Patch
) -> Outcome:
    """Patch the one resource that matches the criteria; FhirError 404 if none does, 412 if several do."""
    entry = Entry("PATCH", resource_type, query=criteria, patch=change)
    return (await execute(context, [entry]))[0]
