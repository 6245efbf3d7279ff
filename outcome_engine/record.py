"""One child's record, seen through FHIRPath: its case, birth date, index event and evidence.

https://hl7.org/fhir/R4/fhirpath.html
"""

from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outcome_engine.definition import Definition, Expression
from r4 import fhirpath
from r4.dates import parse_date
from r4.fhirpath import temporal
from r4.issue import FhirError, error
from r4.json import Resource
from terminology import Terminology

_DAY = len("2018-01-31")
_CLINICAL_DATE = {
    "Observation": ("effectiveDateTime", "effectivePeriod"),
    "Procedure": ("performedDateTime", "performedPeriod"),
    "Patient": ("deceasedDateTime",),
    "EpisodeOfCare": ("period",),
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """A resource that shows something, and its clinical date as recorded, or None."""

    reference: str
    date: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """A child's resources ready for rules: dates are FHIR dates, None where not known."""

    bundle: Resource
    variables: Mapping[str, Any]
    terminology: Terminology
    patient: Resource
    case: Resource
    as_of: str
    birth_date: str | None
    horizon_date: str | None
    index: tuple[Evidence, ...]

    @property
    def index_date(self) -> str | None:
        """Return the day of the index event."""
        return self.index[0].date[:_DAY] if self.index and self.index[0].date else None

    def evaluate(self, expression: Expression, variables: Mapping[str, Any]) -> list[Any]:
        """Evaluate an expression over the record, with further variables."""
        return _evaluate(expression, self.bundle, {**self.variables, **variables}, self.terminology)


def read(
    definition: Definition, resources: Sequence[Resource], as_of: str, terminology: Terminology
) -> Record:
    """Prepare a child's resources for the rules of a measure, as known on a date.

    Raises FhirError 422 without exactly one active Patient, or without a case of the measure's
    condition, and 400 when as_of is no full date.
    """
    day = _full_day(as_of)
    patient = _patient(resources)
    bundle = _bundle(resources)
    birth_date = patient.get("birthDate")
    horizon_date = None if birth_date is None else birthday(birth_date, definition.horizon)
    variables: dict[str, Any] = {
        "asOf": as_date(day),
        "birthDate": as_date(birth_date),
        "horizonDate": as_date(horizon_date),
        "indexDate": [],
        "indexEnd": [],
    }
    for variable in definition.variables:
        variables[variable.name] = _evaluate(variable, bundle, variables, terminology)
    index = _index(_evaluate(definition.index, bundle, variables, terminology))
    if index:
        variables["indexDate"] = as_date((index[0].date or "")[:_DAY])
        variables["indexEnd"] = _last_moment(index)
    case = _case(definition, cases(definition, resources, terminology))
    return Record(
        bundle, variables, terminology, patient, case, day, birth_date, horizon_date, index
    )


def cases(
    definition: Definition, resources: Sequence[Resource], terminology: Terminology
) -> list[Resource]:
    """List the cases of a measure in a record, the earliest first and those without a full date last.

    The criteria of the initial population select them, and are given no variables.
    """
    criteria = definition.populations["initial-population"]
    found = _evaluate(criteria, _bundle(resources), {}, terminology)
    return sorted(found, key=lambda case: (not is_dated(case), _start(case), case["id"]))


def case_start(case: Resource) -> str:
    """Return the day of a case as far as it is known: a full or partial date, or nothing."""
    return _start(case)[:_DAY]


def is_dated(case: Resource) -> bool:
    """Tell whether a case's start is known to the day."""
    return len(case_start(case)) == _DAY


def birthday(birth_date: str, years: int) -> str:
    """Return the day on which an age is reached; of a partial birth date, the last possible day.

    A child born on 29 February is a year older on 1 March of common years.
    """
    born = parse_date(birth_date)
    year, month = born.year + years, born.month or 12
    day = born.day or _last_day(year, month)
    if day > _last_day(year, month):
        return f"{year:04}-03-01"
    return f"{year:04}-{month:02}-{day:02}"


def as_date(text: str | None) -> Any:
    """Turn a FHIR date into FHIRPath's Date; an absent one into the empty collection."""
    return [] if not text else temporal.read(text)


def reference(resource: Resource) -> str:
    """Return the literal reference to a resource."""
    return f"{resource['resourceType']}/{resource['id']}"


def evidence(resources: Sequence[Resource]) -> tuple[Evidence, ...]:
    """Turn resources into Evidence, the earliest clinical date first and undated ones last."""
    found = [Evidence(reference(resource), _clinical_date(resource)) for resource in resources]
    return tuple(sorted(found, key=lambda each: (each.date is None, each.date, each.reference)))


def _evaluate(
    expression: Expression, bundle: Resource, variables: Mapping[str, Any], terminology: Terminology
) -> list[Any]:
    def member_of(value: Any, value_set: str) -> bool | None:
        return _is_member(terminology, value, value_set)

    environment = fhirpath.Environment(variables=variables, member_of=member_of)
    return fhirpath.evaluate(expression.text, bundle, environment)


def _is_member(terminology: Terminology, value: Any, value_set: str) -> bool | None:
    if not isinstance(value, dict):
        return terminology.validate_code(value_set, None, value)
    codings = value.get("coding", [value])
    found = [
        terminology.validate_code(value_set, coding.get("system"), coding["code"])
        for coding in codings
        if "code" in coding
    ]
    return True if True in found else None if None in found else False


def _patient(resources: Sequence[Resource]) -> Resource:
    active = [
        resource
        for resource in resources
        if resource["resourceType"] == "Patient" and resource.get("active") is not False
    ]
    if len(active) != 1:
        message = f"A child's record has one active Patient; this one has {len(active)}."
        raise FhirError(422, [error("business-rule", message)])
    return active[0]


def _start(case: Resource) -> str:
    start: str = case.get("period", {}).get("start", "")
    return start


def _bundle(resources: Sequence[Resource]) -> Resource:
    entries = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def _case(definition: Definition, found: Sequence[Resource]) -> Resource:
    if not found or not is_dated(found[0]):
        message = (
            f"The record holds no case (EpisodeOfCare) of measure `{definition.canonical}` "
            "whose period.start is known to the day."
        )
        raise FhirError(422, [error("business-rule", message)])
    return found[0]


def _index(procedures: Sequence[Resource]) -> tuple[Evidence, ...]:
    dated = [
        each for each in evidence(procedures) if each.date is not None and len(each.date) >= _DAY
    ]
    first = dated[0].date if dated else None
    return tuple(each for each in dated if first and (each.date or "")[:_DAY] == first[:_DAY])


def _last_moment(index: Sequence[Evidence]) -> Any:
    timed = [each.date for each in index if each.date is not None and len(each.date) > _DAY]
    return temporal.read_date_time(max(timed)) if timed else []


def _clinical_date(resource: Resource) -> str | None:
    for element in _CLINICAL_DATE.get(resource["resourceType"], ()):
        value = resource.get(element)
        if isinstance(value, dict):
            value = value.get("start")
        if isinstance(value, str):
            return value
    return None


def _full_day(text: str) -> str:
    day = text[:_DAY]
    try:
        complete = parse_date(day).day is not None
    except ValueError:
        complete = False
    if not complete:
        raise FhirError(400, [error("value", f"`{text}` is not a full date (YYYY-MM-DD).")])
    return day


def _last_day(year: int, month: int) -> int:
    return monthrange(year, month)[1]
