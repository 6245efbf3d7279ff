"""Whether a reference points to a type that its element allows.

Only what the reference itself says is read: no resource is fetched.
https://hl7.org/fhir/R4/references.html
"""

from profiles.findings import Check, Path, Run, listed
from r4 import definitions, reference
from r4.json import Resource


def check(targets: tuple[str, ...]) -> Check | None:
    """Compile the check of a Reference's target type; None where any resource is allowed."""
    allowed = frozenset(target.rpartition("/")[2] for target in targets)
    if not allowed or "Resource" in allowed:
        return None

    def check_target(value: Resource, path: Path, run: Run) -> None:
        text = value.get("reference", "")
        if text.partition("/")[0] not in allowed or "type" in value:
            for found in (_target_type(text, run), value.get("type")):
                if found not in allowed and found in definitions.resource_types():
                    run.report("error", "value", _wrong(found, allowed), path, "reference-target")
                    return

    return check_target


def contained(root: Resource) -> list[Resource]:
    """List the contained resources of a resource, those that are no objects left out."""
    held = root.get("contained")
    return [entry for entry in held if isinstance(entry, dict)] if isinstance(held, list) else []


def _target_type(text: str, run: Run) -> str | None:
    if text.startswith("#"):
        inside = contained(run.root)
        return next((r.get("resourceType") for r in inside if r.get("id") == text[1:]), None)
    found = reference.literal(text) or reference.conditional(text)
    return None if found is None else found.type


def _wrong(found: str, allowed: frozenset[str]) -> str:
    return f"A reference to {found} is not allowed here: refer to {listed(sorted(allowed))}."
