"""A registry with one resource of every type about a child of the north, and of one of the south.

They are the standard's own examples, their references led to the child's own side; what is about the
child, or could be, carries a seal of its side. Stored past the checks: what is asked about is reading.
"""

import json
from typing import Any

from fhir_server.context import Context
from fhir_server.store.commit import commit
from fhir_server.store.whose import ABOUT_NOBODY
from fhir_server.store.write import Commit, Write
from r4.json import Resource, encode
from tests.profiles.corpus import examples
from tests.support.hospitals import NORTH, ODS, SOUTH

SIDES = {"north": NORTH, "south": SOUTH}
UNKNOWN = "nobody"
"""The side of which nothing is stored: what is asked of it is asked of what never was.

Where it names what is everybody's, that is the south's, which anybody may know.
"""
_SKIPPED = frozenset({"Parameters", "Bundle", "Binary"})
_LARGEST = 40_000


def seal(side: str) -> str:
    return f"sealed-of-{side}-side"


def key(side: str, kind: str) -> str:
    return f"{side}-{kind.lower()}"


def originals() -> dict[str, Resource]:
    """Return one example of each type, of those that say whose they are where there is one."""
    found: dict[str, Resource] = {}
    for _, resource in sorted(examples()):
        kind = resource["resourceType"]
        text = encode(resource)
        if kind in _SKIPPED or len(text) > _LARGEST:
            continue
        told = found.get(kind)
        if told is None or (b'"Patient/' in text and b'"Patient/' not in encode(told)):
            found[kind] = resource
    return found


def of_side(resource: Resource, side: str, kinds: set[str]) -> Resource:
    """Return an example as one of a side: its id, its references, and its seal."""
    kind = resource["resourceType"]
    led = _led(json.loads(encode(resource)), side, kinds)
    led["id"] = key(side, kind)
    led.pop("text", None)
    if kind == "Organization":
        led["identifier"] = [{"system": ODS, "value": SIDES.get(side, "RX9")}]
        led.pop("partOf", None)
    if kind == "Patient":
        led.pop("link", None)
        managing = key("south" if side == UNKNOWN else side, "Organization")
        led["managingOrganization"] = {"reference": f"Organization/{managing}"}
    if is_sealed(led):
        led["meta"] = {"tag": [{"system": "https://csor.example/fhir/side", "code": seal(side)}]}
    return led


def is_sealed(resource: Resource) -> bool:
    """Tell whether a resource is about a child, or is of a type that might be."""
    return resource["resourceType"] not in ABOUT_NOBODY or b'"Patient/' in encode(resource)


def _led(node: Any, side: str, kinds: set[str]) -> Any:
    if isinstance(node, list):
        return [_led(each, side, kinds) for each in node]
    if not isinstance(node, dict):
        return node
    led = {name: _led(value, side, kinds) for name, value in node.items()}
    if isinstance(said := led.get("reference"), str):
        kind = said.partition("/")[0]
        if kind in kinds:
            whose = "south" if side == UNKNOWN and kind in ABOUT_NOBODY else side
            led["reference"] = f"{kind}/{key(whose, kind)}"
    return led


async def filled(made: Context) -> dict[str, dict[str, Resource]]:
    """Store both sides; returns the resources by type and side, those of nobody among them."""
    found: dict[str, dict[str, Resource]] = {}
    kinds = originals()
    for kind, resource in kinds.items():
        sides = (*SIDES, UNKNOWN)
        found[kind] = {side: of_side(resource, side, set(kinds)) for side in sides}
    first = ("Organization", "Patient")
    ordered = [*first, *(kind for kind in found if kind not in first)]
    moment = 1_700_000_000_000_000
    for kind in ordered:
        for side in SIDES:
            body = encode(found[kind][side])
            await commit(made.database, Commit([Write(kind, key(side, kind), 1, moment, body)]))
    return found
