"""What an evaluation is asked for: by uv.deqm's `$evaluate` or R4's `$evaluate-measure`, read and checked.

http://hl7.org/fhir/uv/deqm/OperationDefinition/evaluate
https://hl7.org/fhir/R4/operation-measure-evaluate-measure.html
"""

from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import outcome_engine
from fhir_server.context import Context, instant
from fhir_server.interactions.targets import find
from fhir_server.operations.export import members_of
from fhir_server.operations.parameters import Input, Kinds, missing, of_query, of_resource, required
from fhir_server.store import read as store
from outcome_engine import Period
from r4.dates import is_date, is_instant
from r4.issue import FhirError, error
from r4.json import Resource
from r4.reference import literal

TYPES = {
    "individual": "individual",
    "subject": "individual",
    "subject-list": "subject-list",
    "summary": "summary",
    "population": "summary",
}
NAMES: Kinds = {
    "measureUrl": "string",
    "measure": "string",
    "periodStart": "date",
    "periodEnd": "date",
    "reportType": "string",
    "subject": "party",
    "subjectGroup": "resource",
    "provider": "party",
    "reporter": "party",
    "_at": "dateTime",
}
REPEATS = ("measureUrl", "measure", "status")
UNSUPPORTED = {
    "practitioner": "The registry's cases belong to hospitals: name one with provider.",
    "providerResource": "A provider must be known here: name its Organization with provider.",
    "location": "The registry's cases name a hospital and no location: name it with provider.",
    "parameters": "The measures take no parameters beside the period.",
    "manifest": "The versions that a measure goes by stand in its Library, and cannot be replaced.",
    "lastReceivedOn": "Reports are whole: nothing is left out of them because it was seen before.",
}
"""Parameters of the operations that mean nothing here, each with what to do instead."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An evaluation: measures (url with version), period, report type, and whom it is about.

    The type is one of MeasureReport, or `care-gaps`: individual reports, with what they rest on.
    subjects: Patients (`Patient/id`) whose reports are wanted, None for everybody; group: the Reference
    of the Group that they are the members of; hospital: `Organization/id`; at: the moment whose stored
    data are wanted, None for what stands now.
    """

    measures: tuple[str, ...]
    period: Period
    type: str
    subjects: tuple[str, ...] | None = None
    group: Resource | None = None
    hospital: str | None = None
    at: datetime | None = None

    @property
    def is_of_one(self) -> bool:
        """Tell whether one child is asked about, by name."""
        return self.subjects is not None and self.group is None


def given(pairs: Iterable[tuple[str, str]], body: Resource | None, names: Kinds = NAMES) -> Input:
    """Map what a query string and a Parameters resource give; raises FhirError 400."""
    listed = list(pairs)
    for name in [*(name for name, _ in listed), *_named(body)]:
        if name in UNSUPPORTED:
            text = f"The parameter {name} is not supported. {UNSUPPORTED[name]}"
            raise refused("not-supported", text, name)
    return of_query(listed, names, REPEATS) | of_resource(body, names, repeats=REPEATS)


def asked(context: Context, given: Input) -> Asked:
    """Read what is asked for; raises FhirError 400, 404 for what is unknown, and 422 by the engine."""
    measures, period, at = measures_of(given), period_of(given), _at(context, given)
    as_of = instant(at or context.now())[: len("2018-01-31")]
    for url in measures:
        outcome_engine.check(url, period, context.parameters, as_of)
    subjects, group = _subjects(context, given)
    kind = _type(given, subjects, group)
    found = Asked(measures, period, kind, subjects, group, _hospital(context, given), at)
    if found.type != "individual" and found.is_of_one:
        text = f"A {found.type} is of many: it has no subject. An individual report has one."
        raise refused("not-supported", text, "subject")
    return found


def refused(code: str, text: str, name: str) -> FhirError:
    """Return the refusal of a request for one of its parameters."""
    return FhirError(400, [error(code, text, f"Parameters.parameter('{name}')")])


def _named(body: Resource | None) -> list[str]:
    listed = (body or {}).get("parameter", [])
    named = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return [each["name"] for each in named if isinstance(each.get("name"), str)]


def measures_of(given: Input) -> tuple[str, ...]:
    """Return the measures that are asked for, each with its version; raises FhirError 400 or 404."""
    if identifier := given.get("measureId"):
        known: Mapping[str, Resource] = outcome_engine.measures()
        wanted = next((url for url, each in known.items() if each["id"] == identifier), None)
        urls = [wanted or f"Measure/{identifier}"]
    else:
        urls = given.get("measureUrl") or given.get("measure") or []
    if not urls:
        raise missing("measureUrl", "measure")
    canonicals = (outcome_engine.canonical(url) for url in urls)
    return tuple(dict.fromkeys(canonicals))


def period_of(given: Input) -> Period:
    """Return the period's days; a year or a month means its first day, and its last one."""
    start, end = required(given, "periodStart"), required(given, "periodEnd")
    return Period(_first(start), _last(end))


def _first(text: str) -> str:
    return text + "-01-01"[len(text) - len("2018") :] if is_date(text) else text


def _last(text: str) -> str:
    if not is_date(text) or len(text) == len("2018-01-31"):
        return text
    year, month = (int(part) for part in (text + "-12")[: len("2018-12")].split("-"))
    return f"{year:04}-{month:02}-{monthrange(year, month)[1]}"


def _at(context: Context, given: Input) -> datetime | None:
    if "_at" not in given:
        return None
    text = given["_at"].replace(" ", "+")  # a plus that nobody has encoded
    if not is_instant(text):
        raise refused("value", f"_at={text}: this is not an instant.", "_at")
    moment = datetime.fromisoformat(text)
    if moment > context.now():
        raise refused("value", f"_at={text} has not been yet: nothing is stored as of then.", "_at")
    return moment


def _type(given: Input, subjects: object, group: Resource | None) -> str:
    kind = given.get("reportType")
    if kind is None:
        return "individual" if subjects is not None and group is None else "summary"
    if kind not in TYPES:
        text = f"reportType {kind!r} is not supported; supported: {', '.join(TYPES)}."
        raise refused("not-supported", text, "reportType")
    return TYPES[kind]


def _subjects(context: Context, given: Input) -> tuple[tuple[str, ...] | None, Resource | None]:
    """Return the Patients whose reports are wanted, and the Group that they are members of."""
    if "subjectGroup" in given:
        if "subject" in given:
            text = "Name a subject or give a subjectGroup, and not both."
            raise refused("invalid", text, "subjectGroup")
        return _of_given_group(context, given["subjectGroup"])
    if "subject" not in given:
        return None, None
    text = reference_of(given, "subject")
    place = literal(text.removeprefix(f"{context.base_url}/"))
    if place is not None and place.type == "Group":
        group = one(context, text, "subject", "Group")
        snapshot = store.snapshot(context.database)
        members = members_of(context, group.rpartition("/")[2], snapshot)
        return tuple(f"Patient/{each}" for each in members), {"reference": group}
    return (one(context, text, "subject", "Patient"),), None


def _of_given_group(context: Context, group: Resource) -> tuple[tuple[str, ...], Resource]:
    members = group.get("member", [])
    if group["resourceType"] != "Group" or not isinstance(members, list):
        raise refused("structure", "A subjectGroup is a Group of Patients.", "subjectGroup")
    found = []
    for member in members:
        entity = member.get("entity") if isinstance(member, dict) else None
        text = entity.get("reference") if isinstance(entity, dict) else None
        if not isinstance(text, str):
            text = "Each member of a subjectGroup is a Reference to a Patient."
            raise refused("structure", text, "subjectGroup")
        if member.get("inactive") is not True:
            found.append(one(context, text, "subjectGroup", "Patient"))
    name = group.get("name")
    display = name if isinstance(name, str) else "The Group that was given with the request"
    return tuple(dict.fromkeys(found)), {"display": display}


def _hospital(context: Context, given: Input) -> str | None:
    names = [name for name in ("provider", "reporter") if name in given]
    if len(names) > 1:
        text = "provider and reporter are two names of one parameter: give one of them."
        raise refused("invalid", text, "provider")
    if not names:
        return None
    return one(context, reference_of(given, names[0]), names[0], "Organization")


def reference_of(given: Input, name: str) -> str:
    """Return the text of a parameter that is a Reference or its text; raises FhirError 400."""
    value = given[name]
    text = value.get("reference") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise refused("value", f"The parameter {name} is a reference or its text.", name)
    return text


def one(context: Context, text: str, name: str, resource_type: str) -> str:
    """Return the literal reference that a reference, an id or criteria mean; raises FhirError 404."""
    kind, _, criteria = text.partition("?")
    if criteria and kind == resource_type:
        _, found = find(context, resource_type, criteria)
        ids = [stored.id for stored in found]
    else:
        named = _ids(text.removeprefix(f"{context.base_url}/"), resource_type)
        known = store.existing(context.database, [(resource_type, each) for each in named])
        ids = [each for _, each in known]
    if len(ids) != 1:
        where = f"Parameters.parameter('{name}')"
        raise FhirError(
            404, [error("not-found", f"{text} is no {resource_type} that is known here.", where)]
        )
    return f"{resource_type}/{ids[0]}"


def _ids(text: str, resource_type: str) -> list[str]:
    """Return the id of a reference to a resource of the type here, or a bare id; else nothing."""
    place = literal(text)
    if place is None:
        return [text]
    return [place.id] if place.type == resource_type and place.base is None else []
