"""Composition/[id]/$document, $pdf and $mdm: a signed note as it was signed, printed, and as HL7 v2.

What is handed out is the document Bundle that was stored when the note was signed: it is not made anew.
https://hl7.org/fhir/R4/composition-operation-document.html
"""

from collections.abc import Iterator

from fhir_server.context import Context
from fhir_server.interactions.read import read
from fhir_server.store import read as store
from fhir_server.store.read import Stored
from questionnaires.pdf import pdf as printed
from r4.issue import FhirError, error
from r4.json import decode
from r4.reference import literal


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
