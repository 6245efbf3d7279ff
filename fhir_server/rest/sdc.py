"""$populate of a form and $process-response of its answers, from a request to an answer.

https://hl7.org/fhir/uv/sdc/workflow.html
"""

import asyncio

from fhir_server.context import Context
from fhir_server.operations import parameters
from fhir_server.operations import populate as populate_operation
from fhir_server.operations import process_response as process_response_operation
from fhir_server.rest.answers import Answer, Asked
from r4.issue import operation_outcome
from r4.json import Resource, encode


async def populate(context: Context, asked: Asked) -> Answer:
    """POST Questionnaire/$populate and Questionnaire/[id]/$populate.

    How long it takes is up to the form: it is done in a thread, one at a time, and others are answered
    meanwhile.
    """
    body = asked.resource() if asked.raw else None
    async with context.validating:
        return Answer(encode(await asyncio.to_thread(_populated, context, asked, body)))


def _populated(context: Context, asked: Asked, body: Resource | None) -> Resource:
    names, repeats = populate_operation.NAMES, populate_operation.REPEATS
    given = parameters.of_resource(body, names, "questionnaire", repeats)
    return populate_operation.populate(context, given, asked.parameters.get("id"))


async def process_response(context: Context, asked: Asked) -> Answer:
    """POST Questionnaire/$process-response and Questionnaire/[id]/$process-response."""
    names = process_response_operation.OF_A_FORM
    given = parameters.of_resource(asked.resource(), names, "in")
    response = parameters.one_of(given, "in", "response")
    form = asked.parameters.get("id")
    issues = await process_response_operation.receive(context, response, form)
    return Answer(encode(operation_outcome(issues)))
