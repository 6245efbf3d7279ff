"""One child's spells as the entries of a transaction: Encounters, Conditions, Procedures, Provenance.

Every resource is known by an identifier that follows from EPIKEY, so that the same rows mean the same
resources. https://hl7.org/fhir/R4/http.html#transaction
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from mappings.hes.episodes import Episode
from mappings.hes.spells import ContinuousSpell, Spell
from mappings.hl7v2.codes import icd_10, opcs_4
from mappings.hl7v2.functions.identity import search
from r4.json import Resource, encode
from terminology import systems

PERSON = f"{systems.CSOR}/sid/hes"
"""Identifier system of a Patient's key in the extract."""
SPELL = f"{systems.CSOR}/sid/hes-spell"
DIAGNOSIS = f"{systems.CSOR}/sid/hes-diagnosis"
PROCEDURE = f"{systems.CSOR}/sid/hes-procedure"
STATEMENT = f"{systems.CSOR}/sid/hes-statement"
"""Identifier system of what Provenance says a child's resources were made of."""

_UK = "https://fhir.hl7.org.uk"
_ADMISSION = ("Extension-UKCore-AdmissionMethod", "UKCore-AdmissionMethodEngland")
_DISCHARGE = ("Extension-UKCore-DischargeMethod", "UKCore-DischargeMethodEngland")
_CLASS = {"1": "IMP", "2": "SS", "3": "AMB", "4": "AMB", "5": "IMP"}
"""CLASSPAT: ordinary, day case, regular day and night, mother and baby."""
_ACTS = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_NULL_FLAVOR = {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}
_CATEGORY = {
    "system": "http://terminology.hl7.org/CodeSystem/condition-category",
    "code": "encounter-diagnosis",
}


def bundle(patient: str, stays: Sequence[ContinuousSpell], now: str) -> Resource:
    """Return the transaction Bundle of a child's stays; `patient` is "Patient/1", `now` an instant.

    Its Provenance is created once for the same statement, whenever that is loaded.
    """
    entries = [entry for stay in stays for spell in stay.spells for entry in _spell(patient, spell)]
    statement = sha256(encode(entries)).hexdigest()
    provenance: Resource = {
        "resourceType": "Provenance",
        "target": [{"reference": entry["fullUrl"]} for entry in entries],
        "recorded": now,
        "agent": [{"who": {"display": "Hospital Episode Statistics"}}],
        "entity": [
            {"role": "source", "what": {"identifier": {"system": STATEMENT, "value": statement}}}
        ],
    }
    once = f"entity:identifier={quote(STATEMENT, safe=':/')}|{statement}"
    request = {"method": "POST", "url": "Provenance", "ifNoneExist": once}
    made = {"fullUrl": _urn(STATEMENT, statement), "resource": provenance, "request": request}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [*entries, made]}


def _spell(patient: str, spell: Spell) -> Iterator[Resource]:
    """Yield the entries of a spell; of a code that several episodes have, the first one's."""
    key = spell.first.epikey
    encounter = _urn(SPELL, key)
    about = {"subject": {"reference": patient}, "encounter": {"reference": encounter}}
    yield _entry(SPELL, key, _encounter(patient, spell))
    seen: set[str] = set()
    for episode in spell.episodes:
        for value, resource in (*_conditions(episode), *_procedures(episode)):
            name = f"{key}.{value}"
            if name not in seen:
                seen.add(name)
                system = DIAGNOSIS if resource["resourceType"] == "Condition" else PROCEDURE
                yield _entry(system, name, {**resource, **about})


def _encounter(patient: str, spell: Spell) -> Resource:
    first, last = spell.first, spell.last
    admitted = {"start": str(first.admidate)}
    made: Resource = {
        "resourceType": "Encounter",
        "status": "finished" if last.disdate else "unknown",
        "class": _class(first.classpat),
        "subject": {"reference": patient},
        "period": admitted | ({"end": str(last.disdate)} if last.disdate else {}),
        "serviceProvider": {
            "identifier": {"system": systems.ODS_ORGANIZATION, "value": first.provider}
        },
    }
    stay = _stay(first, last)
    if last.dismeth not in ("", "8", "9"):
        made["extension"] = [_extension(*_DISCHARGE, last.dismeth)]
    return made | ({"hospitalization": stay} if stay else {})


def _class(code: str) -> Resource:
    return {"system": _ACTS, "code": _CLASS[code]} if code in _CLASS else _NULL_FLAVOR


def _stay(first: Episode, last: Episode) -> Resource:
    made: Resource = {}
    if first.admimeth:
        made["extension"] = [_extension(*_ADMISSION, first.admimeth)]
    if first.admisorc:
        made["admitSource"] = _concept("UKCore-SourceOfAdmissionEngland", first.admisorc)
    if last.disdest:
        made["dischargeDisposition"] = _concept("UKCore-DischargeDestinationEngland", last.disdest)
    return made


def _extension(name: str, system: str, code: str) -> Resource:
    url = f"{_UK}/StructureDefinition/{name}"
    return {"url": url, "valueCodeableConcept": _concept(system, code)}


def _concept(system: str, code: str) -> Resource:
    return {"coding": [{"system": f"{_UK}/CodeSystem/{system}", "code": code}]}


def _conditions(episode: Episode) -> Iterator[tuple[str, Resource]]:
    for sent in episode.diagnoses:
        code = icd_10(sent)
        yield (
            code,
            {
                "resourceType": "Condition",
                "category": [{"coding": [_CATEGORY]}],
                "code": {"coding": [{"system": systems.ICD_10, "code": code}]},
                "recordedDate": str(episode.epistart),
            },
        )


def _procedures(episode: Episode) -> Iterator[tuple[str, Resource]]:
    for operation in episode.operations:
        code = opcs_4(operation.code)
        made: Resource = {
            "resourceType": "Procedure",
            "status": "completed",
            "code": {"coding": [{"system": systems.OPCS_4, "code": code}]},
        }
        if operation.day is None:
            yield code, made
        else:
            yield f"{code}.{operation.day}", {**made, "performedDateTime": str(operation.day)}


def _entry(system: str, value: str, resource: Resource) -> Resource:
    kind = resource["resourceType"]
    identifier = {"system": system, "value": value}
    identified = {**resource, "identifier": [identifier]}
    request = {"method": "PUT", "url": f"{kind}?{search(identifier)}"}
    return {"fullUrl": _urn(system, value), "resource": identified, "request": request}


def _urn(system: str, value: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{system}|{value}')}"
