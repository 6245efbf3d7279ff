"""Whose a death of a linked file is: by NHS number, or by a key of HES, and nothing that contradicts it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple
from urllib.parse import quote

from fhir_server.context import Context
from fhir_server.interactions.targets import find, standing
from fhir_server.store import objections
from fhir_server.store.objections import HEALTH_RECORD, NATIONAL_DATA
from fhir_server.store.read import Stored
from fhir_server.store.search.texts import escape
from mappings.hes.bundle import PERSON
from mappings.hes.deaths import Death
from r4.json import decode
from terminology.systems import NHS_NUMBER


class Link(NamedTuple):
    """What a death links to: one Patient that stands, none or several, or one that is not the same child.

    objected: it is one, and somebody objects to linking the child.

    element: of a contradiction, the element of the Patient that differs.
    """

    kind: Literal["linked", "unlinked", "ambiguous", "contradicting", "objected"]
    patient: Stored | None = None
    element: str = ""


def link(context: Context, death: Death, persons: Sequence[str]) -> Link:
    """Find the child who has died; `persons` are the keys of HES that the file or its bridge tells."""
    asked = [(NHS_NUMBER, death.nhs_number)] if death.nhs_number else []
    asked += [(PERSON, person) for person in persons]
    found = [each for system, value in asked for each in _found(context, system, value)]
    patients = standing(context, found)
    if not patients:
        return Link("unlinked")
    if len(patients) > 1:
        return Link("ambiguous")
    element = _contradicted(patients[0], found, death)
    read = context.database.read
    if not element and objections.objects(read, patients[0].id, (NATIONAL_DATA, HEALTH_RECORD)):
        return Link("objected", patients[0])
    return Link("contradicting" if element else "linked", patients[0], element)


def _found(context: Context, system: str, value: str) -> list[Stored]:
    criteria = f"identifier={quote(system, safe=':/')}|{quote(escape(value))}"
    return find(context, "Patient", criteria)[1]


def _contradicted(patient: Stored, found: Sequence[Stored], death: Death) -> str:
    """Return the element by which the child is another one than the file's; "" where none says so.

    The number may be one that a merged record has, through which the child was found.
    """
    body = decode(patient.body)
    born = body.get("birthDate", "")
    is_other_birth = death.birth is not None and not str(death.birth).startswith(born)
    if is_other_birth or str(death.died) < born:
        return "Patient.birthDate"
    known = {
        each.get("value")
        for record in (patient, *found)
        for each in decode(record.body).get("identifier", ())
        if each.get("system") == NHS_NUMBER
    }
    is_other = death.nhs_number and known and death.nhs_number not in known
    return "Patient.identifier" if is_other else ""
