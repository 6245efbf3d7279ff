"""CDA documents as the FHIR endpoint takes them: the document itself as the body."""

from fhir_server.context import Context
from fhir_server.operations.process_cda import process_cda as operation
from fhir_server.rest import negotiate
from fhir_server.rest.answers import Answer, Asked
from mappings.cda import MEDIA_TYPE
from r4.issue import FhirError, error
from r4.json import encode

READ = (
    MEDIA_TYPE,
    "application/hl7-cda+xml",
    "application/hl7-v3+xml",
    "application/xml",
    "text/xml",
)


async def process_cda(context: Context, asked: Asked) -> Answer:
    """POST DocumentReference/$process-cda; raises FhirError 415 for what is not sent as CDA."""
    kind = negotiate.content_type(asked.request)
    if kind not in READ:
        text = f"The Content-Type {kind or '(none)'} is not read here; send {MEDIA_TYPE}."
        raise FhirError(415, [error("not-supported", text, "http.Content-Type")])
    return Answer(encode(await operation(context, asked.raw)))
