"""The read and vread interactions.

https://hl7.org/fhir/R4/http.html#read
"""

from fhir_server.context import Context
from fhir_server.interactions import audit_events, audit_search
from fhir_server.store import read as store
from fhir_server.store.read import Stored
from fhir_server.store.told import tells
from r4.issue import FhirError, error

LONGEST_NUMBER = 18
"""Most digits of a number that the store can hold."""


def read(context: Context, resource_type: str, resource_id: str) -> Stored:
    """Return the current version; raises FhirError 404 if unknown, 410 if deleted."""
    if resource_type == audit_events.TYPE:
        return audit_search.read(context, resource_id)
    return _present(
        store.current(context.database, resource_type, resource_id),
        f"{resource_type}/{resource_id}",
    )


def vread(context: Context, resource_type: str, resource_id: str, version: str) -> Stored:
    """Return one version; raises FhirError 404 if unknown, 410 if it records a deletion."""
    number = int(version) if version.isdecimal() and len(version) <= LONGEST_NUMBER else 0
    return _present(
        store.version(context.database, resource_type, resource_id, number),
        f"{resource_type}/{resource_id}/_history/{version}",
    )


def _present(stored: Stored | None, place: str) -> Stored:
    if stored is None:
        raise FhirError(404, [error("not-found", f"{place} is not known here.")])
    if stored.deleted:
        raise FhirError(410, [error("deleted", f"{place} has been deleted.")])
    tells([stored])
    return stored
