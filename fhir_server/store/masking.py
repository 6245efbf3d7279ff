"""Resources that stay after a purge, without the child: each reference becomes `masked`.

A Reference that says only that it is masked keeps its place, so that what requires one stays valid and
a count stays a count. https://hl7.org/fhir/R4/extension-data-absent-reason.html
"""

from typing import Any

from fhir_server.store.belonging import Child, is_logical
from r4.json import Resource

MASKED = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "masked",
        }
    ]
}


def masked(resource: Resource, child: Child) -> Resource:
    """Return a resource without its references to the child; its narrative, which may name it, goes."""
    return {key: _masked(value, child) for key, value in resource.items() if key != "text"}


def _masked(node: Any, child: Child) -> Any:
    if isinstance(node, list):
        return [_masked(each, child) for each in node]
    if not isinstance(node, dict):
        return node
    is_reference = isinstance(node.get("reference"), str) or is_logical(node)
    if is_reference and child.is_named_by(node):
        return MASKED
    return {key: _masked(value, child) for key, value in node.items()}
