"""Whether the profiles that a resource says it meets (`meta.profile`) are known here.

https://hl7.org/fhir/R4/resource.html#Meta
"""

from functools import cache

from profiles.findings import Path, Run
from r4 import artefacts, definitions


def check(profile: str, path: Path, run: Run) -> None:
    """Warn of a profile that is not known here, since it was not checked."""
    if profile.partition("|")[0] not in _known():
        said = f"The profile {profile} is not known here, so it was not checked."
        run.report("warning", "not-found", said, path, "profile-unknown")


@cache
def _known() -> frozenset[str]:
    ours = artefacts.by_url("profiles", "StructureDefinition")
    return frozenset((*ours, *definitions.urls("StructureDefinition")))
