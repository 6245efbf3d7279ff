"""A refusal as HTTP: the OperationOutcome of its issues. An unforeseen failure says no more than that.

https://hl7.org/fhir/R4/http.html#Status-Codes
"""

import logging
import re

from fhir_server.access.rates import ThrottledError
from fhir_server.access.scopes import InsufficientScopeError
from fhir_server.rest import negotiate
from fhir_server.rest.answers import Answer
from fhir_server.rest.negotiate import Wanted, wanted
from fhir_server.rest.request import Request
from fhir_server.store.failure import place
from r4.issue import FhirError, error, operation_outcome
from r4.json import Resource, encode

logger = logging.getLogger("csor.rest")

_SCOPE = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")
"""What a scope can be (RFC 6749, section 3.3): a path may have named a type with any other character."""
HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "10"}}


def refusal(request: Request, failure: FhirError, served: str = "") -> Answer:
    """Return the answer of a refusal, in the format that was asked for; in JSON where it is not served.

    `served` are the methods of the URL, which a 405 names.
    """
    headers = headers_of(failure)
    if failure.status == 405:  # noqa: PLR2004
        headers["Allow"] = served
    if isinstance(failure, InsufficientScopeError):
        needed = f', scope="{failure.scope}"' if _SCOPE.fullmatch(failure.scope) else ""
        headers["WWW-Authenticate"] = f'Bearer error="insufficient_scope"{needed}'
    try:
        how = wanted(request)
    except FhirError:
        how = Wanted("json")
    content, kind = negotiate.written(how, encode(operation_outcome(failure.issues)))
    return Answer(content, failure.status, headers, kind)


def headers_of(failure: FhirError) -> dict[str, str]:
    """Return the headers that the status of a refusal has."""
    if isinstance(failure, ThrottledError):
        return {"Retry-After": str(failure.wait)}
    return dict(HEADERS.get(failure.status, {}))


def shown(failure: FhirError) -> Resource:
    """Return the OperationOutcome of a refusal whose reader is a person at a page of ours."""
    outcome: Resource = operation_outcome(failure.issues)
    for issue in outcome["issue"]:
        issue["details"] = {"text": issue["diagnostics"]}
    return outcome


def failure(request: Request, unforeseen: Exception) -> FhirError:
    """Log where an unforeseen failure happened (no content: it may be a patient's); returns a 500."""
    logger.error("500 %s %s", request.method, place(unforeseen))
    text = "The server failed; nothing was stored. The failure has been logged."
    return FhirError(500, [error("exception", text)])
