"""$validate: what is wrong with a resource, without storing it.

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

import profiles
from fhir_server.context import Context
from fhir_server.operations.parameters import Kinds
from r4.issue import FhirError, error, operation_outcome
from r4.json import Resource

NAMES: Kinds = {"resource": "resource"}


def validate(context: Context, resource_type: str | None, resource: Resource) -> Resource:
    """Return the OperationOutcome of a resource; raises FhirError 400 for one of another type."""
    found = resource.get("resourceType")
    if resource_type is not None and found != resource_type:
        text = f"The resource is {found!r}; this URL validates {resource_type}."
        raise FhirError(400, [error("invalid", text, "Parameters.parameter('resource')")])
    return operation_outcome(profiles.validate(resource, context.terminology))
