"""How two codes of one system stand to each other, and closure tables over such answers.

https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
"""

from typing import Literal

from r4.issue import FhirError, error
from terminology.loaded import LoadedSystem
from terminology.lookup import absent
from terminology.sources import Sources

Outcome = Literal["equivalent", "subsumes", "subsumed-by", "not-subsumed"]


def subsumes(
    sources: Sources, system: str, one: str, other: str, version: str | None = None
) -> Outcome:
    """Tell how one code stands to another: whether it is the same, above it, below it, or neither.

    Raises FhirError 404 where there is no such code, 422 where the system is not loaded.
    """
    held = sources.system(system, version)
    if held is None:
        raise absent(sources, system, version)
    for code in (one, other):
        if held.concept(code) is None:
            text = f"{system} has no code {code!r} here."
            raise FhirError(404, [error("not-found", text, rule="unknown-code")])
    return outcome(held, one, other)


def outcome(system: LoadedSystem, one: str, other: str) -> Outcome:
    """Tell how one code of a system stands to another; both exist."""
    if one == other:
        return "equivalent"
    if system.subsumes(one, other):
        return "subsumes"
    return "subsumed-by" if system.subsumes(other, one) else "not-subsumed"
