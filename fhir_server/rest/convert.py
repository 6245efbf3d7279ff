"""HL7 v2 as the FHIR endpoint takes it to be looked at: the message, or batch, itself as the body."""

import asyncio

from fhir_server.context import Context
from fhir_server.operations.convert import convert as operation
from fhir_server.rest import negotiate
from fhir_server.rest.answers import Answer, Asked
from fhir_server.rest.operations import LONG
from r4.issue import FhirError, error
from r4.json import encode

READ = (
    *negotiate.HL7V2,
    "application/edi-hl7",
    "application/edi-hl7v2",
    "application/xml",
    "text/xml",
    "text/plain",
)
"""What HL7 v2 travels as over HTTP; how it is encoded is seen in the bytes."""


async def convert(context: Context, asked: Asked) -> Answer:
    """POST $convert; raises FhirError 415 for what is not sent as HL7 v2.

    What may take long is done in a thread, one at a time, and others are answered meanwhile.
    """
    kind = negotiate.content_type(asked.request)
    if kind not in READ:
        text = f"The Content-Type {kind or '(none)'} is not read here; send {READ[0]}."
        raise FhirError(415, [error("not-supported", text, "http.Content-Type")])
    if len(asked.raw) <= LONG:
        return Answer(encode(operation(context, asked.raw)))
    async with context.validating:
        return Answer(encode(await asyncio.to_thread(operation, context, asked.raw)))
