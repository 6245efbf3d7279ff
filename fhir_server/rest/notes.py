"""From a request about a stored note to its operation: sign it, correct it, add to it.

https://hl7.org/fhir/R4/operations.html
"""

from fhir_server.context import Context
from fhir_server.operations import parameters
from fhir_server.operations import sign as sign_operation
from fhir_server.rest.answers import Answer, Asked
from r4.json import encode


async def sign(context: Context, asked: Asked) -> Answer:
    """POST QuestionnaireResponse/[id]/$sign, with If-Match."""
    given = parameters.of_resource(asked.resource(), sign_operation.OF_STORED)
    version = asked.header("if-match")
    return Answer(encode(await sign_operation.sign_stored(context, asked.id, version, given)))
