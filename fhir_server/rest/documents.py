"""A signed note as its document, as a PDF and as an HL7 v2 message, from a request to an answer.

https://hl7.org/fhir/R4/composition-operation-document.html
"""

import asyncio

from fhir_server.context import Context
from fhir_server.operations import document as document_operation
from fhir_server.operations import parameters
from fhir_server.rest import negotiate
from fhir_server.rest.answers import Answer, Asked


async def document(context: Context, asked: Asked) -> Answer:
    """GET or POST Composition/[id]/$document."""
    _refuse_parameters(asked)
    return Answer(document_operation.document(context, asked.id))


async def pdf(context: Context, asked: Asked) -> Answer:
    """GET or POST Composition/[id]/$pdf; the layout is set in a thread, one at a time."""
    _refuse_parameters(asked)
    async with context.validating:
        made = await asyncio.to_thread(document_operation.pdf, context, asked.id)
    named = f'inline; filename="note-{asked.id}.pdf"'
    return Answer(made, headers={"Content-Disposition": named}, media_type="application/pdf")


async def mdm(context: Context, asked: Asked) -> Answer:
    """GET or POST Composition/[id]/$mdm: HL7 v2 itself as the body."""
    _refuse_parameters(asked)
    async with context.validating:
        made = await asyncio.to_thread(document_operation.mdm, context, asked.id)
    return Answer(made, media_type=negotiate.HL7V2[0])


def _refuse_parameters(asked: Asked) -> None:
    """Raise FhirError 400 for a parameter: these operations have none."""
    parameters.of_query(asked.pairs, {})
    if asked.raw:
        parameters.of_resource(asked.resource(), {})
