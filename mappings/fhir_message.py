"""A FHIR message to a transaction Bundle, and the message that answers it.

Its resources are known by their identifiers, as those of an HL7 v2 message are: ids and references are
the sender's, so references lead to resources of the message, or name what they mean by an identifier.
https://hl7.org/fhir/R4/messaging.html
"""

import hashlib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5

from mappings.hl7v2.functions.identity import search
from mappings.hl7v2.tables import requests
from mappings.merge import MERGE
from r4 import definitions
from r4.issue import FhirError, Issue, error, operation_outcome
from r4.json import Resource, encode
from r4.reference import conditional, literal, walk
from terminology import systems

EVENT = f"{systems.CSOR}/MessageDefinition/record"
"""The one event that is taken: what a hospital knows of a child is to be recorded."""
Code = Literal["ok", "transient-error", "fatal-error"]

_SHARED = frozenset({"Organization", "Location", "PractitionerRole", "HealthcareService"})
"""What no sender of messages owns, besides what `resources.csv` says: created, and else left as it is."""
_NOT_CONTENT = frozenset({"MessageHeader", "Bundle", "Parameters"})
_ENVELOPE = frozenset({"id", "meta", "timestamp"})
"""What may differ when a message is sent again."""
_SERVERS_OWN = ("versionId", "lastUpdated")
_AUTHOR = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


@dataclass(frozen=True)
class FhirMessage:
    """A message that can be answered: its Bundle, and the header that is its first entry."""

    bundle: Resource
    header: Resource

    @property
    def endpoint(self) -> str:
        """Return where the message comes from: MessageHeader.source.endpoint."""
        return str(self.header["source"]["endpoint"])

    @property
    def number(self) -> str:
        """Return what the message is known by: Bundle.identifier, else MessageHeader.id."""
        given = self.bundle.get("identifier", {})
        own = "|".join(filter(None, (given.get("system"), given.get("value"))))
        return own or str(self.header["id"])

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of what is the same when the message is sent again, in hexadecimal."""
        told = {key: value for key, value in self.bundle.items() if key not in _ENVELOPE}
        return hashlib.sha256(encode(told)).hexdigest()


def envelope(bundle: Resource) -> Resource:
    """Return a message Bundle with its header alone, which is to be valid before it is read.

    Raises FhirError 400 for what is no message Bundle with a MessageHeader first.
    """
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "message":
        text = "Send a Bundle of type message, whose first entry is a MessageHeader."
        raise FhirError(400, [error("structure", text, "Bundle.type")])
    listed = bundle.get("entry")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise FhirError(400, [error("structure", "Bundle.entry is an array.", "Bundle.entry")])
    header = listed[0].get("resource") if listed else None
    if not isinstance(header, dict) or header.get("resourceType") != "MessageHeader":
        text = "The first entry of a message is its MessageHeader."
        raise FhirError(400, [error("structure", text, "Bundle.entry[0].resource")])
    return {**bundle, "entry": listed[:1]}


def read(bundle: Resource) -> FhirMessage:
    """Return a message whose envelope is valid; raises FhirError 400 for one that names no source or id."""
    first = bundle["entry"][0]
    header = dict(first["resource"])
    if "id" not in header:
        header["id"] = str(first.get("fullUrl", "")).removeprefix("urn:uuid:")
    if not header["id"] or ":" in header["id"] or "/" in header["id"]:
        text = "Give the MessageHeader an id: the answer names the message by it."
        raise FhirError(400, [error("required", text, "Bundle.entry[0].resource.id")])
    if "endpoint" not in header["source"]:
        text = "Say in source.endpoint where the message comes from."
        raise FhirError(400, [error("required", text, "Bundle.entry[0].resource.source.endpoint")])
    return FhirMessage(bundle, header)


def to_bundle(message: FhirMessage, now: str, base_url: str) -> Resource:
    """Return the transaction of a message's resources, at the places that they have in it.

    The first entry is their Provenance, in the place of the header. now: instant of receipt.
    base_url: of this server. Raises FhirError 422 for what cannot be stored.
    """
    making = _Making(message, base_url)
    entries = [making.entry(place) for place in range(1, len(message.bundle["entry"]))]
    sender = making.sender()
    if not entries:
        making.fail("required", "The message has nothing but its header.", "Bundle.entry")
    if making.issues:
        raise FhirError(422, making.issues)
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_provenance(message, making, sender, now), *entries],
    }


class _Making:
    """A transaction in the making: what the message calls its resources, and what is wrong so far."""

    def __init__(self, message: FhirMessage, base_url: str) -> None:
        self.message, self.base_url = message, base_url
        self.listed = message.bundle["entry"]
        self.issues: list[Issue] = []
        self.names: dict[str, int] = {}
        for place, entry in enumerate(self.listed):
            for name in _names(entry):
                if self.names.setdefault(name, place) != place:
                    text = f"{name} is the name of two entries."
                    self.fail("invariant", text, f"Bundle.entry[{place}].fullUrl")

    def fail(self, code: str, text: str, at: str) -> None:
        """Report what makes the message impossible to store."""
        self.issues.append(error(code, text, at))

    def urn(self, place: int) -> str:
        """Return the name of an entry in the transaction."""
        name = f"{self.message.endpoint}|{self.message.number}|{place}"
        return f"urn:uuid:{uuid5(NAMESPACE_URL, name)}"

    def entry(self, place: int) -> Resource:
        """Return what the transaction does with the resource at a place of the message."""
        at = f"Bundle.entry[{place}].resource"
        given = self.listed[place].get("resource")
        kind = given.get("resourceType") if isinstance(given, dict) else None
        if kind not in definitions.resource_types() or kind in _NOT_CONTENT:
            self.fail("not-supported", f"{kind!r} is nothing that a message can hold.", at)
            return {}
        resource = {key: deepcopy(value) for key, value in given.items() if key != "id"}
        if isinstance(resource.get("meta"), dict):
            kept = {k: v for k, v in resource["meta"].items() if k not in _SERVERS_OWN}
            resource = {**resource, "meta": kept} if kept else _without(resource, "meta")
        for node in walk(resource):
            node["reference"] = self.target(node["reference"], at)
        request = self.request(kind, resource, at)
        return {"fullUrl": self.urn(place), "resource": resource, "request": request}

    def target(self, reference: str, at: str) -> str:
        """Return a reference as the transaction has it; report one that only the sender can follow."""
        found = literal(reference)
        bare = reference.partition("/_history/")[0] if found else reference
        if bare in self.names:
            return self.urn(self.names[bare])
        is_urn = reference.startswith("urn:")
        if is_urn or (found and found.base is None):
            text = (
                f"{reference} is not in the message: add it, or refer to it by identifier "
                "(`Type?identifier=system|value`)."
            )
            self.fail("not-found", text, at)
        return reference

    def request(self, kind: str, resource: Resource, at: str) -> Resource:
        """Return how a resource is stored: found by its identifiers, or created."""
        numbers = list(_numbers(resource))
        if not numbers and kind == "Patient":
            text = "Give the Patient an identifier with a system: a child is known by it."
            self.fail("required", text, f"{at}.identifier")
        how = "create" if kind in _SHARED else requests().get(kind, "update")
        if not numbers or how == "post":
            return {"method": "POST", "url": kind}
        criteria = search(*(numbers if kind == "Patient" else numbers[:1]))
        if how == "create":
            return {"method": "POST", "url": kind, "ifNoneExist": criteria}
        request: Resource = {"method": "PUT", "url": f"{kind}?{criteria}"}
        if how == "merge":
            request["extension"] = [{"url": MERGE, "valueBoolean": True}]
        return request

    def sender(self) -> str:
        """Return the ODS code of MessageHeader.sender; report that it names none."""
        given = self.message.header.get("sender", {})
        bare = given.get("reference", "")
        place = self.names.get(bare)
        known = self.listed[place].get("resource", {}) if place else {}
        asked = conditional(bare)
        token = asked.query.removeprefix("identifier=") if asked else ""
        listed = [given.get("identifier"), *_identifiers(known)]
        codes = [
            one["value"]
            for one in listed
            if isinstance(one, dict) and one.get("system") == systems.ODS_ORGANIZATION
            and isinstance(one.get("value"), str)
        ]  # fmt: skip
        if token.startswith(f"{systems.ODS_ORGANIZATION}|"):
            codes.append(token.rpartition("|")[2])
        if not codes:
            text = "Name the sending hospital in MessageHeader.sender, by its ODS code."
            self.fail("required", text, "Bundle.entry[0].resource.sender")
        return codes[0] if codes else ""


def _without(resource: Resource, name: str) -> Resource:
    return {key: value for key, value in resource.items() if key != name}


def _names(entry: Resource) -> Iterator[str]:
    """Yield what references in the message may call an entry."""
    url, resource = entry.get("fullUrl"), entry.get("resource")
    relative = ""
    if isinstance(url, str):
        yield url
        if found := literal(url):
            relative = f"{found.type}/{found.id}"
            yield relative
    if isinstance(resource, dict) and isinstance(resource.get("id"), str):
        named = f"{resource.get('resourceType')}/{resource['id']}"
        if named != relative:
            yield named


def _identifiers(resource: Mapping[str, Any]) -> list[Any]:
    listed = resource.get("identifier", [])
    return listed if isinstance(listed, list) else [listed]


def _numbers(resource: Resource) -> Iterator[Resource]:
    """Yield the identifiers that a resource may be known by: those with a system that are not old."""
    first = [resource["masterIdentifier"]] if "masterIdentifier" in resource else []
    for one in [*first, *_identifiers(resource)]:
        if isinstance(one, dict) and one.get("use") != "old":
            system, value = one.get("system"), one.get("value")
            if isinstance(system, str) and isinstance(value, str) and system and value.strip():
                yield {"system": system, "value": value}


def _provenance(message: FhirMessage, making: _Making, ods: str, now: str) -> Resource:
    hospital = {"system": systems.ODS_ORGANIZATION, "value": ods}
    source = {"system": systems.MESSAGE, "value": f"{ods}:{message.number}"}
    resource = {
        "resourceType": "Provenance",
        "target": [{"reference": making.urn(n)} for n in range(1, len(making.listed))],
        "recorded": now,
        "agent": [
            {
                "type": {"coding": [{"system": _AUTHOR, "code": "author"}]},
                "who": {"reference": f"Organization?{search(hospital)}"},
            }
        ],
        "entity": [{"role": "source", "what": {"identifier": source}}],
    }
    request = {"method": "POST", "url": "Provenance"}
    return {"fullUrl": making.urn(0), "resource": resource, "request": request}


def response(
    message: FhirMessage, code: Code, issues: tuple[Issue, ...], now: str, endpoint: str
) -> Resource:
    """Return the message that answers one: its header, and an OperationOutcome where it is refused.

    now: instant. endpoint: the url that the message was sent to.
    """
    place = f"{endpoint}|{message.endpoint}|{message.number}|{message.digest}|{now}"
    head, details = (uuid5(NAMESPACE_URL, f"{place}|{part}") for part in ("header", "details"))
    said: Resource = {"identifier": message.header["id"], "code": code}
    if issues:
        said["details"] = {"reference": f"urn:uuid:{details}"}
    names = ("eventUri", "eventCoding")
    event: Resource = {key: message.header[key] for key in names if key in message.header}
    header = {
        "resourceType": "MessageHeader",
        "id": str(head),
        **event,
        "destination": [{"endpoint": message.endpoint}],
        "source": {"name": "CSOR", "endpoint": endpoint},
        "response": said,
    }
    entries: list[Resource] = [{"fullUrl": f"urn:uuid:{head}", "resource": header}]
    if issues:
        outcome = operation_outcome(issues)
        entries.append({"fullUrl": f"urn:uuid:{details}", "resource": outcome})
    return {
        "resourceType": "Bundle",
        "id": str(uuid5(NAMESPACE_URL, place)),
        "type": "message",
        "timestamp": now,
        "entry": entries,
    }
