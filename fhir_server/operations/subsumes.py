"""CodeSystem/$subsumes: how two codes of one system stand to each other.

https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
"""

from fhir_server.context import Context
from fhir_server.operations import canonicals
from fhir_server.operations.parameters import Input, Kinds, required
from r4.issue import FhirError, error
from r4.json import Resource
from terminology import Terminology
from terminology.sources import canonical

NAMES: Kinds = {
    "codeA": "code",
    "codeB": "code",
    "system": "uri",
    "version": "string",
    "codingA": "Coding",
    "codingB": "Coding",
}


def subsumes(context: Context, given: Input, resource_id: str | None = None) -> Resource:
    """Return the Parameters of the outcome: equivalent, subsumes, subsumed-by or not-subsumed.

    Raises FhirError 400 for what is not asked rightly, 404 for a code or system that there is not, 422
    for a system that is not loaded.
    """
    terminology, own = _terminology(context, resource_id)
    system, codes, version = _asked(given, own)
    outcome = terminology.subsumes(system, *codes, version)
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": "outcome", "valueCode": outcome}],
    }


def _terminology(context: Context, resource_id: str | None) -> tuple[Terminology, str | None]:
    if resource_id is None:
        return context.terminology, None
    stored = canonicals.stored(context, "CodeSystem", resource_id)
    return canonicals.having(context, stored), stored.resource["url"]


def _asked(given: Input, own: str | None) -> tuple[str, tuple[str, str], str | None]:
    """Return the system, both codes and the version; raises FhirError 400 for two systems, or none."""
    version = given.get("version")
    if "codingA" not in given and "codingB" not in given:
        system = own if own is not None and "system" not in given else required(given, "system")
        codes = (required(given, "codeA"), required(given, "codeB"))
        _refuse_another(own, system)
        return system, codes, version
    one, other = required(given, "codingA"), required(given, "codingB")
    systems = {
        canonical(each.get("system") or given.get("system") or own or "") for each in (one, other)
    }
    if len(systems) > 1 or "" in systems:
        text = "Two codes are compared within one system: name it in both Codings."
        raise FhirError(400, [error("invalid", text, "Parameters.parameter('codingB')")])
    system = systems.pop()
    _refuse_another(own, system)
    return system, (one["code"], other["code"]), version or one.get("version")


def _refuse_another(own: str | None, system: str) -> None:
    if own is not None and canonical(own) != canonical(system):
        text = f"The codes are of {system}; this URL compares those of {own}."
        raise FhirError(400, [error("invalid", text, "Parameters.parameter('system')")])
