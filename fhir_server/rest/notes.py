"""From a request about a stored note to its operation: sign it, correct it, add to it.

https://hl7.org/fhir/R4/operations.html
"""

from fhir_server.context import Context
from fhir_server.operations import amend, parameters
from fhir_server.operations import carry_over as carry_over_operation
from fhir_server.operations import sign as sign_operation
from fhir_server.rest.answers import Answer, Asked
from r4.json import encode


async def sign(context: Context, asked: Asked) -> Answer:
    """POST QuestionnaireResponse/[id]/$sign, with If-Match."""
    given = parameters.of_resource(asked.resource(), sign_operation.OF_STORED)
    version = asked.header("if-match")
    return Answer(encode(await sign_operation.sign_stored(context, asked.id, version, given)))


async def correct(context: Context, asked: Asked) -> Answer:
    """POST QuestionnaireResponse/[id]/$correct, with If-Match."""
    given = parameters.of_resource(asked.resource(), amend.CORRECTION)
    version = asked.header("if-match")
    return Answer(encode(await amend.correct(context, asked.id, version, given)))


async def addend(context: Context, asked: Asked) -> Answer:
    """POST QuestionnaireResponse/[id]/$addend."""
    given = parameters.of_resource(asked.resource(), amend.ADDENDUM)
    return Answer(encode(await amend.addend(context, asked.id, given)))


async def carry_over(context: Context, asked: Asked) -> Answer:
    """POST QuestionnaireResponse/$carry-over."""
    given = parameters.of_resource(asked.resource(), carry_over_operation.NAMES, "response")
    return Answer(encode(carry_over_operation.carry_over(context, given)))
