"""Events as FHIR R4 transaction Bundles, as a hospital sends them whose EPR speaks FHIR.

Requests are idempotent: a conditional update of what changes (Patient, Encounter), a conditional
create of what is said once (Condition, Procedure, Observation, EpisodeOfCare).
https://hl7.org/fhir/R4/http.html#transaction
"""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from fhir_server.simulate import tables
from fhir_server.simulate.events import Event, Operation, Spell
from fhir_server.simulate.people import Surgeon
from fhir_server.simulate.tables import Hospital, Observable, system
from r4.json import Resource


def bundle(hospital: Hospital, event: Event) -> Resource:
    """Write the transaction that tells of an event."""
    if event.kind in ("register", "change"):
        entries = [_patient(hospital, event)]
    elif event.kind == "admit":
        entries = [_patient(hospital, event), *_admission(hospital, event)]
    elif event.kind == "observe":
        entries = _observations(hospital, event)
    else:
        entries = _stay(hospital, event)
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def subject(hospital: Hospital, number: str) -> dict[str, str]:
    """Return the conditional reference to a child by its national number."""
    return {"reference": f"Patient?identifier={hospital.number_system}|{number}"}


def organization(ods: str) -> dict[str, str]:
    """Return the conditional reference to a hospital."""
    return {"reference": f"Organization?identifier={system('ods')}|{ods}"}


def practitioner(surgeon: Surgeon) -> dict[str, str]:
    """Return the conditional reference to a surgeon."""
    return {"reference": f"Practitioner?identifier={system('gmc')}|{surgeon.gmc}"}


def registration(hospital: Hospital) -> Resource:
    """Return the Organization that a hospital registers itself as."""
    return {
        "resourceType": "Organization",
        "identifier": [{"system": system("ods"), "value": hospital.ods}],
        "active": True,
        "name": hospital.name,
    }


def surgeons(listed: tuple[Surgeon, ...]) -> Resource:
    """Return the transaction that registers surgeons, each once."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_create(_surgeon(each), system("gmc"), each.gmc) for each in listed],
    }


def _surgeon(surgeon: Surgeon) -> Resource:
    return {
        "resourceType": "Practitioner",
        "identifier": [{"system": system("gmc"), "value": surgeon.gmc}],
        "active": True,
        "name": [{"family": surgeon.family, "given": [surgeon.given]}],
    }


def _local(hospital: Hospital, kind: str) -> str:
    return f"{system('local')}/{hospital.ods}/{kind}"


def _full_url(identifier_system: str, value: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{identifier_system}|{value}')}"


def _create(resource: Resource, identifier_system: str, value: str) -> Resource:
    """Return an entry that creates the resource unless one with this identifier exists."""
    return {
        "fullUrl": _full_url(identifier_system, value),
        "resource": resource,
        "request": {
            "method": "POST",
            "url": resource["resourceType"],
            "ifNoneExist": f"identifier={identifier_system}|{value}",
        },
    }


def _update(resource: Resource, identifier_system: str, value: str) -> Resource:
    """Return an entry that updates the resource with this identifier, or creates it."""
    return {
        "fullUrl": _full_url(identifier_system, value),
        "resource": resource,
        "request": {
            "method": "PUT",
            "url": f"{resource['resourceType']}?identifier={identifier_system}|{value}",
        },
    }


def _patient(hospital: Hospital, event: Event) -> Resource:
    person = event.person
    ethnic = {"system": system("ethnic-category"), "code": person.ethnic}
    resource: Resource = {
        "resourceType": "Patient",
        "extension": [
            {
                "url": system("ethnic-category-extension"),
                "valueCodeableConcept": {"coding": [ethnic]},
            }
        ],
        "identifier": [
            {"system": hospital.number_system, "value": person.number},
            {"system": _local(hospital, "mrn"), "value": person.mrn},
        ],
        "active": True,
        "name": [{"use": "official", "family": person.family, "given": [person.given]}],
        "gender": person.gender,
        "birthDate": person.birth.date().isoformat(),
        "address": [
            {"use": "home", "line": [person.street], "city": person.town, "postalCode": "ZZ99 9ZZ"}
        ],
        "managingOrganization": organization(hospital.ods),
    }
    if event.died:
        resource["deceasedDateTime"] = event.died.isoformat()
    return _update(resource, hospital.number_system, person.number)


def _admission(hospital: Hospital, event: Event) -> list[Resource]:
    """Return the spell, the diagnosis and the registry case that it opens."""
    if event.spell is None:
        return []
    child = subject(hospital, event.person.number)
    diagnosis = _identified(
        hospital,
        "diagnosis",
        f"{event.child.index:06d}",
        {
            "resourceType": "Condition",
            "clinicalStatus": _concept(system("condition-clinical"), "active"),
            "verificationStatus": _concept(system("condition-verification"), "confirmed"),
            "code": _concept(system("I10"), event.diagnosis.code, event.diagnosis.title),
            "subject": child,
            "recordedDate": event.at.isoformat(),
        },
    )
    number = f"{event.person.number}.{event.child.condition}"
    case = {
        "resourceType": "EpisodeOfCare",
        "identifier": [{"system": system("case"), "value": number}],
        "status": "active",
        "type": [_concept(system("condition"), event.child.condition)],
        "diagnosis": [{"condition": {"reference": diagnosis["fullUrl"]}}],
        "patient": child,
        "managingOrganization": organization(hospital.ods),
        "period": {"start": event.at.date().isoformat()},
    }
    spell = _encounter(hospital, event, event.spell, ended=False)
    return [spell, diagnosis, _create(case, system("case"), number)]


def _stay(hospital: Hospital, event: Event) -> list[Resource]:
    """Return what an operation, a death or a discharge adds to a spell."""
    if event.spell is None:
        return []
    entries = [_patient(hospital, event)] if event.died else []
    if event.kind == "discharge":
        entries.append(_encounter(hospital, event, event.spell, ended=True))
    if event.kind == "operate":
        entries += [_procedure(hospital, event, each) for each in event.operations]
    return entries


def _encounter(hospital: Hospital, event: Event, spell: Spell, *, ended: bool) -> Resource:
    came, left = tables.way(spell.came), tables.way(spell.left)
    admission = _extension("admission-method", came.method)
    period = {"start": spell.admitted.isoformat()}
    resource: Resource = {
        "resourceType": "Encounter",
        "identifier": [{"system": _local(hospital, "visit"), "value": spell.number}],
        "status": "finished" if ended else "in-progress",
        "class": {"system": system("act-code"), "code": "IMP"},
        "subject": subject(hospital, event.person.number),
        "period": period,
        "hospitalization": {"extension": [admission]},
        "serviceProvider": organization(hospital.ods),
    }
    if ended:
        resource["extension"] = [_extension("discharge-method", left.method)]
        period["end"] = spell.discharged.isoformat()
    return _update(resource, _local(hospital, "visit"), spell.number)


def _extension(name: str, code: str) -> Resource:
    return {
        "url": system(f"{name}-extension"),
        "valueCodeableConcept": _concept(system(name), code),
    }


def _procedure(hospital: Hospital, event: Event, operation: Operation) -> Resource:
    spell = event.spell.number if event.spell else ""
    return _identified(
        hospital,
        "procedure",
        f"{spell}-{operation.at:%Y%m%d%H%M}",
        {
            "resourceType": "Procedure",
            "status": "completed",
            "code": _concept(system("OPCS4"), operation.code.code, operation.code.title),
            "subject": subject(hospital, event.person.number),
            "encounter": {"reference": f"Encounter?identifier={_local(hospital, 'visit')}|{spell}"},
            "performedDateTime": operation.at.isoformat(),
            "performer": [{"actor": practitioner(event.surgeon)}],
        },
    )


def _observations(hospital: Hospital, event: Event) -> list[Resource]:
    observables = tables.observables()
    return [
        _identified(
            hospital,
            "observation",
            f"{event.child.index:06d}-{fact}-{event.at:%Y%m%d%H%M}",
            {
                "resourceType": "Observation",
                "status": "final",
                "code": _concept(
                    system(observables[fact].system),
                    observables[fact].code,
                    observables[fact].title,
                ),
                "subject": subject(hospital, event.person.number),
                "effectiveDateTime": event.at.isoformat(),
                "performer": [organization(hospital.ods)],
                **_value(observables[fact], value),
            },
        )
        for fact, value in event.facts.items()
    ]


def _value(observable: Observable, value: Any) -> Resource:
    if observable.kind == "quantity":
        unit = {"unit": observable.unit_title, "system": system("UCUM"), "code": observable.unit}
        return {"valueQuantity": {"value": value, **unit}}
    if observable.kind == "code":
        return {"valueCodeableConcept": _concept(system("outcome-grade"), value)}
    return {"valueBoolean" if observable.kind == "boolean" else "valueInteger": value}


def _identified(hospital: Hospital, kind: str, value: str, resource: Resource) -> Resource:
    identifier = {"system": _local(hospital, kind), "value": value}
    named = {"resourceType": resource["resourceType"], "identifier": [identifier], **resource}
    return _create(named, identifier["system"], value)


def _concept(code_system: str, code: str, display: str = "") -> Resource:
    coding = {"system": code_system, "code": code}
    return {"coding": [{**coding, "display": display} if display else coding]}
