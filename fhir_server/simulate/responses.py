"""Events as signed operative notes and parents' surveys, sent as FHIR.

https://hl7.org/fhir/R4/questionnaireresponse.html
"""

from collections.abc import Mapping
from random import Random

from fhir_server.simulate import bundles
from fhir_server.simulate.events import Event
from fhir_server.simulate.forms import Form, fill
from fhir_server.simulate.tables import Hospital, system
from r4.json import Resource

_ROLE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
NOTE = "operative-note-hirschsprung"
SURVEY = "parent-survey-hirschsprung-5-years"
FORMS: Mapping[str, str] = {"note": NOTE, "survey": SURVEY}
"""The form that an event of each kind is written on, by the id of its Questionnaire."""


def signing(hospital: Hospital, event: Event, form: Form) -> Resource:
    """Return the Parameters of `$sign`: the completed note, who signs it, and where."""
    response = _response(hospital, event, form)
    response["author"] = bundles.practitioner(event.surgeon)
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "response", "resource": response},
            {"name": "signer", "valueReference": bundles.practitioner(event.surgeon)},
            {"name": "hospital", "valueReference": bundles.organization(hospital.ods)},
        ],
    }


def survey(hospital: Hospital, event: Event, form: Form) -> Resource:
    """Return the completed survey about a child, written by its parent."""
    response = _response(hospital, event, form)
    return response | {"author": {"reference": parent_place(hospital, event)}}


def parent(hospital: Hospital, event: Event) -> Resource:
    """Return the child's parent, who is known to the registry before answering it."""
    return {
        "resourceType": "RelatedPerson",
        "identifier": [_parent_number(hospital, event)],
        "active": True,
        "patient": bundles.subject(hospital, event.person.number),
        "relationship": [{"coding": [{"system": _ROLE, "code": "PRN", "display": "parent"}]}],
        "name": [{"family": event.person.family, "given": ["Fictitious Parent"]}],
    }


def parent_place(hospital: Hospital, event: Event) -> str:
    """Return the conditional reference to a child's parent."""
    number = _parent_number(hospital, event)
    return f"RelatedPerson?identifier={number['system']}|{number['value']}"


def _parent_number(hospital: Hospital, event: Event) -> dict[str, str]:
    return {
        "system": f"{system('local')}/{hospital.ods}/parent",
        "value": f"{event.child.index:06d}",
    }


def _response(hospital: Hospital, event: Event, form: Form) -> Resource:
    """Return the completed response to a form, about the child, at the event's time."""
    identifier = f"{event.child.index:06d}-{event.kind}-{event.at:%Y%m%d%H%M}"
    random = Random(f"{event.child.seed}:{identifier}")
    return {
        "resourceType": "QuestionnaireResponse",
        "identifier": {
            "system": f"{system('local')}/{hospital.ods}/response",
            "value": identifier,
        },
        "questionnaire": form.canonical,
        "status": "completed",
        "subject": bundles.subject(hospital, event.person.number),
        "authored": event.at.isoformat(),
        "item": fill(form, {**event.facts, **_header(hospital, event)}, random),
    }


def _header(hospital: Hospital, event: Event) -> dict[str, str]:
    """Return what an EPR knows about child, surgeon and hospital without asking."""
    kind = "chi-number" if hospital.habit("number") == "CHI" else "nhs-number"
    return {
        kind: event.person.number,
        "hospital-number": event.person.mrn,
        "hospital-ods-code": hospital.ods,
        "surgeon": f"{event.surgeon.given} {event.surgeon.family}",
        "surgeon-gmc-number": event.surgeon.gmc,
    }
