"""What a code means: its concept.

https://hl7.org/fhir/R4/codesystem-operation-lookup.html
"""

from r4.json import Resource
from terminology.sources import Sources


def lookup(sources: Sources, system: str, code: str) -> Resource | None:
    """Return the concept of a code, without those below it; None where it is unknown."""
    concepts = sources.concepts(system)
    return None if concepts is None else concepts.by_code.get(code)
