"""Objections that the registry records for whoever told it: one Consent for each child and stream.

https://hl7.org/fhir/R4/consent.html
"""

from collections.abc import Iterator

from fhir_server.context import Context, instant
from fhir_server.interactions.transaction import transaction
from fhir_server.interactions.update import update
from fhir_server.operations.survey_standing import streams_of
from fhir_server.store import read as store
from fhir_server.store.objections import STREAM, STREAMS
from r4.issue import FhirError, error
from r4.json import Resource, decode
from terminology.systems import CSOR

OBJECTION = f"{CSOR}/sid/objection"
"""Identifier system of the decisions that the registry records itself."""
TOLD = "An objection told to the registry"
_CODES = "http://terminology.hl7.org/CodeSystem"


async def record(context: Context, patient: str, stream: str, told_by: str) -> str:
    """Record that somebody objects to a stream of a child's data; returns the id of the Consent.

    Raises FhirError 400 for a stream that there is not, 404 where no such Patient is here.
    """
    if stream not in STREAMS:
        text = f"There is no stream {stream}; there are {', '.join(STREAMS)}."
        raise FhirError(400, [error("value", text)])
    if not store.existing(context.database, [("Patient", patient)]):
        raise FhirError(404, [error("not-found", f"Patient/{patient} is not known here.")])
    entry = denial(patient, stream, told_by, instant(context.now()))
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    answer = await transaction(context, bundle)
    place: str = answer["entry"][0]["response"]["location"]
    return place.split("/")[1]


def denial(
    patient: str, stream: str, told_by: str, now: str, *, origin: str = "", policy: str = TOLD
) -> Resource:
    """Return the entry of an objection, in the place of an earlier one of the same origin.

    told_by: who told it, for people; policy: by what it is recorded.
    """
    value = ".".join(part for part in (patient, stream, origin) if part)
    consent = {
        "resourceType": "Consent",
        "meta": {"profile": [f"{CSOR}/StructureDefinition/csor-consent"]},
        "identifier": [{"system": OBJECTION, "value": value}],
        "status": "active",
        "scope": {"coding": [{"system": f"{_CODES}/consentscope", "code": "research"}]},
        "category": [
            {"coding": [{"system": f"{_CODES}/consentcategorycodes", "code": "research"}]}
        ],
        "patient": {"reference": f"Patient/{patient}"},
        "dateTime": now,
        "performer": [{"display": told_by}],
        "policyRule": {"text": policy},
        "provision": {"type": "deny", "code": [{"coding": [{"system": STREAM, "code": stream}]}]},
    }
    criteria = f"Consent?identifier={OBJECTION}|{value}"
    return {"resource": consent, "request": {"method": "PUT", "url": criteria}}


async def withdraw(context: Context, consent: str) -> None:
    """End an objection, whoever recorded it, as the one who objected has asked.

    Raises FhirError 404 for a Consent that is not here, 409 for one that is not in force, 412 where it
    has been changed meanwhile.
    """
    found = store.current(context.database, "Consent", consent)
    if found is None or found.deleted:
        raise FhirError(404, [error("not-found", f"Consent/{consent} is not known here.")])
    resource = decode(found.body)
    if not _objects(resource):
        text = f"Consent/{consent} is no objection that is in force."
        raise FhirError(409, [error("conflict", text)])
    await update(context, {**resource, "status": "inactive"}, consent, f'W/"{found.version}"')


def objections(context: Context, patient: str | None = None) -> Iterator[Resource]:
    """Yield the Consents in force that deny, of one Patient's record or of all; each is in the audit."""
    about = f"&patient=Patient/{patient}" if patient else ""
    for stored in store.every(context.database, "Consent", f"status=active&decision=deny{about}"):
        context.audit.record(context.agent, "objection-list", "Consent", stored.id, 200)
        yield decode(stored.body)


def _objects(consent: Resource) -> bool:
    is_denial = consent.get("provision", {}).get("type") == "deny"
    return consent.get("status") == "active" and is_denial and bool(streams_of(consent))
