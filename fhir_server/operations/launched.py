"""What a launch brings: the EPR's facts about the child, and their places in the registry.

The child is known by NHS or CHI number, the surgeon by GMC number, the hospital by the EPR that
launched; child, surgeon and stay that the registry does not know yet are created by transactions.
https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from fhir_server.access import SURGEON
from fhir_server.access.eprs import WRITE_BACK
from fhir_server.access.launch import Grant
from fhir_server.context import Context, Principal
from fhir_server.interactions import identity
from fhir_server.interactions.search import search
from fhir_server.interactions.targets import find, standing
from fhir_server.interactions.transaction import transaction
from fhir_server.operations.chart import Chart, local
from fhir_server.operations.forms import one
from fhir_server.store import read as store
from fhir_server.store.read import Stored
from fhir_server.store.search.texts import escape
from r4.issue import FhirError, error
from r4.json import Resource, decode
from r4.reference import literal
from terminology.systems import GMC_NUMBER, ODS_ORGANIZATION

logger = logging.getLogger("csor.launch")

_DRAFT = "in-progress"
_DEMOGRAPHICS = (
    "name", "gender", "birthDate", "deceasedBoolean", "deceasedDateTime", "address",
    "multipleBirthBoolean", "multipleBirthInteger",
)  # fmt: skip
_WHOLE_DATE = len("2026-01-31")


class Opened(NamedTuple):
    """Who a session is of, and what `GET /session` tells of the launch."""

    principal: Principal
    told: Resource


async def opened(context: Context, grant: Grant, chart: Chart) -> Opened:
    """Return the session of a launch, its child, surgeon and stay stored where they were not known.

    Raises FhirError 422 for a child without a number or a hospital that is not registered, 403 for a
    user without a GMC number, 409 where the registry knows another date of birth, 412 where the number
    is that of several children.
    """
    number = identity.number(chart.patient)
    gmc = identity.number(chart.user, (GMC_NUMBER,))
    if number is None or "value" not in number:
        text = (
            "The child has no NHS or CHI number in the hospital's system, and the registry knows "
            "children by it. Add the number there, and open the note again."
        )
        raise FhirError(422, [error("required", text)])
    if gmc is None or "value" not in gmc:
        text = (
            "Your account in the hospital's system has no GMC number, which a note is signed with. "
            "Ask for it to be added there."
        )
        raise FhirError(403, [error("forbidden", text)])
    hospital = one(context, _where("Organization", _ods(grant)), "Organization")
    if hospital is None:
        text = f"The hospital {grant.epr.hospital} is not registered here: tell the registry."
        raise FhirError(422, [error("not-found", text)])
    launching = context.asked_by(Principal(f"epr {grant.epr.name}", frozenset()))
    patient, user = await _people(launching, chart, number, gmc)
    stay = await _stay(launching, grant, chart, (patient, f"Organization/{hospital.id}"))
    principal = Principal(user, frozenset({SURGEON}), patient, user, f"Organization/{hospital.id}")
    here = {f"Patient/{grant.patient}": patient, f"Practitioner/{chart.user['id']}": user}
    if stay is not None:
        here[f"Encounter/{grant.encounter}"] = stay
    told = {
        "user": {"reference": user, "display": name(chart.user)},
        "patient": {
            "reference": patient,
            "display": name(chart.patient),
            "birthDate": chart.patient.get("birthDate"),
            "nhsNumber": number["value"],
        },
        "encounter": None if stay is None else {"reference": stay},
        "hospital": {
            "reference": f"Organization/{hospital.id}",
            "display": name(decode(hospital.body)) or grant.epr.hospital,
        },
        "form": _form(context, grant.context),
        "response": _named_draft(context, grant.context),
        "data": _data(context, grant, chart, here),
        "writeBack": grant.epr.write_back and WRITE_BACK in _narrowed(grant.scopes),
    }
    return Opened(principal, told)


async def draft(context: Context, told: Resource) -> str | None:
    """Return the id of the newest draft that the session's surgeon has of its child, or None.

    The draft that the launch named comes first; where the launch named a form, its drafts alone count.
    """
    asked, form = context.principal, told.get("form")
    if (named := told.get("response")) and _is_draft(context, named):
        return str(named)
    pairs = [
        ("subject", asked.patient or ""),
        ("author", asked.practitioner or ""),
        ("status", _DRAFT),
        ("_sort", "-_lastUpdated"),
        ("_elements", "subject"),
    ]
    if form is not None:
        pairs.append(("questionnaire", form.partition("|")[0]))
    found = decode(search(context, "QuestionnaireResponse", pairs))
    return next((entry["resource"]["id"] for entry in found.get("entry", ())), None)


def _is_draft(context: Context, response_id: str) -> bool:
    """Tell whether a response is a draft still, about the session's child."""
    stored = store.current(context.database, "QuestionnaireResponse", response_id)
    if stored is None or stored.deleted:
        return False
    found = decode(stored.body)
    child = found.get("subject", {}).get("reference")
    return bool(found["status"] == _DRAFT and child == context.principal.patient)


async def _people(
    context: Context, chart: Chart, number: Resource, gmc: Resource
) -> tuple[str, str]:
    """Return the local references of child and surgeon, created where they were not known."""
    known = _known(context, chart.patient, number)
    entries = [] if known else [_created(_patient(chart.patient), number)]
    practitioner = {
        "resourceType": "Practitioner",
        "identifier": [_plain(gmc)],
        "name": [_plain(each) for each in chart.user.get("name", ())],
    }
    entries.append(_created(practitioner, gmc))
    answer = await transaction(
        context, {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    )
    places = [_place(entry["response"]["location"]) for entry in answer["entry"]]
    return (f"Patient/{known.id}" if known else places[0]), places[-1]


def _known(context: Context, patient: Resource, number: Resource) -> Stored | None:
    """Return the child whom the registry knows by a number; raises FhirError 409 or 412 if in doubt."""
    _, matches = find(context, "Patient", _criteria(number))
    found = standing(context, matches)
    if len(found) > 1:
        text = "The registry has several children with this number: tell the registry."
        raise FhirError(412, [error("multiple-matches", text)])
    if not found:
        return None
    dates = [known.get("birthDate", "") for known in (decode(found[0].body), patient)]
    if len({date for date in dates if len(date) == _WHOLE_DATE}) > 1:
        text = (
            "The registry knows the child with this number by another date of birth. No note is "
            "opened, so that none is written about the wrong child: tell the registry."
        )
        raise FhirError(409, [error("conflict", text)])
    return found[0]


def _patient(theirs: Resource) -> Resource:
    """Return what is stored of a child: the numbers, and who it is."""
    numbers = [
        _plain(each) for each in theirs["identifier"] if "system" in each and "value" in each
    ]
    kept: Resource = {name: _plain(theirs[name]) for name in _DEMOGRAPHICS if name in theirs}
    return {"resourceType": "Patient", "identifier": numbers, **kept}


async def _stay(context: Context, grant: Grant, chart: Chart, known: tuple[str, str]) -> str | None:
    """Return the local reference of the stay, or None: a note can be written without one.

    known: the local references of child and hospital.
    """
    theirs, (patient, hospital) = chart.encounter, known
    if theirs is None:
        return None
    numbers = [each for each in theirs.get("identifier", ()) if {"system", "value"} <= each.keys()]
    own = {"system": f"{grant.epr.issuer}/Encounter", "value": theirs["id"]}
    number = _plain(numbers[0] if numbers else own)
    listed = ("status", "class", "period")
    kept: Resource = {name: _plain(theirs[name]) for name in listed if name in theirs}
    stay = {
        "resourceType": "Encounter",
        "identifier": [number],
        "subject": {"reference": patient},
        "serviceProvider": {"reference": hospital},
        **kept,
    }
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [_created(stay, number)]}
    try:
        answer = await transaction(context, bundle)
    except FhirError as refusal:
        logger.warning("the stay of a launch is not stored: %s", refusal.status)
        return None
    place = _place(answer["entry"][0]["response"]["location"])
    stored = store.current(context.database, "Encounter", place.partition("/")[2])
    whose = decode(stored.body).get("subject", {}).get("reference") if stored else None
    return place if whose == patient else None


def _form(context: Context, listed: Iterable[Mapping[str, object]]) -> str | None:
    """Return the form of this registry that the launch's fhirContext names, as `url|version`."""
    for each in listed:
        url = str(each.get("canonical", "")).partition("|")[0]
        if (form := context.forms.get(url)) is not None:
            return f"{url}|{form['version']}"
    return None


def _named_draft(context: Context, listed: Iterable[Mapping[str, object]]) -> str | None:
    """Return the id of the response of this registry that the launch's fhirContext names."""
    for each in listed:
        reference, here = str(each.get("reference", "")), f"{context.base_url}/"
        place = literal(reference.removeprefix(here)) if reference.startswith(here) else None
        if place is not None and place.type == "QuestionnaireResponse":
            return place.id
    return None


def _data(context: Context, grant: Grant, chart: Chart, here: Mapping[str, str]) -> Resource:
    """Return the collection of what was read, those known here under their ids here."""
    provider = {"identifier": _ods(grant), "display": grant.epr.hospital}
    encounter = chart.encounter and {**chart.encounter, "serviceProvider": provider}
    listed = [chart.patient, chart.user, *([encounter] if encounter else []), *chart.others]
    entries = []
    for each in listed:
        made = local(each, here, grant.epr.issuer)
        place = f"{each['resourceType']}/{each['id']}"
        base = context.base_url if place in here else grant.epr.issuer
        entries.append({"fullUrl": f"{base}/{made['resourceType']}/{made['id']}", "resource": made})
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def _narrowed(scopes: frozenset[str]) -> frozenset[str]:
    """Return scopes with the one to create documents as it was asked, where more was granted."""
    for scope in scopes:
        kind, _, rights = scope.partition("?")[0].rpartition(".")
        if kind in ("patient/DocumentReference", "patient/*") and ("c" in rights or rights == "*"):
            return scopes | {WRITE_BACK}
    return scopes


def _created(resource: Resource, number: Resource) -> Resource:
    """Return the entry that creates a resource unless one with the number is there."""
    request = {"method": "POST", "url": resource["resourceType"], "ifNoneExist": _criteria(number)}
    return {"resource": resource, "request": request}


def _criteria(number: Resource) -> str:
    token = "|".join(escape(str(number.get(name, ""))) for name in ("system", "value"))
    return urlencode({"identifier": token})


def _where(kind: str, number: Resource) -> str:
    return f"{kind}?{_criteria(number)}"


def _ods(grant: Grant) -> Resource:
    return {"system": ODS_ORGANIZATION, "value": grant.epr.hospital}


def _place(location: str) -> str:
    place = literal(location)
    assert place is not None  # noqa: S101 - our own answer
    return f"{place.type}/{place.id}"


def _plain(node: Any) -> Any:
    """Return a node without extensions and references, which mean nothing here."""
    if isinstance(node, dict):
        return {
            name: _plain(value)
            for name, value in node.items()
            if name not in ("extension", "assigner", "id") and not name.startswith("_")
        }
    return [_plain(each) for each in node] if isinstance(node, list) else node


def name(who: Resource) -> str:
    """Return in one line the official name of a person, or the first; that of an organisation as it is."""
    names = who.get("name") or [{}]
    if isinstance(names, str):
        return names
    chosen = next((each for each in names if each.get("use") == "official"), names[0])
    if chosen.get("text"):
        return str(chosen["text"])
    parts = [*chosen.get("prefix", ()), *chosen.get("given", ()), chosen.get("family", "")]
    return " ".join(parts).strip()
