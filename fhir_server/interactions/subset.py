"""`_summary` and `_elements`: a resource with a part of its elements, marked as such.

https://hl7.org/fhir/R4/search.html#summary
"""

from collections.abc import Callable, Iterable
from functools import cache

from r4 import definitions
from r4.json import Resource

_TAG = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "subsetted",
}
_ALWAYS = frozenset({"resourceType", "id", "meta"})

Element = Resource
Keep = Callable[[Element], bool]


def summary(resource: Resource, kind: str) -> Resource:
    """Abridge a resource as `_summary` asks: true, text, data; anything else keeps it whole."""
    if kind == "true":
        found = _kept(resource, resource["resourceType"], lambda e: bool(e.get("isSummary")))
    elif kind == "text":
        wanted = {"text", *_mandatory(resource["resourceType"])}
        found = _only(resource, wanted)
    elif kind == "data":
        found = {key: value for key, value in resource.items() if key != "text"}
    else:
        return resource
    return _marked(found)


def elements(resource: Resource, wanted: Iterable[str]) -> Resource:
    """Keep the elements asked for (`name` or `Patient.name`), mandatory and modifier elements."""
    kind = resource["resourceType"]
    names = {_element(name, kind) for name in wanted} | _mandatory(kind) | _modifiers(kind)
    return _marked(_only(resource, names))


def _element(name: str, kind: str) -> str:
    first, _, rest = name.partition(".")
    if first == kind:
        return rest.partition(".")[0]
    return "" if first in definitions.resource_types() else first


def _only(resource: Resource, names: Iterable[str]) -> Resource:
    own = _own(resource["resourceType"])
    wanted = set(names)
    keys = {key for key, element in own.items() if _name(element) in wanted}
    return {
        key: value
        for key, value in resource.items()
        if key in _ALWAYS or key.removeprefix("_") in keys
    }


def _kept(node: Resource, path: str, keep: Keep) -> Resource:
    """Keep what an element's definition says, in the backbone elements kept too."""
    own = _own(path)
    found: Resource = {}
    for key, value in node.items():
        element = own.get(key.removeprefix("_"))
        if key in _ALWAYS:
            found[key] = value
        elif element is not None and keep(element):
            found[key] = _below(value, element["path"], keep)
    return found


def _below(value: object, path: str, keep: Keep) -> object:
    if not _own(path):
        return value
    if isinstance(value, list):
        return [_below(each, path, keep) for each in value]
    return _kept(value, path, keep) if isinstance(value, dict) else value


@cache
def _own(path: str) -> dict[str, Element]:
    """Map JSON key to element, for the elements directly below a path of a resource type."""
    structure = definitions.structure(path.partition(".")[0])
    listed = structure["snapshot"]["element"] if structure else []
    found = {}
    for element in listed:
        if element["path"].rpartition(".")[0] == path:
            for key in _keys(element):
                found[key] = element
    return found


def _keys(element: Element) -> Iterable[str]:
    name = element["path"].rpartition(".")[2]
    if not name.endswith("[x]"):
        return [name]
    codes = (kind["code"] for kind in element.get("type", ()))
    return [name.removesuffix("[x]") + code[0].upper() + code[1:] for code in codes]


def _name(element: Element) -> str:
    name: str = element["path"].rpartition(".")[2]
    return name.removesuffix("[x]")


@cache
def _mandatory(kind: str) -> frozenset[str]:
    return frozenset(_name(e) for e in _own(kind).values() if e.get("min", 0) > 0)


@cache
def _modifiers(kind: str) -> frozenset[str]:
    return frozenset(_name(e) for e in _own(kind).values() if e.get("isModifier"))


def _marked(resource: Resource) -> Resource:
    """Tag a resource as incomplete, so that nobody stores it in place of the whole one."""
    meta = resource.get("meta", {})
    tags = [*meta.get("tag", []), _TAG]
    marked = {**resource, "meta": {**meta, "tag": tags}}
    return {"resourceType": marked.pop("resourceType"), **marked}
