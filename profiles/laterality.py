"""Whether all that a procedure says of its side agrees, by the laterality codes of OPCS-4.

The codes and their titles are those of `ValueSet-procedure-laterality`. No SNOMED CT concept of a side
is verified here, so none is read.
"""

from collections.abc import Iterator

from profiles.findings import Run
from profiles.invariants import Invariant
from r4.json import Resource
from terminology.systems import ALIASES, CSOR, OPCS_4

_LATERALITY = f"{CSOR}/StructureDefinition/procedure-laterality"
_BILATERAL, _RIGHT, _LEFT, _UNILATERAL = "Z941", "Z942", "Z943", "Z944"
_SIDES = frozenset({_BILATERAL, _RIGHT, _LEFT, _UNILATERAL})
_TOGETHER = (
    frozenset({_RIGHT, _UNILATERAL}),
    frozenset({_LEFT, _UNILATERAL}),
    frozenset({_BILATERAL}),
)
"""What may be said of one operation at once, any part of it too."""


def is_of_one_side(procedure: Resource, _: Run) -> bool:
    """Hold the laterality, the codes and the body sites of a procedure to one another."""
    said = {side for coding in _codings(procedure) if (side := _side(coding)) in _SIDES}
    return any(said <= together for together in _TOGETHER)


def _side(coding: Resource) -> str:
    """Return the code of OPCS-4, without its dot; "" for one of another system."""
    system = coding.get("system", "")
    is_ours = ALIASES.get(system, system) == OPCS_4
    return str(coding.get("code", "")).replace(".", "") if is_ours else ""


def _codings(procedure: Resource) -> Iterator[Resource]:
    concepts = [procedure.get("code", {}), *procedure.get("bodySite", ())]
    for extension in procedure.get("extension", ()):
        if extension.get("url") == _LATERALITY:
            concepts.append(extension.get("valueCodeableConcept", {}))
    for concept in concepts:
        yield from concept.get("coding", ())


ADVICE = {
    "Procedure": (
        Invariant(
            is_of_one_side,
            "csor-laterality",
            "The laterality, the codes and the body sites of the procedure name different sides (OPCS-4"
            " Z94.1 both, Z94.2 right, Z94.3 left, Z94.4 one side): correct them, or send one Procedure"
            " for each side",
            "warning",
            "business-rule",
        ),
    ),
}
