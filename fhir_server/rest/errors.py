"""A refusal as HTTP: the OperationOutcome of its issues. An unforeseen failure says no more than that.

https://hl7.org/fhir/R4/http.html#Status-Codes
"""

import logging

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.context import place
from fhir_server.rest.negotiate import JSON, written
from r4.issue import FhirError, error, operation_outcome
from r4.json import encode

logger = logging.getLogger("csor.rest")

_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "10"}}


def refusal(request: Request, failure: FhirError) -> Response:
    """Return the answer of a refusal, in the format that was asked for; in JSON where it is not served."""
    headers = _HEADERS.get(failure.status)
    outcome = operation_outcome(failure.issues)
    try:
        content, kind = written(request, encode(outcome))
    except FhirError:
        content, kind = encode(outcome), JSON
    return Response(content, failure.status, headers, media_type=kind)


def failure(request: Request, unforeseen: Exception) -> FhirError:
    """Log where an unforeseen failure happened (no content: it may be a patient's); returns a 500."""
    logger.error("500 %s %s", request.method, place(unforeseen))
    text = "The server failed; nothing was stored. The failure has been logged."
    return FhirError(500, [error("exception", text)])
