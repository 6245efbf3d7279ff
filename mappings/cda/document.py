"""A CDA operative note, read: refused with the reason where it is none, else its header and sections.

https://hl7.org/fhir/us/ccda/; C-CDA R2.1, Operative Note (V3).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mappings.cda.datatypes import V3, first, identifier, moment, path, text
from mappings.cda.tables import kind, types
from mappings.hl7v2.tables import kinds, local_system
from r4.issue import FhirError, error
from r4.json import Resource
from r4.xml.parse import parse
from terminology import nhs_number

DEEPEST = 8
"""Most sections inside one another."""
_LOINC = "2.16.840.1.113883.6.1"
_ODS = re.compile(r"[A-Z0-9]{3,12}\Z", re.ASCII)
_NATIONAL = ("nhs", "chi")


@dataclass(frozen=True, slots=True)
class Note:
    """An operative note: the original bytes, the tree, and what the header says who and which it is.

    `identifier` is the document's own, `series` that of all its versions, `replaces` that of the
    version before it; `children` are the child's identifiers, the one that names it best first.
    """

    raw: bytes
    root: Any
    identifier: Resource
    series: Resource | None
    replaces: Resource | None
    hospital: str
    date: str
    children: tuple[Resource, ...]


def read(raw: bytes) -> Note:
    """Read a document; raises FhirError 400 for what is no XML or CDA, 422 for what cannot be taken."""
    root = parse(raw)
    if root.tag != f"{V3}ClinicalDocument":
        text = (
            "The root element is not ClinicalDocument of urn:hl7-org:v3: this is no CDA document."
        )
        raise FhirError(400, [error("structure", text, "ClinicalDocument")])
    code = first(root, "code")
    if code is None or code.get("codeSystem") != _LOINC or code.get("code") not in types():
        text = "This is no operative note: its code is not a LOINC code for one, such as 11504-8."
        raise refusal("not-supported", text, "code")
    if first(root, "component", "structuredBody") is None:
        text = "The document has no structuredBody: send its sections, not a nonXMLBody."
        raise refusal("not-supported", text, "component")
    own = identifier(first(root, "id"))
    if own is None:
        text = "Give the document an id, by which it is known when it is sent again or replaced."
        raise refusal("required", text, "id")
    hospital = _hospital(root)
    date = moment(first(root, "effectiveTime"))
    if date is None or "T" not in date:
        raise refusal("value", "The effectiveTime is no date and time.", "effectiveTime")
    series = identifier(first(root, "setId"))
    return Note(
        raw, root, own, None if series == own else series, _replaced(root), hospital, date,
        tuple(_children(root, hospital)),
    )  # fmt: skip


def refusal(code: str, text: str, place: str) -> FhirError:
    """Return the refusal of a document for what is at a place of it."""
    return FhirError(422, [error(code, text, f"ClinicalDocument.{place}")])


def sections(parent: Any) -> Iterator[Any]:
    """Yield the sections directly in a body or a section."""
    for component in path(parent, "component"):
        yield from path(component, "section")


def _hospital(root: Any) -> str:
    organization = ("custodian", "assignedCustodian", "representedCustodianOrganization")
    for each in path(root, *organization, "id"):
        code: str = each.get("extension", "").strip()
        if kind(each.get("root", "")) == "ods" and _ODS.match(code):
            return code
    text = (
        "Say in the custodian's id which hospital sends: its ODS code, with the root of ODS codes."
    )
    raise refusal("required", text, "custodian")


def _replaced(root: Any) -> Resource | None:
    listed = [each for each in path(root, "relatedDocument") if each.get("typeCode") == "RPLC"]
    if not listed:
        return None
    found = identifier(first(listed[0], "parentDocument", "id"))
    if found is None or len(listed) > 1:
        text = "Name by its id the one document that this one replaces."
        raise refusal("value", text, "relatedDocument")
    return found


def _children(root: Any, hospital: str) -> list[Resource]:
    targets = path(root, "recordTarget", "patientRole")
    if len(targets) != 1:
        text = f"The document has {len(targets)} patients; an operative note has one."
        raise refusal("value", text, "recordTarget")
    listed = path(targets[0], "id")
    national: dict[str, Resource] = {}
    local: dict[str, Resource] = {}
    for each in listed:
        if number := _national(each):
            national[number["system"]] = number
        elif number := _hospital_number(each, hospital):
            local[number["value"]] = number
    order = [kinds()[each]["System"] for each in _NATIONAL]
    found = sorted(national.values(), key=lambda one: order.index(one["system"]))
    found += local.values()
    if not found:
        text = "The patient has no usable id: no NHS or CHI number, no number of this hospital."
        raise refusal("required", text, "recordTarget.patientRole.id")
    return found


def _national(ii: Any) -> Resource | None:
    which, value = kind(ii.get("root", "")), ii.get("extension", "")
    digits = re.sub(r"[ -]", "", value)
    if which not in _NATIONAL or not digits:
        return None
    if not nhs_number.is_valid(digits):
        text = "The check digit of the patient's NHS or CHI number does not agree."
        raise refusal("value", text, "recordTarget.patientRole.id")
    style = kinds()[which]
    return {"use": style["Use"], "system": style["System"], "value": digits}


def _hospital_number(ii: Any, hospital: str) -> Resource | None:
    """Return a number that its assigningAuthorityName says is the hospital's; of others nobody knows."""
    value, giver = " ".join(ii.get("extension", "").split()), ii.get("assigningAuthorityName", "")
    if not value or kind(ii.get("root", "")) or giver.strip() not in (hospital, "MRN"):
        return None
    typed = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}
    system = local_system(hospital, "mrn")
    return {"use": "usual", "type": {"coding": [typed]}, "system": system, "value": value}


def title(root: Any) -> str:
    """Return the document's title."""
    return text(first(root, "title")) or "Operative note"
