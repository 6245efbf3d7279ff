"""The delete interaction.

https://hl7.org/fhir/R4/http.html#delete
"""

from fhir_server.context import Context
from fhir_server.interactions.plan import Outcome
from r4.issue import FhirError, error


async def delete(
    context: Context,  # noqa: ARG001
    resource_type: str,
    resource_id: str,
    if_match: str | None = None,  # noqa: ARG001
) -> Outcome | None:
    """Delete a resource; None where nothing was there."""
    text = f"Deleting {resource_type}/{resource_id} is not supported."
    raise FhirError(501, [error("not-supported", text)])


async def delete_where(context: Context, resource_type: str, criteria: str, most: int) -> int:  # noqa: ARG001
    """Delete what matches the criteria; returns how many were deleted."""
    raise FhirError(501, [error("not-supported", f"Deleting {resource_type} is not supported.")])
