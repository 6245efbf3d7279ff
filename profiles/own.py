"""The registry's own profiles: the definitions that a resource may claim in `meta.profile`.

https://hl7.org/fhir/R4/profiling.html
"""

from functools import cache

from profiles.shelf import IMPOSE
from r4 import artefacts
from r4.json import Resource

CLAIMED = "csor-"
"""What the id of each of them begins with; the other definitions are extensions."""


@cache
def claimed() -> tuple[Resource, ...]:
    """List the profiles, as StructureDefinitions, in the order of their ids."""
    listed = artefacts.by_url("profiles", "StructureDefinition").values()
    return tuple(each for each in listed if each["id"].startswith(CLAIMED))


def imposed(structure: Resource) -> list[str]:
    """List the canonicals of the profiles that one imposes."""
    listed = structure.get("extension", ())
    return [each["valueCanonical"] for each in listed if each["url"] == IMPOSE]
