"""The body of a PATCH as what it does to a resource: JSON Patch, XML Patch or FHIRPath Patch.

https://hl7.org/fhir/R4/http.html#patch
"""

from fhir_server.interactions.entries import Patch
from fhir_server.rest import negotiate
from fhir_server.rest.request import Request
from r4 import xml
from r4.issue import FhirError, error
from r4.json import Resource, decode
from r4.patch import fhirpath_patch, json_patch, xml_patch

JSON_PATCH = "application/json-patch+json"
XML_PATCH = "application/xml-patch+xml"
FORMATS = (JSON_PATCH, XML_PATCH, negotiate.JSON, negotiate.XML)


def patch(request: Request, raw: bytes) -> Patch:
    """Return the patch that a request carries; raises FhirError 400 or 415."""
    kind = negotiate.content_type(request)
    if kind == JSON_PATCH:
        try:
            operations = decode(raw)
        except (ValueError, ArithmeticError, RecursionError) as failure:
            wrong = error("structure", f"This is not JSON: {failure}")
            raise FhirError(400, [wrong]) from None
        return lambda current: json_patch.apply(current, operations)
    if kind == XML_PATCH:
        return lambda current: _through_xml(current, raw)
    if kind not in negotiate.READ:
        text = f"The Content-Type {kind or '(none)'} is no patch; send one of {', '.join(FORMATS)}."
        raise FhirError(415, [error("not-supported", text, "http.Content-Type")])
    parameters = negotiate.body(request, raw)
    if parameters["resourceType"] != "Parameters":
        text = "A FHIRPath Patch is a Parameters resource."
        raise FhirError(400, [error("invalid", text, "resourceType")])
    return lambda current: fhirpath_patch.apply(current, parameters)


def _through_xml(current: Resource, raw: bytes) -> Resource:
    return xml.decode(xml_patch.apply(xml.encode(current), raw))
