"""Composition/[id]/$document, $pdf and $mdm: a signed note as it was signed, printed, and as HL7 v2.

What is handed out is the document Bundle that was stored when the note was signed: it is not made anew.
https://hl7.org/fhir/R4/composition-operation-document.html
"""

from collections.abc import Iterator
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.read import read
from fhir_server.operations.forms import one
from fhir_server.store import read as store
from fhir_server.store.read import Stored
from mappings.hl7v2.mdm import Known, Sent
from mappings.hl7v2.mdm import mdm as message
from questionnaires.narrative_blocks import blocks
from questionnaires.pdf import pdf as printed
from r4.issue import FhirError, error
from r4.json import Resource, decode
from r4.reference import literal

SENDER = "CSOR"
"""MSH-4 of what the registry sends."""
_CONTROL_ID = 20


def document(context: Context, resource_id: str) -> bytes:
    """Return the stored document of a Composition, as JSON.

    Raises FhirError 404 or 410 where there is no such Composition, 404 where it has not been signed.
    """
    composition = read(context, "Composition", resource_id)
    signed = decode(composition.body)["date"]
    for found in _documents(context, composition):
        bundle = decode(found.body)
        first = bundle["entry"][0]["resource"]
        if first["resourceType"] == "Composition" and first.get("date") == signed:
            return found.body
    text = f"Composition/{resource_id} has no signed document here: only a signed note has one."
    raise FhirError(404, [error("not-found", text, "http.url")])


def _documents(context: Context, composition: Stored) -> Iterator[Stored]:
    """Yield the stored documents that a signature, by its Provenance, made together with a Composition."""
    criteria = f"target=Composition/{composition.id}"
    for provenance in store.every(context.database, "Provenance", criteria):
        for target in decode(provenance.body)["target"]:
            place = literal(target.get("reference", ""))
            if place is None or place.type != "Bundle" or place.base is not None:
                continue
            found = store.current(context.database, "Bundle", place.id)
            if found is not None and not found.deleted and decode(found.body)["type"] == "document":
                yield found


def pdf(context: Context, resource_id: str) -> bytes:
    """Return the PDF of a signed Composition; raises FhirError as `document`, 422 as `questionnaires.pdf`."""
    signed = document(context, resource_id)
    return printed(decode(signed), signed)


def mdm(context: Context, resource_id: str) -> bytes:
    """Return the HL7 v2 message of a signed Composition, for its hospital's records.

    Raises FhirError as `pdf`, 422 as `mappings.hl7v2.mdm`, and where an addendum's or a correction's own
    earlier document is not here.
    """
    signed = document(context, resource_id)
    bundle = decode(signed)
    composition = decode(read(context, "Composition", resource_id).body)
    sent = Sent(SENDER, context.new_id().replace("-", "")[:_CONTROL_ID], context.now())
    return message(
        bundle,
        printed(bundle, signed),
        list(_lines(bundle["entry"][0]["resource"])),
        sent=sent,
        known=Known(
            _known(context, composition.get("subject", {}), "Patient"),
            _known(context, composition["author"][0], "Practitioner"),
            _parent(context, composition),
        ),
    )


def _known(context: Context, reference: dict[str, Any], resource_type: str) -> Resource | None:
    found = one(context, reference.get("reference", ""), resource_type)
    return None if found is None else decode(found.body)


def _parent(context: Context, composition: Resource) -> str | None:
    """Return the number of the document that a Composition adds to or replaces."""
    for each in composition.get("relatesTo", ()):
        place = literal(each.get("targetReference", {}).get("reference", ""))
        if place is not None and place.type == "Composition":
            number: str = decode(document(context, place.id))["identifier"]["value"]
            return number
    return None


def _lines(composition: Resource) -> Iterator[str]:
    """Yield the text of a Composition's sections, line by line."""
    for section in composition.get("section", ()):
        if not (found := blocks(section.get("text"))):
            continue
        yield section.get("title", "")
        for block in found:
            if block["kind"] == "rows":
                yield from (f"{label}: {'; '.join(texts)}" for label, texts in block["rows"])
            else:
                yield from block.get("lines", [block.get("text", "")])
