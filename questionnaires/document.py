"""The document Bundle of a signed note: closed, with urns of its own, never rewritten.

Each resource of the transaction is copied under a fresh urn. People, organisations and places that
the transaction only refers to are held as what the references say of them (identifier, name), under
fresh urns too. So every reference of the document resolves inside it, whatever the server does to
the transaction's own urns, and the stored bytes are those that were signed.
https://hl7.org/fhir/R4/documents.html#content
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from questionnaires.entries import Entry
from r4 import reference
from r4.json import Resource

_NAMED = ("Patient", "Practitioner")
_TITLED = ("Organization", "Location")
_OTHER = ("PractitionerRole",)
_HELD = (*_NAMED, *_TITLED, *_OTHER)

_IDENTIFIER = re.compile(r"identifier=(?P<system>.*?)(?<!\\)\|(?P<value>[^&]+)")
_ESCAPED = re.compile(r"\\([\\|,$])")


def document(entries: list[Entry], now: str, new_id: Callable[[], str]) -> Resource:
    """Return the document of a transaction's entries, the last of which is the Composition.

    References to Patient, Practitioner, PractitionerRole, Organization and Location are closed;
    those to other resources outside the transaction (an Encounter) stay as they are.
    """
    composition, others = entries[-1], entries[:-1]
    urns = {each["fullUrl"]: f"urn:uuid:{new_id()}" for each in (composition, *others)}
    held: list[Entry] = []
    for url, said in _outside(entries).items():
        urns[url] = f"urn:uuid:{new_id()}"
        held.append({"fullUrl": urns[url], "resource": said})
    own = [
        {
            "fullUrl": urns[each["fullUrl"]],
            "resource": reference.rewrite(each["resource"], lambda at: urns.get(at, at)),
        }
        for each in (composition, *others)
    ]
    return {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{new_id()}"},
        "type": "document",
        "timestamp": now,
        "entry": [*own, *held],
    }


def _outside(entries: list[Entry]) -> dict[str, Resource]:
    found: dict[str, Resource] = {}
    for each in entries:
        for held in reference.walk(each["resource"]):
            text = held["reference"]
            target = reference.literal(text) or reference.conditional(text)
            if target is not None and target.type in _HELD:
                known = found.setdefault(text, {"resourceType": target.type})
                found[text] = {**known, **_said(held, target)}
    return found


def _said(
    held: dict[str, Any], target: reference.Literal | reference.Conditional
) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if isinstance(target, reference.Literal) and target.base is None:
        said["id"] = target.id
    identifier = held.get("identifier")
    if identifier is None and isinstance(target, reference.Conditional):
        identifier = _identifier(target.query)
    if identifier is not None:
        said["identifier"] = [identifier]
    if (display := held.get("display")) and target.type not in _OTHER:
        said["name"] = [{"text": display}] if target.type in _NAMED else display
    return said


def _identifier(query: str) -> dict[str, str] | None:
    match = _IDENTIFIER.search(unquote(query))
    if match is None:
        return None
    return {name: _ESCAPED.sub(r"\1", text) for name, text in match.groupdict().items()}
