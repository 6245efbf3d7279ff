"""Which data of a child are missing for a measure, as stored now: of its outcome, its survey and its note."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from fhir_server.context import Context, instant
from fhir_server.interactions.targets import find
from fhir_server.operations.survey_standing import MANY, about, open_tasks, stopped
from outcome_engine import ChildOutcome
from outcome_engine.civil import said
from outcome_engine.definitions.definition import outline
from r4.json import Resource, decode
from r4.reference import walk
from terminology.systems import LOINC

OUTCOME, SURVEY, NOTE = "outcome-unknown", "survey-overdue", "note-missing"
_NOTES = {
    "Composition": "status=final,amended",
    "DocumentReference": "status=current",
}
_OPERATIVE_NOTE = f"{LOINC}|11504-8"
_DAY = len("2018-01-31")


class Gap(NamedTuple):
    """One thing that is missing: a code of CodeSystem/data-gap, its name, a sentence, what it is about."""

    code: str
    title: str
    detail: str
    implicated: tuple[str, ...] = ()


def gaps(
    context: Context, outcome: ChildOutcome, resources: Mapping[str, Resource]
) -> tuple[str, list[Gap]]:
    """Return the status of a child's data for a measure, and the gaps.

    resources: those that the outcome rests on, by reference. The status is `open-gap` with the gaps;
    `closed-gap` where nothing is missing and the outcome is known; else, while it is not due, none ("").
    """
    child = resources[outcome.patient]
    found = [
        *_of_outcome(outcome),
        *_of_surveys(context, child),
        *_of_note(context, child, outcome, resources),
    ]
    if found:
        return "open-gap", found
    return ("" if outcome.outcome_class == "not-yet-known" else "closed-gap"), found


def _of_outcome(outcome: ChildOutcome) -> Iterator[Gap]:
    """Yield what is due and not known: the index event, each rule; without these, the outcome's sentence."""
    if outcome.reason != "information-missing":
        return
    event = outline(outcome.measure).index
    unknown = [each.rule for each in outcome.findings if each.status == "unknown"]
    lacking = [(each.title, each.missing) for each in unknown]
    if event is not None and outcome.index_date is None:
        lacking.insert(0, (event.title, event.title))
    for title, missing in lacking:
        since = f" since {said(outcome.due_on)}" if outcome.due_on else ""
        yield Gap(OUTCOME, title, f"Due{since}. Missing: {missing}.")
    if not lacking:
        yield Gap(OUTCOME, "Outcome", outcome.statement)


def _of_surveys(context: Context, child: Resource) -> Iterator[Gap]:
    """Yield the surveys whose last day has passed, unless the parents are asked nothing any more."""
    today = instant(context.now())[:_DAY]
    overdue = [each for each in open_tasks(context, child) if _last(each, today) < today]
    if not overdue or stopped(context, child) is not None:
        return
    for task in overdue:
        text = f"The parents' survey was to be answered by {said(_last(task, today))}."
        yield Gap(SURVEY, "Parents' survey", text, (f"Task/{task['id']}",))


def _last(task: Resource, today: str) -> str:
    """Return a survey's last day; without one it is not over."""
    last: str = task.get("restriction", {}).get("period", {}).get("end", today)
    return last[:_DAY]


def _of_note(
    context: Context, child: Resource, outcome: ChildOutcome, resources: Mapping[str, Resource]
) -> Iterator[Gap]:
    """Yield the index operation, where no note names it or the visit in which it was done."""
    index = [resources[each] for each in outcome.used if _is_index(resources.get(each), outcome)]
    if not index:
        return
    names = tuple(f"Procedure/{each['id']}" for each in index)
    visits = {each.get("encounter", {}).get("reference", "") for each in index} - {""}
    wanted = visits.union(names)
    for kind, criteria in _NOTES.items():
        asked = f"{about(context, child)}&type={_OPERATIVE_NOTE}&{criteria}"
        for stored in find(context, kind, asked, MANY)[1]:
            if any(each["reference"] in wanted for each in walk(decode(stored.body))):
                return
    text = f"No operative note of the index operation of {said(outcome.index_date)} is stored."
    yield Gap(NOTE, "Operative note", text, names)


def _is_index(resource: Resource | None, outcome: ChildOutcome) -> bool:
    """Tell whether a resource is an operation on the day of the index event."""
    if resource is None or resource["resourceType"] != "Procedure" or not outcome.index_date:
        return False
    performed = resource.get("performedDateTime") or resource.get("performedPeriod", {}).get(
        "start", ""
    )
    return bool(performed[:_DAY] == outcome.index_date)
