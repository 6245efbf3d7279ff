"""Whether a code is in a value set, or exists in its code system: yes, no, or not decidable here.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html
"""

from terminology.compose import Members
from terminology.sources import Sources, canonical


def validate_code(members: Members, system: str | None, code: str) -> bool | None:
    """Tell whether a compiled value set holds a code; None where that cannot be decided here."""
    return members.holds(None if system is None else canonical(system), code)


def validate_in_system(sources: Sources, system: str, code: str) -> bool | None:
    """Tell whether a code exists in its code system; None where the system is not held in full."""
    held = sources.system(system)
    if held is None:
        return None
    if held.concept(code) is not None:
        return True
    return False if held.is_complete else None
