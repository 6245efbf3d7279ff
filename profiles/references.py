"""Whether a reference is written as one, and points to a type that its element allows.

Only what the reference itself says is read: no resource is fetched.
https://hl7.org/fhir/R4/references.html
"""

import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any
from urllib.parse import unquote

from profiles.findings import Check, Path, Resolve, Run, listed, shown
from r4 import definitions, reference
from r4.json import Resource

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")


Conforms = Callable[[Any, str, Run], bool | None]
TypeOf = Callable[[str], str | None]
"""From the canonical of a profile to the type it is for; None where it is not known."""


def check(targets: tuple[str, ...], type_of: TypeOf) -> Check:
    """Compile the check of a Reference under the target profiles of its element.

    A profile that is not known here may be for any type.
    """
    named = {type_of(target) for target in targets}
    allowed = frozenset(each for each in named if each is not None)
    if not allowed or None in named or "Resource" in allowed:
        allowed = frozenset(definitions.resource_types())

    def check_target(value: Resource, path: Path, run: Run) -> None:
        text = value.get("reference", "")
        if "type" not in value:
            if text.partition("/")[0] in allowed:
                return
            target, _, query = text.partition("?")
            if target in allowed and query.isprintable() and query:
                return
        said = _problem(text, value.get("type"), allowed, run.root)
        if said is not None:
            run.report("error", "value", said, path, "reference-target")

    return check_target


def conformance(targets: tuple[str, ...], conforms: Conforms) -> Check:
    """Compile the check that what a Reference leads to conforms to one of the profiles.

    Only what is at hand is looked at: a contained resource, or one that the run resolves.
    """

    def check_target(value: Resource, path: Path, run: Run) -> None:
        resource = at_hand(value.get("reference", ""), run)
        if resource is None:
            return
        answers = [conforms(resource, target, run) for target in targets]
        if all(answer is False for answer in answers):
            said = f"What is referred to does not conform to {listed(targets)}: refer to one that does."
            run.report("error", "value", said, path, "reference-profile")

    return check_target


def resolved(value: Any, run: Run) -> Resource | None:
    """Return what a Reference (or canonical) leads to, or as much of it as the reference says."""
    text = value.get("reference") if isinstance(value, dict) else value
    if isinstance(text, str):
        if (resource := at_hand(text, run)) is not None:
            return resource
        target = reference.literal(text) or reference.conditional(text)
        if target is not None:
            return {"resourceType": target.type}
    named = value.get("type") if isinstance(value, dict) else None
    return {"resourceType": named} if isinstance(named, str) else None


def in_bundle(bundle: Resource, beyond: Resolve | None) -> Resolve:
    """Return what finds the entries of a Bundle, and then what is beyond it.

    By their fullUrl, by type and id, or by an identifier, as a conditional reference names them.
    """
    entries = bundle.get("entry")
    held = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    by_url = {e["fullUrl"]: e.get("resource") for e in held if isinstance(e.get("fullUrl"), str)}
    by_name = {"/".join(url.rsplit("/", 2)[-2:]): resource for url, resource in by_url.items()}
    otherwise = {name: e["resource"] for e in held for name in _names(e.get("resource"))}

    def find(text: str) -> Resource | None:
        found = by_url.get(text) or by_name.get(text) or otherwise.get(unquote(text))
        if isinstance(found, dict):
            return found
        return None if beyond is None else beyond(text)

    return find


def _names(resource: Any) -> Iterator[str]:
    """Yield the references by which a resource can be meant: with its id, and with its identifiers."""
    if not isinstance(resource, dict):
        return
    kind, listed = resource.get("resourceType"), resource.get("identifier")
    if isinstance(resource.get("id"), str):
        yield f"{kind}/{resource['id']}"
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and "system" in each and "value" in each:
            yield f"{kind}?identifier={each['system']}|{each['value']}"


def at_hand(text: Any, run: Run) -> Resource | None:
    """Return the resource that the text of a reference leads to: contained, or that the run resolves."""
    if not isinstance(text, str) or not text:
        return None
    if text.startswith("#"):
        return next((r for r in contained(run.root) if r.get("id") == text[1:]), None)
    return None if run.resolve is None else run.resolve(text)


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
