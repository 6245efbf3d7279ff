"""ValueSet/$expand: the codes of a value set, all of them or a page.

https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from collections.abc import Iterator

from fhir_server.context import Context, instant
from fhir_server.operations import canonicals
from fhir_server.operations.canonicals import Named
from fhir_server.operations.parameters import Input, Kinds, missing
from r4.canonical import split
from r4.issue import FhirError, error
from r4.json import Resource
from terminology import Expand
from terminology.sources import canonical

NAMES: Kinds = {
    "url": "uri",
    "valueSet": "resource",
    "valueSetVersion": "string",
    "filter": "string",
    "offset": "integer",
    "count": "integer",
    "includeDesignations": "boolean",
    "includeDefinition": "boolean",
    "activeOnly": "boolean",
    "excludeNested": "boolean",
    "displayLanguage": "code",
    "exclude-system": "uri",
    "system-version": "uri",
}
REPEATS = ("exclude-system", "system-version")
_SHOWN = ("url", "version", "name", "title", "status", "experimental", "publisher", "copyright")


def expand(context: Context, given: Input, resource_id: str | None = None) -> Resource:
    """Return the ValueSet with its expansion; of a page, its offset and the whole number of codes.

    Raises FhirError 400 for what is not asked rightly, 404 where it is not known, and 422 where its codes
    cannot be listed, or are too many to be listed at once.
    """
    named = Named("ValueSet", resource_id, "valueSet", "valueSetVersion")
    found = canonicals.resource(context, named, given)
    if found is None:
        raise missing("url")
    asked, value_set = _asked(given), found.resource
    members = None if asked.versions else canonicals.members(context, found)
    contains, total = context.terminology.expansion(value_set, asked, members)
    expansion: Resource = {"timestamp": instant(context.now())}
    if total is not None:
        expansion["total"] = total
    if asked.count is not None or asked.offset:
        expansion["offset"] = asked.offset
    if said := _said(given):
        expansion["parameter"] = said
    if contains:
        expansion["contains"] = contains
    answer: Resource = {"resourceType": "ValueSet"}
    answer |= {name: value_set[name] for name in _SHOWN if name in value_set}
    if given.get("includeDefinition") and "compose" in value_set:
        answer["compose"] = value_set["compose"]
    return answer | {"expansion": expansion}


def _systems(given: Input, name: str, *, versioned: bool) -> Iterator[tuple[str, str]]:
    """Yield the code systems that a parameter names, with their versions, "" where it takes none."""
    for each in given.get(name, ()):
        url, version = split(each)
        if (version is not None) != versioned:
            form = "`uri|version`" if versioned else "uri, without a version"
            text = f"{name} is a code system's {form}, not {each!r}."
            raise FhirError(400, [error("value", text, f"Parameters.parameter('{name}')")])
        yield canonical(url), version or ""


def _asked(given: Input) -> Expand:
    for name in ("offset", "count"):
        if given.get(name, 0) < 0:
            where = f"Parameters.parameter('{name}')"
            raise FhirError(400, [error("value", f"{name} is 0 or more.", where)])
    versions = dict(_systems(given, "system-version", versioned=True))
    excluded = (url for url, _ in _systems(given, "exclude-system", versioned=False))
    return Expand(
        filter=given.get("filter", ""),
        offset=given.get("offset", 0),
        count=given.get("count"),
        active_only=given.get("activeOnly", False),
        exclude_nested=given.get("excludeNested", True),
        designations=given.get("includeDesignations", False),
        language=given.get("displayLanguage"),
        versions=versions,
        excluded=frozenset(excluded),
    )


_TYPES = {
    "string": "String",
    "integer": "Integer",
    "boolean": "Boolean",
    "code": "Code",
    "uri": "Uri",
}
_UNSAID = ("url", "valueSet", "valueSetVersion", "includeDefinition")


def _said(given: Input) -> list[Resource]:
    """Write which parameters made the expansion what it is."""
    listed = []
    for name, value in given.items():
        if name not in _UNSAID:
            key = f"value{_TYPES[NAMES[name]]}"
            listed += [
                {"name": name, key: each} for each in (value if name in REPEATS else [value])
            ]
    return listed
