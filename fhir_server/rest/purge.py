"""POST Patient/[id]/$purge."""

from fhir_server.context import Context
from fhir_server.operations import parameters
from fhir_server.operations import purge as operation
from fhir_server.rest.answers import Answer, Asked
from r4.json import encode


async def purge(context: Context, asked: Asked) -> Answer:
    """Purge a child; the reason is a parameter, of the body or of the query string."""
    body = asked.resource() if asked.raw else None
    given = parameters.of_query(asked.pairs, operation.NAMES)
    given |= parameters.of_resource(body, operation.NAMES)
    purged = await operation.purge(context, asked.id, given.get("reason", ""))
    return Answer(encode(operation.outcome(purged)))
