"""Whose record it is: what an update by identifier must not do to a child's record.

Hospitals reuse visit and order numbers, and type NHS numbers wrongly. A message that would move a record
from one child to another, or give a child another national number, is refused and kept.
"""

from collections.abc import Iterator, Sequence

from fhir_server.context import Context
from fhir_server.interactions.targets import NATIONAL, survivor
from fhir_server.store import read as store
from r4.issue import Issue, error
from r4.json import Resource
from r4.reference import literal

CHILD = ("subject", "patient")


def identity_issues(context: Context, current: Resource, incoming: Resource) -> Iterator[Issue]:
    """Yield what is wrong with merging an incoming resource, its references literal, into a stored one."""
    if current["resourceType"] == "Patient":
        yield from _other_number(current, incoming)
        yield from _other_survivor(context, current, incoming)
        return
    for element in CHILD:
        before, after = _reference(current, element), _reference(incoming, element)
        if before and after and _are_apart(context, before, after):
            yield other_child(current, after)


def other_child(current: Resource, after: str) -> Issue:
    """Say of a stored resource that it is another child's than the one who is named for it."""
    kind = current["resourceType"]
    element = next(name for name in CHILD if name in current)
    text = (
        f"This {kind} is already that of {_reference(current, element)}; its identifier has been "
        f"used again for {after}. Nothing was changed."
    )
    return error("duplicate", text, f"{kind}.{element}", "other-child")


def _other_number(current: Resource, incoming: Resource) -> Iterator[Issue]:
    for system in NATIONAL:
        before, after = _number(current, system), _number(incoming, system)
        if before and after and before != after and not _is_old(incoming, system, before):
            text = (
                "The hospital number is that of a child with another national number. Correct the "
                "number, or send a merge (A40) if the two records are one child's."
            )
            yield error("duplicate", text, "Patient.identifier", "other-child")


def _is_old(patient: Resource, system: str, value: str) -> bool:
    """Tell whether a Patient says of a number that it is its own no longer."""
    return any(
        (each.get("use"), each.get("system"), each.get("value")) == ("old", system, value)
        for each in patient.get("identifier", ())
    )


def without_old(current: Resource, incoming: Resource) -> Resource:
    """Return an incoming resource without the numbers that the stored one has no longer.

    A message that names an old number as if it were current does not make it so: that is A47's to say.
    """
    listed = incoming.get("identifier")
    if not listed or not any(each.get("use") == "old" for each in current.get("identifier", ())):
        return incoming
    left = [
        each
        for each in listed
        if not _is_old(current, each.get("system", ""), each.get("value", ""))
    ]
    return {**incoming, "identifier": left}


def _other_survivor(context: Context, current: Resource, incoming: Resource) -> Iterator[Issue]:
    before, after = replaced_by(current), replaced_by(incoming)
    if before and after and _are_apart(context, before, after):
        text = f"This record was merged into {before} before; it cannot be merged into {after} too."
        yield error("conflict", text, "Patient.link", "other-survivor")


def cycle_issues(context: Context, patient: Resource) -> Iterator[Issue]:
    """Yield an issue if a Patient, its links literal, would in the end be replaced by itself."""
    itself = f"Patient/{patient['id']}"
    following = replaced_by(patient)
    if following and standing_for(context, following) == itself:
        text = f"{following} has been merged into this record: the two would replace each other."
        yield error("conflict", text, "Patient.link", "merge-cycle")


def _are_apart(context: Context, one: str, other: str) -> bool:
    """Tell whether two references lead to different children, merged records counted as one."""
    return one != other and standing_for(context, one) != standing_for(context, other)


def standing_for(context: Context, reference: str) -> str:
    """Return the reference to the record that stands for a child."""
    place = literal(reference)
    if place is None or place.type != "Patient":
        return reference
    stored = store.current(context.database, "Patient", place.id)
    return reference if stored is None else f"Patient/{survivor(context, stored).id}"


def _reference(resource: Resource, element: str) -> str | None:
    found = resource.get(element)
    reference = found.get("reference") if isinstance(found, dict) else None
    return reference if isinstance(reference, str) else None


def number(patient: Resource, systems: Sequence[str] = NATIONAL) -> Resource | None:
    """Return the identifier that is a Patient's number of the first of the systems in which there is one."""
    listed = patient.get("identifier")
    identifiers = (
        [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    )
    for system in systems:
        for identifier in identifiers:
            if identifier.get("system") == system and identifier.get("use") != "old":
                return identifier
    return None


def _number(patient: Resource, system: str) -> str | None:
    found = number(patient, (system,))
    return found.get("value") if found else None


def replaced_by(patient: Resource) -> str | None:
    """Return the reference to the Patient that a Patient was merged into."""
    for link in patient.get("link", []):
        if link.get("type") == "replaced-by":
            return _reference(link, "other")
    return None
