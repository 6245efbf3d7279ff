"""The entries of a batch or transaction Bundle, read: what each asks for, or what is wrong with it.

https://hl7.org/fhir/R4/http.html#trules
"""

import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from fhir_server.interactions.visits import Change
from mappings.merge import (
    MERGE,
    MERGE_DELETE,
    MERGE_EVENT,
    MERGE_RECORDED,
    MERGE_VISIT,
    REQUEST_KIND,
)
from r4 import definitions
from r4.issue import FhirError, Issue, error
from r4.json import Resource, decode
from r4.patch import fhirpath_patch, json_patch

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
Patch = Callable[[Resource], Resource]
MOST_READS = 100
"""Most GET entries of one Bundle: each may answer with a page of 1000 resources."""
_BUNDLE = frozenset({"resourceType", "type", "entry"})
_ENTRY = frozenset({"fullUrl", "resource", "request"})
_REQUEST = frozenset({"method", "url", "ifNoneExist", "ifMatch", "ifNoneMatch"})
_URL = re.compile(r"(?!.*/_history/)\S+")
"""What is a uri and a string, and the fullUrl of no version (bdl-8)."""
_TEXTS = ("ifNoneExist", "ifMatch", "ifNoneMatch")


@dataclass(frozen=True, slots=True)
class Entry:
    """One request: method, type, id or query, resource, and where it stands in its Bundle.

    `id` of a POST is the id that what is new is to have, which the server's own work alone may choose;
    `query` is the criteria of a conditional create, update or patch; `patch` makes the new version of
    the current one; `merge` tells whether an update keeps what the incoming resource does not mention,
    `deletes` the elements that it removes all the same, `change` the visit event that it carries,
    `kind` what else it does (`interactions.moves`).
    """

    method: str
    type: str
    id: str | None = None
    query: str | None = None
    resource: Resource | None = None
    full_url: str | None = None
    if_match: str | None = None
    patch: Patch | None = None
    merge: bool = False
    deletes: tuple[str, ...] = ()
    change: Change | None = None
    kind: str = ""
    place: str | None = None

    def at(self, expression: str | None) -> str | None:
        """Return an expression of the resource as one of the Bundle that holds it."""
        if self.place is None or expression is None:
            return expression or self.place
        rest = expression.partition(".")[2]
        return f"{self.place}.resource.{rest}" if rest else f"{self.place}.resource"


def entries(bundle: Resource, largest: int, *, trusted: bool = False) -> list[Entry]:
    """Read the entries of a Bundle; raises FhirError 400 with every entry that cannot be read.

    Raises FhirError 413 for more entries, or more that read, than are taken at once. The
    extensions of a request are honoured in a trusted Bundle (one that a mapping made) alone.
    """
    listed = bundle.get("entry", [])
    if not isinstance(listed, list):
        raise FhirError(400, [error("structure", "Bundle.entry is an array.", "Bundle.entry")])
    if len(listed) > largest:
        text = f"The Bundle has {len(listed)} entries; at most {largest} are taken at once."
        raise FhirError(413, [error("too-long", text, "Bundle.entry")])
    issues = list(_twins(listed))
    read: list[Entry] = []
    for number, entry in enumerate(listed):
        place = f"Bundle.entry[{number}]"
        found = list(_wrong(entry, place))
        issues.extend(found)
        if not found:
            read.append(_entry(entry, place, trusted=trusted))
    if issues:
        raise FhirError(400, issues)
    if sum(entry.method == "GET" for entry in read) > MOST_READS:
        text = f"A Bundle may have at most {MOST_READS} GET entries."
        raise FhirError(413, [error("too-long", text, "Bundle.entry")])
    return read


def is_plain(bundle: Resource) -> bool:
    """Tell whether a Bundle whose entries can be read has nothing besides them that could be wrong.

    Most have not, and are spared the validation of what is around their resources.
    """
    listed = bundle.get("entry") or []
    return bundle.keys() <= _BUNDLE and bool(listed) and all(map(_is_plain, listed))


def _is_plain(entry: Resource) -> bool:
    request = entry["request"]
    if not (entry.keys() <= _ENTRY and request.keys() <= _REQUEST):
        return False
    return _URL.fullmatch(entry.get("fullUrl", "urn:")) is not None and all(
        _URL.fullmatch(each) for each in request.values()
    )


def refuse_blank(entry: Entry) -> None:
    """Raise FhirError 412 where criteria are blank, or one of their values is.

    Such criteria find nothing, or anything: what is conditional on them would be stored every time.
    """
    if entry.query is None:
        return
    pairs = parse_qsl(entry.query, keep_blank_values=True)
    if not pairs or any(not value.strip(", ") for _, value in pairs):
        text = f"{entry.type}?{entry.query}: criteria need a value."
        raise FhirError(412, [error("required", text, entry.at(None))])


def _twins(listed: list[Any]) -> Iterator[Issue]:
    """Yield an issue of each entry that has the fullUrl of another: a reference could mean either."""
    seen: dict[str, int] = {}
    for number, entry in enumerate(listed):
        url = entry.get("fullUrl") if isinstance(entry, dict) else None
        if isinstance(url, str) and (first := seen.setdefault(url, number)) != number:
            text = f"Bundle.entry[{first}] has the same fullUrl: give each entry its own (bdl-7)."
            yield error("invariant", text, f"Bundle.entry[{number}].fullUrl", "bdl-7")


def _wrong(entry: Any, place: str) -> Iterator[Issue]:
    request = entry.get("request") if isinstance(entry, dict) else None
    if not isinstance(request, dict):
        yield error("required", "Each entry needs a request.", f"{place}.request")
        return
    yield from _untexts(entry, ("fullUrl",), place)
    yield from _untexts(request, _TEXTS, f"{place}.request")
    method, url = request.get("method"), request.get("url")
    if method not in METHODS:
        text = (
            f"The method {method!r} is not supported in a Bundle; supported: {', '.join(METHODS)}."
        )
        yield error("not-supported", text, f"{place}.request.method")
    named = isinstance(url, str) and ("/" in url or "?" in url)
    if method in ("PUT", "PATCH", "DELETE") and not named:
        yield error("value", f"A {method} names an id or criteria.", f"{place}.request.url")
    if not isinstance(url, str) or _type(url) not in definitions.resource_types():
        yield error("value", f"{url!r} names no resource type.", f"{place}.request.url")
    elif method not in ("GET", "DELETE"):
        yield from _wrong_resource(method, url, entry.get("resource"), f"{place}.resource")


def _untexts(node: Resource, names: tuple[str, ...], place: str) -> Iterator[Issue]:
    for name in names:
        if not isinstance(node.get(name, ""), str):
            yield error("structure", f"{name} is a string.", f"{place}.{name}")


def _wrong_resource(method: object, url: str, resource: Any, place: str) -> Iterator[Issue]:
    if not isinstance(resource, dict):
        yield error("required", f"A {method} needs a resource.", place)
        return
    if method == "PATCH":
        yield from _wrong_patch(resource, place)
        return
    if resource.get("resourceType") != _type(url):
        text = f"The url speaks of {_type(url)}, the resource is {resource.get('resourceType')!r}."
        yield error("invalid", text, place)
    named = url.partition("?")[0].partition("/")[2]
    if method == "PUT" and named and resource.get("id") != named:
        text = f"The resource's id is {resource.get('id')!r}; the url says {named!r}."
        yield error("invalid", text, f"{place}.id")


def _wrong_patch(resource: Resource, place: str) -> Iterator[Issue]:
    if resource.get("resourceType") not in ("Parameters", "Binary"):
        text = "A PATCH carries Parameters (FHIRPath Patch) or a Binary (JSON Patch)."
        yield error("invalid", text, place)
    elif resource["resourceType"] == "Binary" and _operations(resource) is None:
        text = "The Binary's data is not a JSON Patch in base64."
        yield error("structure", text, f"{place}.data")


def _operations(binary: Resource) -> Any:
    try:
        return decode(b64decode(binary["data"], validate=True))
    except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError):
        return None


def _patch(resource: Resource) -> Patch:
    """Return what the Parameters or the Binary of a PATCH entry does to a resource."""
    if resource["resourceType"] == "Parameters":
        return lambda current: fhirpath_patch.apply(current, resource)
    operations = _operations(resource)
    return lambda current: json_patch.apply(current, operations)


def _type(url: str) -> str:
    return url.partition("?")[0].partition("/")[0]


def _entry(entry: Resource, place: str, *, trusted: bool) -> Entry:
    request = entry["request"]
    path, asks, query = request["url"].partition("?")
    resource_type, _, resource_id = path.partition("/")
    extensions = request.get("extension", []) if trusted else []
    patches = request["method"] == "PATCH"
    carries = request["method"] in ("POST", "PUT")
    return Entry(
        method=request["method"],
        type=resource_type,
        id=resource_id or None if request["method"] != "POST" else None,
        query=query if asks else request.get("ifNoneExist"),
        resource=entry["resource"] if carries else None,
        patch=_patch(entry["resource"]) if patches else None,
        full_url=entry.get("fullUrl"),
        if_match=request.get("ifMatch"),
        merge=any(e["url"] == MERGE and e.get("valueBoolean") for e in extensions),
        deletes=tuple(e["valueString"] for e in extensions if e["url"] == MERGE_DELETE),
        change=_change(extensions),
        kind=next((e["valueCode"] for e in extensions if e["url"] == REQUEST_KIND), ""),
        place=place,
    )


def _change(extensions: list[Resource]) -> Change | None:
    kinds = [e["valueCode"] for e in extensions if e["url"] == MERGE_EVENT]
    recorded = [e["valueDateTime"] for e in extensions if e["url"] == MERGE_RECORDED]
    visits = tuple(e["valueString"] for e in extensions if e["url"] == MERGE_VISIT)
    return Change(kinds[0], recorded[0] if recorded else None, visits) if kinds else None
