"""The numbers of what a note's signature stores, by which a correction finds it again.

https://csor.example/fhir/sid/extraction
"""

import re
from functools import cache
from urllib.parse import quote

from questionnaires.entries import Entry
from questionnaires.extraction import Extracted
from r4 import definitions
from r4.json import Resource
from terminology.systems import CSOR

EXTRACTION = f"{CSOR}/sid/extraction"
_RESERVED = re.compile(r"([\\,|$])")


def numbered(extracted: Extracted, response_id: str) -> Entry:
    """Return the entry of what is extracted from a note with its number: `<response id>.<key>`.

    It stays as it is where it is shared with other notes (ifNoneExist), where its type has no
    identifier, and where the one that its type has is said already.
    """
    key, entry = extracted
    resource = entry["resource"]
    repeats = _repeats(resource["resourceType"])
    has_one = not repeats and "identifier" in resource
    if repeats is None or has_one or "ifNoneExist" in entry["request"]:
        return entry
    number = {"system": EXTRACTION, "value": f"{response_id}.{key}"}
    listed = [*resource.get("identifier", ()), number] if repeats else number
    return {**entry, "resource": {**resource, "identifier": listed}}


def criteria(resource: Resource) -> str | None:
    """Return the url by which a resource with a number of ours is found, or None without one."""
    identifiers = resource.get("identifier", ())
    for each in identifiers if isinstance(identifiers, list) else [identifiers]:
        if each.get("system") == EXTRACTION:
            value = _RESERVED.sub(r"\\\1", each["value"])
            token = f"{EXTRACTION}|{value}"
            return f"{resource['resourceType']}?identifier={quote(token, safe='/:|')}"
    return None


@cache
def _repeats(resource_type: str) -> bool | None:
    """Tell whether a type has several identifiers, or one; None where it has no such element."""
    structure = definitions.structure(resource_type) or {"snapshot": {"element": []}}
    for element in structure["snapshot"]["element"]:
        if element["path"] == f"{resource_type}.identifier":
            return bool(element["max"] == "*")
    return None
