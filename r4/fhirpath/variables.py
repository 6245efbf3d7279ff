"""Environment variables: `%context`, `%resource`, the code systems, and the caller's own.

https://hl7.org/fhir/R4/fhirpath.html#variables
"""

from typing import Any

from r4.fhirpath.errors import EvaluationError
from r4.fhirpath.scope import Evaluate, Scope
from r4.fhirpath.values import UCUM, lift

_FIXED = {
    "ucum": UCUM,
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
_PREFIXES = {
    "vs-": "http://hl7.org/fhir/ValueSet/",
    "ext-": "http://hl7.org/fhir/StructureDefinition/",
}


def reader(name: str) -> Evaluate:
    """Compile `%name`; reading a variable that nobody defined raises EvaluationError."""
    if name in _OF_SCOPE:
        return _OF_SCOPE[name]
    constant = _constant(name)

    def evaluate(scope: Scope) -> list[Any]:
        defined = scope.environment.variables
        if name in defined:
            return lift(defined[name])
        if constant is None:
            raise EvaluationError(f"the variable %{name} is not defined")
        return constant

    return evaluate


def _constant(name: str) -> list[Any] | None:
    if name in _FIXED:
        return [_FIXED[name]]
    for prefix, base in _PREFIXES.items():
        if name.startswith(prefix):
            return [base + name.removeprefix(prefix)]
    return None


def _context(scope: Scope) -> list[Any]:
    return scope.root


def resource(scope: Scope) -> list[Any]:
    """Return `%resource`: the one the caller named, or the input."""
    given = scope.environment.resource
    return scope.root if given is None else lift(given)


def root_resource(scope: Scope) -> list[Any]:
    """Return `%rootResource`: the one the caller named, or `%resource`."""
    given = scope.environment.root_resource
    return resource(scope) if given is None else lift(given)


_OF_SCOPE: dict[str, Evaluate] = {
    "context": _context,
    "resource": resource,
    "rootResource": root_resource,
}
