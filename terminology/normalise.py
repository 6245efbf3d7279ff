"""Known other spellings of a system's uri, as the canonical one: in one place, for whoever needs it.

https://hl7.org/fhir/R4/terminologies-systems.html
"""

from typing import Any

from r4.json import Resource
from terminology.systems import ALIASES


def normalise(resource: Resource) -> Resource:
    """Return a resource with the canonical uri of each `system` that has one; the given is unchanged.

    What has no alias in it is returned as it is.
    """
    changed = _changed(resource)
    return resource if changed is None else changed


def _changed(node: Any) -> Any:
    """Return a node with what was changed in it, None where nothing was."""
    if isinstance(node, dict):
        return _object(node)
    if isinstance(node, list):
        items = [_changed(each) for each in node]
        if any(item is not None for item in items):
            return [old if new is None else new for old, new in zip(node, items, strict=True)]
    return None


def _object(node: Resource) -> Resource | None:
    changes = {}
    for name, value in node.items():
        new = ALIASES.get(value) if name == "system" and isinstance(value, str) else _changed(value)
        if new is not None:
            changes[name] = new
    return {**node, **changes} if changes else None
