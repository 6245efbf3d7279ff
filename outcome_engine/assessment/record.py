"""One child's record read for a definition: its Patient and case, its facts, and their evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from outcome_engine import civil
from outcome_engine.assessment.rows import (
    Evidence,
    Rows,
    compile_fact,
    evidence,
    layout,
    not_converted,
    ordered,
    taken,
)
from outcome_engine.definitions.values import Definition, Due, Index, Taken
from outcome_engine.expressions.python import Facts
from outcome_engine.expressions.syntax import Node, facts_of
from outcome_engine.views.generated import key_of
from r4.issue import FhirError, error
from r4.json import Resource
from terminology import Terminology

_DAY = len("2018-01-31")
_NOTHING: tuple[Any, ...] = ()
_ORGANIZATION = key_of("Organization")


@dataclass(slots=True)
class Record:
    """A child's record: its resources, its facts and what they were read from; dates are FHIR's.

    evidence: of each fact that rows gave, those rows' resources; unread: of each that has no value,
    those whose unit is not converted.
    """

    definition: Definition
    rows: Rows
    facts: Facts
    patient: Resource
    case: Resource
    as_of: str
    evidence: dict[str, tuple[Evidence, ...]] = field(default_factory=dict)
    unread: dict[str, tuple[Evidence, ...]] = field(default_factory=dict)
    index: tuple[Evidence, ...] = ()

    @property
    def birth_date(self) -> str | None:
        """Return the birth date as recorded."""
        found: str | None = self.patient.get("birthDate")
        return found

    @property
    def index_date(self) -> str | None:
        """Return the day of the index event."""
        return self.day("indexDate")

    @property
    def due_on(self) -> str | None:
        """Return the date from which every outcome should be known."""
        return self.day("dueDate")

    def day(self, fact: str) -> str | None:
        """Return a fact that is a date as FHIR writes it."""
        found = self.facts.get(fact)
        return None if found is None else civil.text(found)

    def value(self, node: Node) -> Any:
        """Return the value of an expression over facts."""
        return compile_fact(node)(_NOTHING, self.facts)

    def read_by(self, node: Node) -> tuple[Evidence, ...]:
        """List the evidence of all facts that an expression reads, directly or through others."""
        origins = self.definition.origins
        names = {each for name in facts_of(node) for each in origins.get(name, {name})}
        found = {each for name in names for each in self.evidence.get(name, ())}
        if names & {"indexDate", "indexEnd"}:
            found |= set(self.index)
        return ordered(found)


def read(
    definition: Definition, resources: Sequence[Resource], as_of: str, terminology: Terminology
) -> Record:
    """Read a child's resources for a definition, as known on a date.

    Raises FhirError 422 without exactly one active Patient, or without a case of the measure's
    condition, and 400 when as_of is no full date.
    """
    day = full_day(as_of)
    patient = _patient(resources)
    rows = Rows(patient["id"], resources)
    facts = Facts({"asOf": civil.day_of(day)}, _member(terminology))
    case = _case(definition, resources, rows, facts)
    born = civil.span(patient.get("birthDate", ""))
    facts["birthDate"] = None if born is None else born[1]
    facts["caseDate"] = civil.day_of(case_start(case))
    record = Record(definition, rows, facts, patient, case, day)
    for step in definition.steps:
        if isinstance(step, Index):
            _read_index(step, record)
        elif isinstance(step, Due):
            _read_due(step, record)
        else:
            _read_fact(step, record)
    return record


def cases(
    definition: Definition, resources: Sequence[Resource], terminology: Terminology
) -> list[Resource]:
    """List the cases of a measure in a record, the earliest first and those without a full date last."""
    return _cases(definition, resources, Rows("", resources), Facts({}, _member(terminology)))


def case_start(case: Resource) -> str:
    """Return the day of a case as far as it is known: a full or partial date, or nothing."""
    return _start(case)[:_DAY]


def is_dated(case: Resource) -> bool:
    """Tell whether a case's start is known to the day."""
    return len(case_start(case)) == _DAY


def reference(resource: Resource) -> str:
    """Return the literal reference to a resource."""
    return f"{resource['resourceType']}/{resource['id']}"


def hospital(named: Resource) -> str | None:
    """Return the literal reference to an Organization of this server, without a version; None for others."""
    key = _ORGANIZATION(named.get("reference"))
    return None if key is None else f"Organization/{key}"


def _member(terminology: Terminology) -> Any:
    known: dict[tuple[str, str | None, str], bool | None] = {}

    def member(value_set: str, system: str | None, code: str) -> bool | None:
        key = (value_set, system, code)
        if key not in known:
            known[key] = terminology.validate_code(*key)
        return known[key]

    return member


def _cases(
    definition: Definition, resources: Sequence[Resource], rows: Rows, facts: Facts
) -> list[Resource]:
    place = layout(definition.case.view)["id"]
    ids = {row[place] for row in rows.select(definition.case, facts)}
    found = [
        each for each in resources if each["resourceType"] == "EpisodeOfCare" and each["id"] in ids
    ]
    return sorted(found, key=lambda case: (not is_dated(case), _start(case), case["id"]))


def _case(
    definition: Definition, resources: Sequence[Resource], rows: Rows, facts: Facts
) -> Resource:
    found = _cases(definition, resources, rows, facts)
    if not found or not is_dated(found[0]):
        message = (
            f"The record holds no case (EpisodeOfCare) of measure `{definition.canonical}` "
            "whose period.start is known to the day."
        )
        raise FhirError(422, [error("business-rule", message)])
    return found[0]


def _read_index(index: Index, record: Record) -> None:
    places = layout(index.selection.view)
    day, at = places["date__day"], places["date__at"]
    found = record.rows.select(index.selection, record.facts)
    first = min((row[day] for row in found if row[day] is not None), default=None)
    rows = [row for row in found if row[day] == first and first is not None]
    record.facts["indexDate"] = first
    record.facts["indexEnd"] = max((row[at] for row in rows if row[at] is not None), default=None)
    record.index = evidence(index.selection.view, rows)


def _read_due(due: Due, record: Record) -> None:
    day = record.value(due.date)
    deciding = day
    if deciding is None and due.otherwise is not None:
        deciding = record.value(due.otherwise)
    record.facts["dueDate"] = day
    record.facts["due"] = deciding is not None and deciding <= record.facts["asOf"]


def _read_fact(fact: Taken, record: Record) -> None:
    if fact.expression is not None:
        record.facts[fact.id] = record.value(fact.expression)
    elif fact.selection is not None:
        selected = record.rows.select(fact.selection, record.facts)
        value, rows = taken(fact, selected)
        record.facts[fact.id] = value
        record.evidence[fact.id] = evidence(fact.selection.view, rows)
        if value is None and (unread := not_converted(fact, selected)):
            record.unread[fact.id] = evidence(fact.selection.view, unread)


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


def full_day(text: str) -> str:
    """Return the day of a full date or dateTime; raises FhirError 400 for what is none."""
    day = text[:_DAY]
    span = civil.span(day)
    if span is None or len(day) != _DAY:
        raise FhirError(400, [error("value", f"`{text}` is not a full date (YYYY-MM-DD).")])
    return day
