"""The marks of answers that come from another child's note, and that nobody has confirmed yet.

They stand at the root of a response, for a renderer makes its items anew.
https://csor.example/fhir/StructureDefinition/carried-over
"""

from collections.abc import Sequence
from typing import NamedTuple

from questionnaires.elements import extensions, value_of
from r4.json import Resource
from terminology.systems import CSOR

CARRIED = f"{CSOR}/StructureDefinition/carried-over"


class Mark(NamedTuple):
    """The linkId of an item that was carried over, and a Reference to the note it comes from."""

    link_id: str
    source: Resource


def carried(response: Resource) -> list[Mark]:
    """Return the marks of a response, in their order."""
    found = []
    for held in extensions(response, CARRIED):
        parts = {each.get("url"): value_of(each) for each in held.get("extension", ())}
        link_id, source = parts.get("linkId"), parts.get("source")
        found.append(Mark(str(link_id[1]) if link_id else "", dict(source[1]) if source else {}))
    return found


def marked(response: Resource, marks: Sequence[Mark]) -> Resource:
    """Return a response with these marks and no others."""
    others = [each for each in response.get("extension", ()) if each.get("url") != CARRIED]
    for link_id, source in marks:
        parts = [
            {"url": "linkId", "valueString": link_id},
            {"url": "source", "valueReference": source},
        ]
        others.append({"url": CARRIED, "extension": parts})
    rest = {key: value for key, value in response.items() if key != "extension"}
    return {**rest, "extension": others} if others else rest
