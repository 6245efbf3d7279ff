"""$assemble of modular forms and $extract of stored answers, from a request to an answer.

https://hl7.org/fhir/uv/sdc/modular.html
"""

import asyncio

from fhir_server.context import Context
from fhir_server.operations import assemble as assemble_operation
from fhir_server.operations import extract as extract_operation
from fhir_server.operations import parameters
from fhir_server.rest.answers import Answer, Asked
from r4.json import encode


async def assemble(context: Context, asked: Asked) -> Answer:
    """POST Questionnaire/$assemble and Questionnaire/[id]/$assemble; others are answered meanwhile."""
    body = asked.resource() if asked.raw else None
    given = parameters.of_resource(body, assemble_operation.NAMES, "questionnaire")
    async with context.validating:
        return await asyncio.to_thread(_assembled, context, given, asked.parameters.get("id"))


def _assembled(context: Context, given: parameters.Input, resource_id: str | None) -> Answer:
    return Answer(encode(assemble_operation.assemble(context, given, resource_id)))


async def extract_stored(context: Context, asked: Asked) -> Answer:
    """POST QuestionnaireResponse/[id]/$extract."""
    body = asked.resource() if asked.raw else None
    given = parameters.of_resource(body, extract_operation.NAMES)
    return Answer(encode(extract_operation.extract(context, given, asked.id)))
