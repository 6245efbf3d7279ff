"""Whether the profiles that a resource says it meets (`meta.profile`) are known here.

https://hl7.org/fhir/R4/resource.html#Meta
"""

from profiles.findings import Check, Path, Run
from profiles.shelf import Shelf


def check(shelf: Shelf) -> Check | None:
    """Compile what warns of a profile that is not known here, since it was not checked."""
    if not shelf.warnings:
        return None

    def check_profile(profile: str, path: Path, run: Run) -> None:
        if shelf.find(profile) is None:
            said = f"The profile {profile} is not known here, so it was not checked."
            run.report("warning", "not-found", said, path, "profile-unknown")

    return check_profile
