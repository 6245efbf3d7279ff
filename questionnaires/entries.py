"""One entry of an extraction's transaction Bundle, as templateExtract and its likes describe it.

https://hl7.org/fhir/uv/sdc/StructureDefinition-sdc-questionnaire-templateExtract.html
"""

from collections.abc import Callable
from typing import Any

from questionnaires.elements import extension_value
from questionnaires.expressions import Focus, Scope
from r4.json import Resource

Entry = dict[str, Any]
Named = tuple[str, Entry]
"""An entry with the name of what made it: a template's id, an item's linkId."""

_CONDITIONS = ("ifNoneMatch", "ifModifiedSince", "ifMatch", "ifNoneExist")


def entry(
    resource: Resource,
    details: dict[str, Any],
    focus: Focus,
    scope: Scope,
    new_id: Callable[[], str],
    *,
    keeps_id: bool = False,
) -> Entry:
    """Build the entry of an extracted resource: POST, or PUT where it has an id.

    details: the extension whose parts (fullUrl, resourceId, ifNoneExist, …) are expressions. A
    resource's own id is that of a template, and is left out, unless it is kept.
    """
    values = {
        name: _text(details, name, focus, scope) for name in ("fullUrl", "resourceId", *_CONDITIONS)
    }
    held = {key: value for key, value in resource.items() if keeps_id or key != "id"}
    if values["resourceId"] is not None:
        held = {"resourceType": held.pop("resourceType"), "id": values["resourceId"], **held}
    conditions = {name: values[name] for name in _CONDITIONS if values[name] is not None}
    return {
        "fullUrl": values["fullUrl"] or f"urn:uuid:{new_id()}",
        "resource": held,
        "request": {**request(held), **conditions},
    }


def request(resource: Resource) -> dict[str, Any]:
    """Return what an entry asks for: an update where the resource has an id, else a create."""
    kind = resource["resourceType"]
    if "id" in resource:
        return {"method": "PUT", "url": f"{kind}/{resource['id']}"}
    return {"method": "POST", "url": kind}


def _text(details: dict[str, Any], name: str, focus: Focus, scope: Scope) -> str | None:
    expression = extension_value(details, name)
    if expression is None:
        return None
    found = scope.evaluate(expression, focus)
    return str(found[0]) if found else None
