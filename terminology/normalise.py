"""Known other spellings of a system's uri, as the canonical one: in one place, for whatever is stored.

https://hl7.org/fhir/R4/terminologies-systems.html
"""

from functools import cache
from typing import Any

from r4 import definitions
from r4.json import Resource
from terminology.systems import ALIASES

_CLOSED = frozenset({"Bundle", "Binary"})
"""What is stored word for word: a document may be signed, by a signature that stands elsewhere."""


def normalise(resource: Resource) -> Resource:
    """Return a resource with the canonical uri of each `system` that has one; the given is unchanged.

    What has no alias in it is returned as it is, and so is what must stay as it was written: Bundles and
    Binaries, what holds a Signature, and definitions, which are their publishers'.
    """
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or kind in _CLOSED or (changed := _object(resource)) is None:
        return resource
    return resource if _is_definition(kind) or _is_signed(resource) else changed


@cache
def _is_definition(kind: str) -> bool:
    """Tell whether resources of a type are definitions: what has a context of use."""
    structure = definitions.structure(kind)
    elements = () if structure is None else structure["snapshot"]["element"]
    return any(element["path"] == f"{kind}.useContext" for element in elements)


def _is_signed(node: Any) -> bool:
    if isinstance(node, dict):
        return any(
            name == "signature" or name.endswith("Signature") or _is_signed(value)
            for name, value in node.items()
        )
    return isinstance(node, list) and any(map(_is_signed, node))


def _object(node: Resource) -> Resource | None:
    """Return an object with what was changed in it, None where nothing was."""
    changed: Resource | None = None
    for name, value in node.items():
        kind = value.__class__
        if kind is str:
            new: Any = ALIASES.get(value) if name == "system" else None
        elif kind is dict:
            new = _object(value)
        else:
            new = _array(value) if kind is list else None
        if new is not None:
            changed = dict(node) if changed is None else changed
            changed[name] = new
    return changed


def _array(items: list[Any]) -> list[Any] | None:
    changed: list[Any] | None = None
    for index, each in enumerate(items):
        new = _object(each) if each.__class__ is dict else None
        if new is not None:
            changed = list(items) if changed is None else changed
            changed[index] = new
    return changed
