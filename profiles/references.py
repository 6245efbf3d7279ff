"""Whether a reference is written as one, and points to a type that its element allows.

Only what the reference itself says is read: no resource is fetched.
https://hl7.org/fhir/R4/references.html
"""

import re
from difflib import get_close_matches

from profiles.findings import Check, Path, Run, listed, shown
from r4 import definitions, reference
from r4.json import Resource

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")


def check(targets: tuple[str, ...]) -> Check:
    """Compile the check of a Reference under the target profiles of its element."""
    allowed = frozenset(target.rpartition("/")[2] for target in targets)
    if not allowed or "Resource" in allowed:
        allowed = frozenset(definitions.resource_types())

    def check_target(value: Resource, path: Path, run: Run) -> None:
        text = value.get("reference", "")
        if text.partition("/")[0] not in allowed or "type" in value:
            said = _problem(text, value.get("type"), allowed, run.root)
            if said is not None:
                run.report("error", "value", said, path, "reference-target")

    return check_target


def contained(root: Resource) -> list[Resource]:
    """List the contained resources of a resource, those that are no objects left out."""
    held = root.get("contained")
    return [entry for entry in held if isinstance(entry, dict)] if isinstance(held, list) else []


def _problem(text: str, named: str | None, allowed: frozenset[str], root: Resource) -> str | None:
    found = _target_type(text, root)
    is_relative = bool(text) and not text.startswith("#") and _SCHEME.match(text) is None
    if is_relative and found is None:
        return f"{shown(text)} is no reference: write Type/id, an absolute url, urn:uuid:… or #id."
    types = definitions.resource_types()
    if is_relative and found not in types:
        return f"{shown(text)} refers to what is not a resource type.{_close(found)}"
    for each in (found, named):
        if each in types and each not in allowed:
            return f"A reference to {each} is not allowed here: refer to {listed(sorted(allowed))}."
    return None


def _target_type(text: str, root: Resource) -> str | None:
    if text.startswith("#"):
        types = (r.get("resourceType") for r in contained(root) if r.get("id") == text[1:])
        found = next(types, None)
        return found if isinstance(found, str) else None
    target = reference.literal(text) or reference.conditional(text)
    return None if target is None else target.type


def _close(name: str | None) -> str:
    close = get_close_matches(name or "", definitions.resource_types(), 1)
    return f" Did you mean {close[0]}?" if close else ""
