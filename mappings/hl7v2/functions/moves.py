"""What MRG names besides a prior patient: numbers that are old, and visits that are moved or joined.

HL7 v2.4 §3.4.10 (MRG): MRG-1 and MRG-4 are numbers of a person, MRG-5 and MRG-3 those of a visit.
"""

from mappings.hl7v2.errors import DUPLICATE_KEY, REQUIRED
from mappings.hl7v2.functions.identity import identifiers_of, known_as, usable
from mappings.hl7v2.scope import Compute, Here
from r4.json import Resource

_PRIOR = (("MRG", 5), ("MRG", 3))
_STANDING = (("PV1", 19), ("PID", 18))


def replaced_identifiers(here: Here) -> list[Resource]:
    """Return the numbers of MRG-1 and MRG-4 that PID does not name, as old ones of the same child.

    The child is found by them, and by those of PID.
    """
    patient = here.slot
    listed = patient.resource.get("identifier", []) if patient else []
    still = {(one["system"], one["value"]) for one in listed}
    named = identifiers_of(here, (1, 4))
    found = [one for one in named if (one["system"], one["value"]) not in still]
    if not usable(named, here) and not here.run.issues:
        text = "MRG-1 has no usable identifier: no NHS, CHI or hospital number."
        here.at(1).fail(REQUIRED, text)
    if patient is not None:
        patient.matches = [*patient.matches, *usable(found, here)]
    return [{**one, "use": "old"} for one in found]


def moved_visit(here: Here) -> Resource | None:
    """Return the number of the visit that is moved: MRG-5, else MRG-3, else PID-18."""
    return _visit(here, (*_PRIOR, ("PID", 18)), "MRG-3, the number of the visit, is missing.")


def prior_visit(here: Here) -> Resource | None:
    """Return the number of the visit that goes: MRG-5, else MRG-3."""
    found = _visit(here, _PRIOR, "MRG-3, the number of the visit that goes, is missing.")
    stays = here.scope.slot("Encounter[1]")
    if found and stays is not None and found in stays.resource.get("identifier", ()):
        here.fail(DUPLICATE_KEY, "MRG-3 and PID-18 name the same visit: nothing can be merged.")
    return found


def surviving_visit(here: Here) -> Resource | None:
    """Return the number of the visit that stays: PV1-19, else PID-18."""
    return _visit(here, _STANDING, "PID-18, the number of the visit that stays, is missing.")


def _visit(here: Here, places: tuple[tuple[str, int], ...], missing: str) -> Resource | None:
    for name, number in places:
        if value := here.value(name, number):
            return known_as(here, here.local("visit"), [value])
    here.fail(REQUIRED, missing)
    return None


NAMED: tuple[Compute, ...] = (
    moved_visit,
    prior_visit,
    replaced_identifiers,
    surviving_visit,
)
