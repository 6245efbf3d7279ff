"""What is signed stays as it was signed: a correction is a new version with its reason, or a new document.

No door changes it otherwise, and a Bundle that a mapping made no more than one that was sent. What it
refers to may be moved, for a visit that was another child's takes its notes along.
"""

from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.conformance import form
from fhir_server.interactions.targets import Target
from r4.canonical import split
from r4.issue import FhirError, error
from r4.json import Resource, decode

NOTE = "11504-8"
"""LOINC: surgical operation note. A form with this code is signed, one without it is only answered."""
_DONE = ("completed", "amended")
_ATTESTED = ("final", "amended", "corrected")
_KINDS = frozenset({"QuestionnaireResponse", "Composition", "Bundle"})


def refuse_change(context: Context, target: Target, resource: Resource | None) -> None:
    """Raise FhirError 409 where an entry would change, or delete (None), what is signed."""
    current = target.current
    if target.entry.type not in _KINDS or current is None or current.deleted:
        return
    before: Resource = decode(current.body)
    if not is_signed(context, before):
        return
    moves = target.entry.kind == "moved"
    if resource is not None and _said(before, moves) == _said(resource, moves):
        return
    what = "deleted" if resource is None else "changed"
    text = (
        f"{current.type}/{current.id} is signed and cannot be {what}: correct the note with "
        "QuestionnaireResponse/[id]/$correct, or add to it with $addend."
    )
    raise FhirError(409, [error("business-rule", text, target.entry.at(current.type), "signed")])


def refuse_signing(context: Context, target: Target, resource: Resource | None) -> None:
    """Raise FhirError 403 where a hospital's client would store something as signed: surgeons sign."""
    kind, current = target.entry.type, target.current
    if not context.principal.is_narrowed or kind not in _KINDS or resource is None:
        return
    is_same = current is not None and not current.deleted
    if (
        is_same
        and current is not None
        and _said(decode(current.body), False) == _said(resource, False)
    ):
        return
    if is_signed(context, resource):
        text = "A note is signed by its surgeon, in a session that the hospital's EPR has launched."
        raise FhirError(403, [error("forbidden", text, target.entry.at(kind), "signed")])


def is_signed(context: Context, resource: Resource) -> bool:
    """Tell whether a stored resource is a signed note, its attested Composition, or a document."""
    kind = resource["resourceType"]
    if kind == "Bundle":
        return resource.get("type") == "document"
    if kind == "Composition":
        modes = {each.get("mode") for each in resource.get("attester", ())}
        return resource.get("status") in _ATTESTED and "legal" in modes
    return resource.get("status") in _DONE and is_of_note(context, resource.get("questionnaire"))


def is_of_note(context: Context, canonical: str | None) -> bool:
    """Tell whether a form is an operative note: the version that was answered, or the one known now.

    Either will do: a form that somebody stores in the place of a version that is gone unsigns no note.
    """
    found = (form(context, canonical), form(context, split(canonical or "")[0]))
    return any(is_note(one) for one in found if one is not None)


def is_note(form: Resource) -> bool:
    """Tell whether a form is that of an operative note, which is signed."""
    return any(each.get("code") == NOTE for each in form.get("code", ()))


def _said(resource: Resource, moves: bool) -> Any:
    """Return what a resource says of itself; where it is moved, whoever it refers to."""
    said = {key: value for key, value in resource.items() if key != "meta"}
    return _without_references(said) if moves else said


def _without_references(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_references(each) for each in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("reference"), str):
        return {"reference": ""}
    return {key: _without_references(value) for key, value in node.items()}
