"""DocumentReference/$process-cda: take a CDA operative note.

The original, what it says and the Provenance are stored in one transaction; the same document again is
answered and not stored. Defined by OperationDefinition-DocumentReference-process-cda.
"""

from collections.abc import Iterator
from typing import Any

from fhir_server.context import Context, instant
from fhir_server.interactions.signed import is_signed
from fhir_server.interactions.targets import find
from fhir_server.interactions.transaction import transaction
from fhir_server.store import read as store
from fhir_server.store.read import Stored
from mappings import cda
from mappings.cda.document import refusal
from mappings.hl7v2.functions.identity import search
from r4.issue import FhirError, error
from r4.json import Resource, decode
from r4.reference import literal

_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-ver-status"


async def process_cda(context: Context, raw: bytes) -> Resource:
    """Store a note and what it says; returns the transaction-response, the DocumentReference first.

    A document that replaces another (RPLC) supersedes it: what only the former said is entered in
    error. Raises FhirError 400 or 422 for what is no such note, 409 where its id has been used for
    other content, or a version is here that it neither replaces nor is.
    """
    note = cda.read(raw)
    known = _document(context, note.identifier)
    former = None if known else _former(context, note)
    now = instant(context.now())
    if former is None:
        bundle = cda.to_bundle(note, now)
    else:
        said = _composition(context, former)
        bundle = cda.to_bundle(note, now, said["identifier"])
        bundle["entry"] += _superseded(former), *_withdrawn(context, said, bundle)
    superseding = former is not None  # checked above: it is the newest, and was not signed here
    answer = await transaction(context, bundle, once=True, signing=superseding)
    response = answer["entry"][0]["response"]
    if response["status"].startswith("200"):
        _refuse_other(context, response["location"], bundle)
    return answer


def _document(context: Context, identifier: Resource) -> Stored | None:
    _, found = find(context, "DocumentReference", search(identifier))
    return found[0] if found else None


def _former(context: Context, note: cda.Note) -> Stored | None:
    """Return the document that a note replaces; raises FhirError 409 or 422 where there is a gap."""
    if note.replaces is None:
        if note.series is None or _document(context, note.series) is None:
            return None
        text = (
            "A document with this setId is here: say in a relatedDocument of type RPLC which "
            "version this one replaces."
        )
        raise FhirError(409, [error("duplicate", text, "ClinicalDocument.setId")])
    former = _document(context, note.replaces)
    if former is None:
        text = "The document that this one replaces is not here: send that one first."
        raise refusal("not-found", text, "relatedDocument")
    if decode(former.body)["status"] != "current":
        text = "The document that this one replaces has been replaced: name its newest version."
        raise FhirError(409, [error("conflict", text, "ClinicalDocument.relatedDocument")])
    return former


def _composition(context: Context, former: Stored) -> Resource:
    listed = decode(former.body).get("context", {}).get("related", [])
    for each in listed:
        found = _read(context, each.get("reference", ""))
        if found is None or found["resourceType"] != "Composition" or _is_signed_here(found):
            continue
        if {"system", "value"} <= found.get("identifier", {}).keys():
            return found
    raise _not_replaced()


def _is_signed_here(composition: Resource) -> bool:
    """Tell whether a Composition is of a signature, a correction or an addendum of this registry's."""
    amends = any("targetReference" in each for each in composition.get("relatesTo", ()))
    return amends or any(each.startswith("QuestionnaireResponse/") for each in _said(composition))


def _not_replaced() -> FhirError:
    text = "The document that this one replaces is not one that came as an operative note."
    return FhirError(409, [error("conflict", text, "ClinicalDocument.relatedDocument")])


def _read(context: Context, reference: str) -> Resource | None:
    place = literal(reference)
    stored = place and store.current(context.database, place.type, place.id)
    return None if not stored or stored.deleted else decode(stored.body)


def _superseded(former: Stored) -> Resource:
    request = {
        "method": "PUT",
        "url": f"DocumentReference/{former.id}",
        "ifMatch": f'W/"{former.version}"',
    }
    return {"resource": {**decode(former.body), "status": "superseded"}, "request": request}


def _withdrawn(context: Context, said: Resource, bundle: Resource) -> Iterator[Resource]:
    """Yield as entered in error what the former version said and this one does not.

    Raises FhirError 409 where that is signed: no document that came as CDA says it.
    """
    kept = {
        (each["system"], each["value"])
        for entry in bundle["entry"]
        for each in _numbers(entry["resource"])
    }
    for reference in _said(said):
        found = _read(context, reference)
        if found is None or any((n["system"], n["value"]) in kept for n in _numbers(found)):
            continue
        if is_signed(context, found):
            raise _not_replaced()
        url = f"{found['resourceType']}/{found['id']}"
        yield {"resource": _in_error(found), "request": {"method": "PUT", "url": url}}


def _numbers(resource: Resource) -> list[Resource]:
    listed = resource.get("identifier", [])
    return listed if isinstance(listed, list) else [listed]


def _said(node: Any) -> Iterator[str]:
    """Yield what a Composition's events and sections refer to."""
    for event in node.get("event", []):
        yield from (each["reference"] for each in event.get("detail", []))
    yield from (each["reference"] for each in node.get("entry", []))
    for section in node.get("section", []):
        yield from _said(section)


def _in_error(resource: Resource) -> Resource:
    if resource["resourceType"] != "Condition":
        return {**resource, "status": "entered-in-error"}
    kept = {key: value for key, value in resource.items() if key != "clinicalStatus"}
    status = {"coding": [{"system": _CLINICAL, "code": "entered-in-error"}]}
    return {**kept, "verificationStatus": status}


def _refuse_other(context: Context, location: str, bundle: Resource) -> None:
    """Raise FhirError 409 unless the document at a location is the one that was sent."""
    earlier = _read(context, location.partition("/_history")[0])
    sent = bundle["entry"][0]["resource"]
    if earlier is None or _data(earlier) != _data(sent):
        text = "The document's id has been used before, with other content."
        raise FhirError(409, [error("duplicate", text, "ClinicalDocument.id")])


def _data(document: Resource) -> Any:
    return document["content"][0]["attachment"].get("data")
