"""The delete interaction, conditional delete included: a version that says the resource is gone.

What others still refer to is not deleted: nothing may point at nobody.
https://hl7.org/fhir/R4/http.html#delete
"""

from fhir_server.context import Context
from fhir_server.interactions.entries import Entry, refuse_blank
from fhir_server.interactions.plan import Outcome
from fhir_server.interactions.targets import find
from fhir_server.interactions.transaction import execute
from r4.issue import FhirError, error


async def delete(
    context: Context, resource_type: str, resource_id: str, if_match: str | None = None
) -> Outcome | None:
    """Delete a resource; returns the deletion, None where there was nothing to delete.

    Raises FhirError 409 where others refer to it, 412 where If-Match does not hold.
    """
    entry = Entry("DELETE", resource_type, resource_id, if_match=if_match)
    outcome = (await execute(context, [entry]))[0]
    return outcome if outcome.version else None


async def delete_where(context: Context, resource_type: str, criteria: str, most: int) -> int:
    """Delete all that matches the criteria, together; returns how many there were.

    Raises FhirError 409 where others refer to one of them, 412 where more than `most` match or where
    the criteria are blank.
    """
    refuse_blank(Entry("DELETE", resource_type, query=criteria))
    _, found = find(context.by_letters("rsd"), resource_type, criteria, most + 1)
    if len(found) > most:
        text = (
            f"{resource_type}?{criteria} matches more than {most} resources: delete fewer at once."
        )
        raise FhirError(412, [error("multiple-matches", text, "http.url")])
    await execute(context, [Entry("DELETE", each.type, each.id) for each in found])
    return len(found)
