"""One child, one condition, one case: a case is known by its child too, not by its identifier alone.

A child whose NHS number arrives late has a case under its hospital number; the note that carries the
NHS number is about the same one.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from urllib.parse import urlencode

from fhir_server.context import Context
from fhir_server.interactions.targets import Target, find, places, standing
from fhir_server.store.write import Guard
from r4.issue import FhirError
from r4.json import Resource, decode
from r4.reference import conditional, literal


def known_cases(context: Context, targets: Sequence[Target], guards: list[Guard]) -> list[Target]:
    """Return the targets, those that would create a case which the child has already meaning that one."""
    literals = places(targets)
    new = {f"Patient/{each.id}" for each in targets if each.current is None and each.writes}
    return [
        _known(context, target, literals, guards, new) if _would_open_a_case(target) else target
        for target in targets
    ]


def _would_open_a_case(target: Target) -> bool:
    entry = target.entry
    return (
        entry.type == "EpisodeOfCare"
        and entry.method == "POST"
        and entry.query is not None
        and target.current is None
    )


def _known(
    context: Context,
    target: Target,
    literals: dict[str, str],
    guards: list[Guard],
    new: Collection[str],
) -> Target:
    case = target.entry.resource or {}
    child = _child(context, case, literals)
    kind = _type(case)
    if child is None or child in new or kind is None:
        return target
    query, found = find(context, "EpisodeOfCare", urlencode({"patient": child, "type": kind}))
    guards.append(Guard(query, tuple(stored.id for stored in found)))
    open_ = [case for case in found if decode(case.body)["status"] != "entered-in-error"]
    if not open_:
        return target
    oldest = min(open_, key=lambda stored: stored.rid)
    return replace(target, id=oldest.id, current=oldest, writes=False)


def _child(context: Context, case: Resource, literals: dict[str, str]) -> str | None:
    """Return the literal reference to a case's child; None where nothing is known of it yet."""
    patient = case.get("patient")
    reference = patient.get("reference") if isinstance(patient, dict) else None
    if not isinstance(reference, str):
        return None
    if reference in literals or literal(reference):
        return literals.get(reference, reference)
    wanted = conditional(reference)
    if wanted is None or wanted.type != "Patient":
        return None
    try:
        _, found = find(context, "Patient", wanted.query)
    except FhirError:  # said, with its place, when the reference is made literal
        return None
    records = standing(context, found)
    return f"Patient/{records[0].id}" if len(records) == 1 else None


def _type(case: Resource) -> str | None:
    """Return the first coding of a case's type, as a search token."""
    try:
        coding = case["type"][0]["coding"][0]
        return f"{coding['system']}|{coding['code']}"
    except (KeyError, IndexError, TypeError):  # said by the validator
        return None
