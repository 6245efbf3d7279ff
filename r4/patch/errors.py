"""How a patch fails: it is not well-formed (400), or this resource does not take it (422)."""

from r4.issue import FhirError, error


def malformed(at: str, problem: str) -> FhirError:
    """Build the FhirError (400, `structure`) for a patch that cannot be read."""
    return FhirError(400, [error("structure", f"Patch: {problem}", at)])


def failed(at: str, problem: str, code: str = "processing") -> FhirError:
    """Build the FhirError (422) for an operation that cannot be carried out on this resource."""
    return FhirError(422, [error(code, f"Patch: {problem}", at)])
