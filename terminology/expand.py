"""The codes of a value set, listed.

https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from r4.issue import FhirError, error
from terminology.compose import Coding, Members


def expand(url: str, members: Members | None) -> list[Coding]:
    """List a value set's codes as Codings, in the order its compose gives.

    Raises FhirError 404 where the value set is unknown, 422 where it cannot be enumerated.
    """
    if members is None:
        raise FhirError(404, [error("not-found", f"The value set {url} is not known here.")])
    if not members.is_enumerable:
        systems = ", ".join(sorted(members.undecided)) or "another value set"
        reason = (
            f"The value set {url} cannot be listed: it takes codes from {systems}, not held here"
            " in full. Ask a terminology server that holds it."
        )
        raise FhirError(422, [error("not-supported", reason)])
    return [coding for codes in members.codes.values() for coding in codes.values()]
