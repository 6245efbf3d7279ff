"""Merge an incoming resource into the current one: HL7 v2 sends what it knows, not the whole.

Objects are merged, lists replaced; `identifier` keeps every system and value once, `extension` every
url once (the incoming one wins). Pure.
"""

from typing import Any

from r4.json import Resource

UNFINISHED = ("planned", "arrived", "triaged", "in-progress", "onleave")

_DOCUMENT = {"current": 0, "superseded": 1, "entered-in-error": 2}


def merge(current: Resource, incoming: Resource, deletes: tuple[str, ...] = ()) -> Resource:
    """Return the current resource with the incoming elements over it and the deleted ones gone."""
    if "deceasedDateTime" in current and incoming.get("deceasedBoolean") is True:
        # "Has died", sent without a date, says less than the date that is known.
        incoming = {key: value for key, value in incoming.items() if key != "deceasedBoolean"}
        deletes = tuple(element for element in deletes if element != "deceasedDateTime")
    if _goes_back(current, incoming):
        # A late message does not reopen a spell that has ended, nor unmake one that has begun.
        incoming = {key: value for key, value in incoming.items() if key != "status"}
    if current.get("resourceType") == "DocumentReference":
        incoming = _document(current, incoming)
    merged = _objects(current, incoming)
    return {key: value for key, value in merged.items() if key not in deletes}


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
    replaced = {tuple(item.get(key) for key in keys) for item in incoming}
    kept = [item for item in current if tuple(item.get(key) for key in keys) not in replaced]
    return [*kept, *incoming]
