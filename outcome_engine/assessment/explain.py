"""A child's outcome as a surgeon reads it: what decided it, from which resources, and where care was.

Nothing is computed here that the outcome does not hold; the sentences say it with dates and links.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outcome_engine import civil
from outcome_engine.assessment.assess import ChildOutcome, Finding
from outcome_engine.assessment.care import NOT_HAPPENED, provider
from outcome_engine.assessment.record import reference
from r4.dates import years_between
from r4.json import Resource
from terminology import Terminology

_DAY = len("2018-01-31")
_WEEK = 7
_STARTS = {"Procedure": ("performedDateTime", "performedPeriod"), "Encounter": ("period",)}
_NOT_HAPPENED = NOT_HAPPENED | {"preparation", "not-done"}
_VALUES = ("valueCodeableConcept", "valueQuantity", "valueBoolean", "valueInteger", "valueString")


@dataclass(frozen=True, slots=True)
class Shown:
    """One resource that decided: what it says, its date as recorded, and where it took place.

    elsewhere: the hospital, where it is not the one that the outcome is attributed to.
    """

    reference: str
    said: str
    date: str | None
    elsewhere: str | None


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A stay or an operation at a hospital to which the outcome is not attributed."""

    reference: str
    hospital: str
    date: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """An outcome explained: sentences in reading order, the resources that decided, care elsewhere.

    evidence: a sentence of each resource that decided; where one rule did, they are among the sentences.
    """

    sentences: tuple[str, ...]
    shown: tuple[Shown, ...]
    elsewhere: tuple[Elsewhere, ...]
    evidence: tuple[str, ...]

    def text(self) -> str:
        """Return the sentences as one paragraph a line."""
        return "\n".join(self.sentences)


def explain(
    outcome: ChildOutcome, record: Sequence[Resource], terminology: Terminology
) -> Explanation:
    """Explain the outcome that `assess` gave of this record."""
    resources = {reference(each): each for each in record}
    elsewhere = tuple(_elsewhere(outcome, record, resources))
    away = {each.reference: each.hospital for each in elsewhere}
    shown = tuple(
        _shown(resources[each], away, terminology) for each in outcome.evidence if each in resources
    )
    evidence = tuple(_of_evidence(outcome, each) for each in shown)
    sentences = [
        _headline(outcome),
        outcome.statement,
        *(evidence if _decides_alone(outcome) else ()),
        f"Rule: {outcome.decided_by.title}. Source: {outcome.decided_by.citation}.",
        *_others(outcome),
        *_unread(outcome, resources, terminology),
        *_attributed(outcome, elsewhere),
    ]
    return Explanation(tuple(sentences), shown, elsewhere, evidence)


def _headline(outcome: ChildOutcome) -> str:
    named = {"good": "good", "bad": "bad", "not-yet-known": "not yet known"}
    kind = named.get(outcome.outcome_class, outcome.outcome_class)
    born = f", born {civil.said(outcome.birth_date)}" if outcome.birth_date else ""
    index = f"; index operation {civil.said(outcome.index_date)}" if outcome.index_date else ""
    return (
        f"{outcome.patient}{born}{index}: outcome {kind} as of {civil.said(outcome.as_of)}, "
        f"by {outcome.measure}."
    )


def _decides_alone(outcome: ChildOutcome) -> bool:
    """Tell whether one rule decided: of a good outcome, all did."""
    return any(each.rule.id == outcome.decided_by.id for each in outcome.findings)


def _of_evidence(outcome: ChildOutcome, shown: Shown) -> str:
    since = _since(outcome, shown.date)
    where = f" at {shown.elsewhere}" if shown.elsewhere else ""
    return f"{shown.reference}: {shown.said}, {civil.said(shown.date)}{since}{where}."


def _since(outcome: ChildOutcome, when: str | None) -> str:
    """Say how long after the index operation something was, and at what age."""
    if when is None or len(when) < _DAY:
        return ""
    day = civil.day_of(when[:_DAY])
    found = []
    if outcome.index_date:
        days = day - civil.day_of(outcome.index_date)
        years = years_between(*sorted((outcome.index_date, when[:_DAY])))
        long = _counted(years, "year") if years > 1 else _long(abs(days))
        found.append(f"{long} {'after' if days >= 0 else 'before'} the index operation")
    if outcome.birth_date and len(outcome.birth_date) == _DAY and outcome.birth_date <= when:
        years = years_between(outcome.birth_date, when[:_DAY])
        age = _counted(years, "year") if years else _long(day - civil.day_of(outcome.birth_date))
        found.append(f"at {age} of age")
    return f" ({', '.join(found)})" if found else ""


def _long(days: int) -> str:
    """Say a number of days as one does: in days, from four weeks on in weeks."""
    return _counted(days, "day") if days < 4 * _WEEK else _counted(days // _WEEK, "week")


def _others(outcome: ChildOutcome) -> list[str]:
    """Say what else is met, what was not, and what is not known."""
    found = []
    met = [each for each in outcome.findings if each.status == "met"]
    others = [each for each in met if each.rule.id != outcome.decided_by.id]
    if others:
        found.append(f"Also met: {_listed(others, dated=True)}.")
    elif met and len(outcome.findings) > 1:
        found.append("No other adverse outcome is on record.")
    for status, words in (("not-met", "Known, and not met"), ("unknown", "Not known")):
        those = [each for each in outcome.findings if each.status == status]
        if those:
            found.append(f"{words}: {_listed(those)}.")
    waiting = [each for each in outcome.findings if each.status == "not-due"]
    if waiting:
        until = f" before {civil.said(outcome.due_on)}" if outcome.due_on else ""
        found.append(f"Not due{until}: {_listed(waiting)}.")
    return found


def _unread(
    outcome: ChildOutcome, resources: Mapping[str, Resource], terminology: Terminology
) -> list[str]:
    """Say what was measured in a unit that is not converted exactly, and is therefore not known."""
    return [
        f"{known.title} is not known: {each.reference} "
        f"({_what(resources[each.reference], terminology)}) cannot be converted exactly."
        for known in (*outcome.attributes, *outcome.factors)
        for each in known.unread
        if each.reference in resources
    ]


def _listed(findings: Iterable[Finding], *, dated: bool = False) -> str:
    return "; ".join(
        f"{each.rule.title} ({civil.said(each.date)})" if dated and each.date else each.rule.title
        for each in findings
    )


def _attributed(outcome: ChildOutcome, elsewhere: Sequence[Elsewhere]) -> list[str]:
    if not elsewhere:
        return []
    places = "; ".join(
        f"{each.reference} at {each.hospital}, {civil.said(each.date)}" for each in elsewhere
    )
    return [f"Care at another hospital, attributed to {outcome.hospital}: {places}."]


def _elsewhere(
    outcome: ChildOutcome, record: Sequence[Resource], resources: Mapping[str, Resource]
) -> Iterable[Elsewhere]:
    """Yield stays and operations up to the date of the outcome at other hospitals, by date."""
    found = []
    for each in record:
        start = _start(each)
        if each["resourceType"] not in _STARTS or (start or "")[:_DAY] > outcome.as_of:
            continue
        if each.get("status") in _NOT_HAPPENED:
            continue
        stay = each
        if each["resourceType"] == "Procedure":
            stay = resources.get(each.get("encounter", {}).get("reference", ""), {})
        hospital = provider(stay)
        if hospital and outcome.hospital and hospital != outcome.hospital:
            found.append(Elsewhere(reference(each), hospital, start))
    return sorted(found, key=lambda each: (each.date or "", each.reference))


def _shown(resource: Resource, away: Mapping[str, str], terminology: Terminology) -> Shown:
    name = reference(resource)
    return Shown(name, _what(resource, terminology), _start(resource), away.get(name))


def _what(resource: Resource, terminology: Terminology) -> str:
    if resource["resourceType"] == "Patient":
        return "death is recorded"
    said = _concept(resource.get("code", {}), terminology) or resource["resourceType"]
    value = next((resource[key] for key in _VALUES if key in resource), None)
    return said if value is None else f"{said}: {_value(value, terminology)}"


def _value(value: Any, terminology: Terminology) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        if "coding" in value or "text" in value:
            return _concept(value, terminology)
        return f"{value.get('value')} {value.get('unit', value.get('code', ''))}".strip()
    return str(value)


def _concept(concept: Resource, terminology: Terminology) -> str:
    """Return the words of a concept, with the first of its codes."""
    codings = [coding for coding in concept.get("coding", []) if "code" in coding]
    words = concept.get("text") or next((c["display"] for c in codings if "display" in c), None)
    if not codings:
        return words or ""
    if words is None:
        known = terminology.lookup(codings[0].get("system", ""), codings[0]["code"])
        words = (known or {}).get("display")
    return f"{words} ({codings[0]['code']})" if words else str(codings[0]["code"])


def _start(resource: Resource) -> str | None:
    names = {
        "Patient": ("deceasedDateTime",),
        "Observation": ("effectiveDateTime", "effectivePeriod", "effectiveInstant"),
        "Condition": ("onsetDateTime", "onsetPeriod", "recordedDate"),
        **_STARTS,
    }.get(resource["resourceType"], ())
    for name in names:
        value = resource.get(name)
        if isinstance(value, dict):
            value = value.get("start")
        if isinstance(value, str):
            return value
    return None


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
