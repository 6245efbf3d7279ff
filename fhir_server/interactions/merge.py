"""Merge an incoming resource into the current one: HL7 v2 sends what it knows, not the whole.

Objects are merged, lists replaced; `identifier` keeps every system and value once, `extension` every
url once (the incoming one wins). An entry that carries a visit event says so (`visits.Change`). Pure.
"""

from typing import Any

from fhir_server.interactions.visits import UNFINISHED, Change, applied
from r4.json import Resource
from terminology.systems import CSOR

TOLD_BY_DISCHARGE = f"{CSOR}/StructureDefinition/told-by-discharge"
"""The extension of a Patient that names the visit whose discharge alone told of the death."""

_DEATH = ("deceasedDateTime", "deceasedBoolean")

_DOCUMENT = {"current": 0, "superseded": 1, "entered-in-error": 2}


def merge(
    current: Resource,
    incoming: Resource,
    deletes: tuple[str, ...] = (),
    change: Change | None = None,
) -> Resource:
    """Return the current resource with the incoming elements over it and the deleted ones gone."""
    current, incoming = _of_death(current, incoming, deletes, change)
    if "deceasedDateTime" in current and incoming.get("deceasedBoolean") is True:
        # "Has died", sent without a date, says less than the date that is known.
        incoming = {key: value for key, value in incoming.items() if key != "deceasedBoolean"}
        deletes = tuple(element for element in deletes if element != "deceasedDateTime")
    if change is not None and current.get("resourceType") == "Encounter":
        current, incoming = applied(current, incoming, change)
    elif _goes_back(current, incoming):
        # A late message does not reopen a spell that has ended, nor unmake one that has begun.
        incoming = {key: value for key, value in incoming.items() if key != "status"}
    if current.get("resourceType") == "DocumentReference":
        incoming = _document(current, incoming)
    merged = _objects(current, incoming)
    return {key: value for key, value in merged.items() if key not in deletes}


def _of_death(
    current: Resource, incoming: Resource, deletes: tuple[str, ...], change: Change | None
) -> tuple[Resource, Resource]:
    """Keep apart the death that a hospital tells of and the one that only a discharge means.

    The first is not overwritten by the second; the second goes when its discharge is cancelled.
    """
    told_by = _told_by(current)
    if told_by and change and change.kind == "cancel-discharge" and told_by in change.visits:
        current = {key: value for key, value in _untold(current).items() if key not in _DEATH}
    elif told_by and not _told_by(incoming) and _mentions_death(incoming, deletes):
        current = _untold(current)
    if _told_by(incoming) and not told_by and _has_died(current):
        incoming = _untold(incoming)
        if "deceasedDateTime" in current:
            incoming = {key: value for key, value in incoming.items() if key not in _DEATH}
    return current, incoming


def without_death_by_discharge(patient: Resource) -> Resource:
    """Return a Patient without a death that nothing but a discharge tells of."""
    if not _told_by(patient):
        return patient
    return {key: value for key, value in _untold(patient).items() if key not in _DEATH}


def confirmed(current: Resource, incoming: Resource) -> Resource:
    """Return a Patient whose death is no longer its discharge's alone, where the hospital tells of it."""
    if _told_by(current) and not _told_by(incoming) and _has_died(incoming):
        return _untold(current)
    return current


def _told_by(patient: Resource) -> str | None:
    for extension in patient.get("extension", []):
        if extension.get("url") == TOLD_BY_DISCHARGE:
            visit = extension.get("valueIdentifier", {})
            return f"{visit.get('system')}|{visit.get('value')}"
    return None


def _untold(patient: Resource) -> Resource:
    """Return a Patient without the mark that a discharge told of the death."""
    listed = [each for each in patient["extension"] if each.get("url") != TOLD_BY_DISCHARGE]
    rest = {key: value for key, value in patient.items() if key != "extension"}
    return {**rest, "extension": listed} if listed else rest


def _mentions_death(incoming: Resource, deletes: tuple[str, ...]) -> bool:
    return any(name in incoming for name in _DEATH) or any(name in deletes for name in _DEATH)


def _has_died(patient: Resource) -> bool:
    return "deceasedDateTime" in patient or patient.get("deceasedBoolean") is True


def _goes_back(current: Resource, incoming: Resource) -> bool:
    before, after = current.get("status"), incoming.get("status")
    if before == "finished":
        return after in UNFINISHED and "end" not in incoming.get("period", {})
    return before in UNFINISHED and after == "planned" and before != after


def _document(current: Resource, incoming: Resource) -> Resource:
    """Leave out what a late message or a notification must not undo of a document.

    One that is replaced or in error stays so; content that is only told of does not replace content.
    """
    left_out = set()
    before, after = current.get("status"), incoming.get("status")
    if before in _DOCUMENT and after in _DOCUMENT and _DOCUMENT[before] > _DOCUMENT[after]:
        left_out.add("status")
        if before == "entered-in-error":
            left_out.add("docStatus")
    if not any(part["attachment"].keys() & {"data", "url"} for part in incoming.get("content", ())):
        left_out.add("content")
    return {key: value for key, value in incoming.items() if key not in left_out}


def _objects(current: Resource, incoming: Resource) -> Resource:
    merged = dict(current)
    for key, value in incoming.items():
        merged[key] = _element(key, current.get(key), value)
    return merged


def _element(key: str, current: Any, incoming: Any) -> Any:
    if isinstance(current, dict) and isinstance(incoming, dict):
        return _objects(current, incoming)
    if isinstance(current, list) and isinstance(incoming, list):
        if key == "identifier":
            return _by(current, incoming, "system", "value")
        if key == "extension":
            return _by(current, incoming, "url")
        if key == "link":
            replaced = any(link.get("type") == "replaced-by" for link in current)
            return [
                *current,
                *(
                    link
                    for link in incoming
                    if link not in current and not (replaced and link.get("type") == "replaced-by")
                ),
            ]
    return incoming


def _by(current: list[Resource], incoming: list[Resource], *keys: str) -> list[Resource]:
    """Put the incoming items in the place of those of the same keys: what says the same changes nothing."""
    fresh: dict[tuple[Any, ...], list[Resource]] = {}
    for item in incoming:
        fresh.setdefault(tuple(item.get(key) for key in keys), []).append(item)
    replaced, found = set(fresh), []
    for item in current:
        name = tuple(item.get(key) for key in keys)
        found += fresh.pop(name, []) if name in replaced else [item]
    return [*found, *(item for items in fresh.values() for item in items)]
