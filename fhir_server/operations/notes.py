"""A note that is stored, who signs it and where: what signing, correcting and adding share.

https://hl7.org/fhir/R4/http.html#concurrency
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from fhir_server.context import Context
from fhir_server.interactions.plan import Outcome
from fhir_server.interactions.targets import survivor
from fhir_server.interactions.transaction import response_entry
from fhir_server.operations.forms import one
from fhir_server.operations.parameters import Input, missing, required
from fhir_server.store import read as store
from fhir_server.store.read import Stored
from r4.issue import FhirError, error
from r4.json import Resource, decode
from r4.reference import literal

SIGNERS = ("Practitioner", "PractitionerRole")
_KIND = "QuestionnaireResponse"
_TAG = re.compile(r'(?:W/)?"(\d{1,9})"|(\d{1,9})')
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Note:
    """A stored response: its newest version, and the version that the caller speaks of."""

    context: Context
    stored: Stored
    asked: int

    def at_version(self) -> Resource:
        """Return the newest version, if it is the one spoken of; raises FhirError 412 if it is not."""
        if self.stored.version != self.asked:
            text = (
                f"{_KIND}/{self.stored.id} is at version {self.stored.version}, not at {self.asked}: "
                "read it again, and compare."
            )
            raise FhirError(412, [error("conflict", text, "http.If-Match")])
        found: Resource = decode(self.stored.body)
        return found

    def version(self, number: int) -> Resource | None:
        """Return a version of the response, or None."""
        found = store.version(self.context.database, _KIND, self.stored.id, number)
        return None if found is None or found.deleted else decode(found.body)

    def opened(self) -> datetime:
        """Return the moment at which the response was first stored."""
        first = store.version(self.context.database, _KIND, self.stored.id, 1) or self.stored
        return datetime.fromtimestamp(first.updated / _MICROSECONDS, UTC)


def noted(context: Context, response_id: str, if_match: str | None) -> Note:
    """Return a stored note; raises FhirError 400 without If-Match, 404 where there is none."""
    match = _TAG.fullmatch((if_match or "").strip())
    if match is None:
        text = 'Say which version you have seen: If-Match: W/"[version]", as its ETag was.'
        raise FhirError(400, [error("required", text, "http.If-Match")])
    return Note(context, stored_response(context, response_id), int(match[1] or match[2]))


def stored_response(context: Context, response_id: str) -> Stored:
    """Return the newest version of a response; raises FhirError 404 where there is none."""
    found = store.current(context.database, _KIND, response_id)
    if found is None or found.deleted:
        text = f"{_KIND}/{response_id} is not known here."
        raise FhirError(404, [error("not-found", text, "http.url")])
    return found


def standing(context: Context, response_id: str) -> Resource | None:
    """Return the newest Composition of a note's signature or correction, no addendum; None without."""
    criteria = f"entry=QuestionnaireResponse/{response_id}"
    for found in reversed(store.every(context.database, "Composition", criteria)):
        composition: Resource = decode(found.body)
        if all(each["code"] != "appends" for each in composition.get("relatesTo", ())):
            return composition
    return None


def signer_of(
    context: Context, given: Input, author: Resource | None = None
) -> tuple[Resource, Stored]:
    """Return who signs, as a Reference that names them, and as stored: who is given, else the author.

    Raises FhirError 400 where neither is, 422 where it is nobody who can sign here.
    """
    if "signer" not in given:
        if author is None or "reference" not in author:
            raise missing("signer", "the author of the response")
        given = {**given, "signer": author}
    return _known(context, given, "signer", SIGNERS)


def hospital_of(context: Context, given: Input) -> tuple[Resource, Stored]:
    """Return the hospital as a Reference that names it, and as stored; raises FhirError 400 or 422."""
    return _known(context, given, "hospital", ("Organization",))


def _known(
    context: Context, given: Input, name: str, types: tuple[str, ...]
) -> tuple[Resource, Stored]:
    said = required(given, name)
    for resource_type in types:
        if found := one(context, said["reference"], resource_type):
            return _naming(said, decode(found.body)), found
    text = (
        f"The {name} {said['reference']} means no {' or '.join(types)} here, or several: name one."
    )
    raise FhirError(422, [error("not-found", text, f"Parameters.parameter('{name}')")])


def _naming(said: Resource, party: Resource) -> Resource:
    """Return a Reference with the first number and the name that the registry has of whom it means.

    What the caller says of them does not count: the document that is signed says it.
    """
    identifiers = [each for each in party.get("identifier", ()) if "value" in each]
    known = {"identifier": identifiers[0]} if identifiers else {}
    if name := _name(party):
        known["display"] = name
    return {**said, **known}


def _name(party: Resource) -> str | None:
    name = party.get("name")
    if isinstance(name, str):
        return name
    first = name[0] if name else {}
    words = [*first.get("prefix", ()), *first.get("given", ()), first.get("family", "")]
    return first.get("text") or " ".join(filter(None, words)) or None


def refuse_other_hospital(context: Context, bundle: Resource, signing: Stored) -> None:
    """Raise FhirError 422 where the note's answers name another hospital than the one that signs."""
    for named in _hospitals(entry["resource"] for entry in bundle["entry"]):
        answered = one(context, named, "Organization")
        if answered is None or signing.id != answered.id:
            text = "The hospital in the note's answers is not the hospital that signs it."
            place = "Parameters.parameter('hospital')"
            raise FhirError(422, [error("business-rule", text, place)])


def _hospitals(resources: Iterable[Resource]) -> Iterable[str]:
    """Yield the references by which cases and procedures say whose they are."""
    for each in resources:
        if each["resourceType"] == "EpisodeOfCare":
            yield each["managingOrganization"]["reference"]
        if each["resourceType"] == "Procedure":
            for performer in each.get("performer", ()):
                if "reference" in performer.get("onBehalfOf", {}):
                    yield performer["onBehalfOf"]["reference"]


def transacted(context: Context, note: Note, version: int, signer: Stored) -> Resource | None:
    """Return the transaction-response of the signature that stored a version, if it was this signer's.

    It is put together from its Provenance, which lists all that was stored with it.
    """
    signed = store.version(context.database, _KIND, note.stored.id, version)
    if signed is None:
        return None
    for provenance in store.every(context.database, "Provenance", f"target={_KIND}/{signed.id}"):
        first = store.version(context.database, "Provenance", provenance.id, 1)
        if first is None or first.updated != signed.updated:
            continue
        said = decode(first.body)
        who = literal(said["agent"][0]["who"].get("reference", ""))
        if who is None or (who.type, who.id) != (signer.type, survivor(context, signer).id):
            return None
        places = [each["reference"] for each in said["target"]]
        found = [_as_stored(context, place, signed.updated) for place in places]
        entries = [response_entry(each) for each in found if each is not None]
        entries.append(response_entry(_outcome(first, signed.updated)))
        return {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}
    return None


def _as_stored(context: Context, place: str, moment: int) -> Outcome | None:
    """Return what a transaction came to for a resource: its version at that moment."""
    kind, _, resource_id = place.partition("/")
    newest = store.current(context.database, kind, resource_id)
    for number in range(newest.version if newest else 0, 0, -1):
        found = store.version(context.database, kind, resource_id, number)
        if found is not None and found.updated <= moment:
            return _outcome(found, moment)
    return None


def _outcome(found: Stored, moment: int) -> Outcome:
    status = 201 if found.version == 1 and found.updated == moment else 200
    return Outcome(status, found.type, found.id, found.version, found.updated, found.body)
