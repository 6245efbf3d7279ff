"""The operations of Subscription at the HTTP door: $status and $events.

http://hl7.org/fhir/uv/subscriptions-backport/
"""

from fhir_server.context import Context
from fhir_server.operations import parameters
from fhir_server.operations import subscriptions as operations
from fhir_server.operations.subscriptions import Range
from fhir_server.rest.answers import Answer, Asked
from r4.json import encode

STATUS: parameters.Kinds = {"id": "string", "status": "string"}
EVENTS: parameters.Kinds = {
    "eventsSinceNumber": "string",
    "eventsUntilNumber": "string",
    "content": "string",
}


async def status(context: Context, asked: Asked) -> Answer:
    """GET or POST Subscription/[id]/$status."""
    return Answer(encode(operations.status(context, asked.id)))


async def statuses(context: Context, asked: Asked) -> Answer:
    """GET or POST Subscription/$status, of those ids and statuses that are named."""
    body = asked.resource() if asked.raw else None
    given = parameters.of_resource(body, STATUS)
    parameters.of_query(asked.pairs, STATUS)
    pairs = [*asked.pairs, *given.items()]
    ids, states = (
        {each for key, value in pairs if key == name for each in value.split(",") if each}
        for name in STATUS
    )
    return Answer(encode(operations.statuses(context, ids, states)))


async def events(context: Context, asked: Asked) -> Answer:
    """GET or POST Subscription/[id]/$events."""
    body = asked.resource() if asked.raw else None
    given = parameters.of_query(asked.pairs, EVENTS) | parameters.of_resource(body, EVENTS)
    wanted = Range(*(given.get(name) for name in EVENTS))
    return Answer(encode(operations.events(context, asked.id, wanted)))
