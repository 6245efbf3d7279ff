"""`resolve()`: from references to the resources they name.

https://hl7.org/fhir/R4/fhirpath.html#functions
"""

from collections.abc import Iterator
from typing import Any

from r4 import reference
from r4.fhirpath.scope import Scope
from r4.fhirpath.values import lift, plain
from r4.fhirpath.variables import root_resource


def resolve(scope: Scope, items: list[Any]) -> list[Any]:
    """Return the resource of each reference, canonical or uri; what is not found is left out.

    Looked for among the contained resources, the entries of an enclosing Bundle, and by
    `Environment.resolve`. Without that, a reference that says its type gives a resource of type and
    id only: what search parameters need to say `resolve() is Patient`.
    """
    return [found for item in items for found in _resolved(scope, item)]


def referenced(item: Any) -> reference.Literal | None:
    """Read the literal reference of a Reference, uri or string; None where there is none."""
    text = _text(item)
    return None if text is None else reference.literal(text)


def _resolved(scope: Scope, item: Any) -> Iterator[Any]:
    text = _text(item)
    if text is None:
        return
    if text.startswith("#"):
        yield from _contained(scope, text[1:])
        return
    entry = _entry(scope, text)
    if entry is not None:
        yield from lift(entry)
    elif scope.environment.resolve is not None:
        yield from lift(scope.environment.resolve(text))
    else:
        yield from lift(_stub(item, text))


def _text(item: Any) -> str | None:
    value = plain(item)
    if isinstance(value, dict):
        value = value.get("reference")
    return value if isinstance(value, str) else None


def _contained(scope: Scope, name: str) -> Iterator[Any]:
    for container in root_resource(scope):
        resource = plain(container)
        if not isinstance(resource, dict):
            continue
        if name == "":
            yield container
        for contained in resource.get("contained", ()):
            if contained.get("id") == name:
                yield from lift(contained)


def _entry(scope: Scope, text: str) -> Any:
    for container in root_resource(scope):
        bundle = plain(container)
        if isinstance(bundle, dict) and bundle.get("resourceType") == "Bundle":
            for entry in bundle.get("entry", ()):
                if _is_named(entry, text):
                    return entry.get("resource")
    return None


def _is_named(entry: dict[str, Any], text: str) -> bool:
    url = entry.get("fullUrl", "")
    return bool(url == text or (reference.literal(text) and url.endswith("/" + text)))


def _stub(item: Any, text: str) -> dict[str, Any] | None:
    if literal := reference.literal(text):
        return {"resourceType": literal.type, "id": literal.id}
    if conditional := reference.conditional(text):
        return {"resourceType": conditional.type}
    value = plain(item)
    stated = value.get("type") if isinstance(value, dict) else None
    return {"resourceType": stated} if isinstance(stated, str) else None
