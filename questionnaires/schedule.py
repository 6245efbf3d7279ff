"""Which surveys about a child are due on a day: by a plan of time points, which is the operator's.

Durations are ISO 8601 (`P28D`, `P1Y6M`). There is no plan of our own: CSOR's time points are not known.
"""

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

from r4.json import Resource
from terminology.systems import CSOR

ANCHORS = ("case", "birth")
"""From what a time point is counted: the day the case was opened, or the child's birth."""
_SPAN = re.compile(r"P(?=\d)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?", re.ASCII)
_FORM = f"{CSOR}/Questionnaire/"
_CONDITION = f"{CSOR}/CodeSystem/condition"
_TABLE = frozenset({"form", "condition", "anchor", "after", "window", "remind", "source"})


class Span(NamedTuple):
    """A duration in months and days."""

    months: int
    days: int

    def after(self, day: date) -> date:
        """Return the day that is so much later; the last of its month where that is shorter."""
        month = day.month - 1 + self.months
        year, month = day.year + month // 12, month % 12 + 1
        moved = date(year, month, min(day.day, monthrange(year, month)[1]))
        return moved + timedelta(days=self.days)


@dataclass(frozen=True, slots=True)
class Asked:
    """A survey of the plan: its name, the form's canonical url, for which condition, from when to when.

    name: the form's id and the time point, which together are one survey. remind: how long after the
    first day each reminder is sent.
    """

    name: str
    form: str
    condition: str
    anchor: str
    after: Span
    window: Span
    remind: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The surveys that are asked, and how long a link can be used."""

    valid: Span
    surveys: tuple[Asked, ...]


class Due(NamedTuple):
    """A survey that is due: its name, the form's canonical url, first and last day, days of reminders."""

    name: str
    form: str
    from_: date
    until: date
    remind: tuple[date, ...]


def plan(table: Mapping[str, Any]) -> Plan:
    """Read a plan: `valid`, and `[[survey]]` tables; raises ValueError for what is none."""
    if not table.keys() <= {"valid", "survey"}:
        raise ValueError(f"unknown: {', '.join(sorted(table.keys() - {'valid', 'survey'}))}")
    listed = tuple(_asked(each) for each in table.get("survey", []))
    if len({each.name for each in listed}) < len(listed):
        raise ValueError(
            "two [[survey]] have the same form and after: one of them says nothing new"
        )
    return Plan(span(table.get("valid")), listed)


def span(text: object) -> Span:
    """Read a duration of years, months, weeks and days; raises ValueError for any other text."""
    match = _SPAN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is no duration such as P28D or P1Y")
    years, months, weeks, days = (int(each or 0) for each in match.groups())
    return Span(12 * years + months, 7 * weeks + days)


def due(case: Resource, child: Resource, plan: Plan, today: date) -> list[Due]:
    """Return the surveys about a case's child that a day is within the time of.

    case: an EpisodeOfCare of the registry; child: its Patient. One without a whole date to count from
    is due nothing.
    """
    return [
        found
        for asked in plan.surveys
        if asked.condition in _conditions(case)
        and (found := _due(asked, _anchor(asked.anchor, case, child))) is not None
        and found.from_ <= today <= found.until
    ]


def reminders(number: str, start: date, plan: Plan) -> tuple[date, ...]:
    """Return the days on which the plan reminds of a survey that began on a day.

    number: the survey's identifier, which ends with its name.
    """
    asked = next((each for each in plan.surveys if number.endswith(f".{each.name}")), None)
    return tuple(each.after(start) for each in asked.remind) if asked else ()


def _asked(table: Mapping[str, Any]) -> Asked:
    missing = _TABLE - {"remind", "source"} - table.keys()
    if missing or not table.keys() <= _TABLE:
        wrong = ", ".join(sorted(missing | (table.keys() - _TABLE)))
        raise ValueError(f"a [[survey]] lacks, or has and should not: {wrong}")
    if table["anchor"] not in ANCHORS:
        raise ValueError(f"{table['anchor']!r} is no anchor: {' or '.join(ANCHORS)}")
    remind = tuple(span(each) for each in table.get("remind", ()))
    return Asked(
        f"{table['form']}.{table['after']}", f"{_FORM}{table['form']}", table["condition"], table["anchor"],
        span(table["after"]), span(table["window"]), remind,
    )  # fmt: skip


def _due(asked: Asked, start: date | None) -> Due | None:
    if start is None:
        return None
    first = asked.after.after(start)
    remind = tuple(each.after(first) for each in asked.remind)
    return Due(asked.name, asked.form, first, asked.window.after(first), remind)


def _anchor(name: str, case: Resource, child: Resource) -> date | None:
    text = child.get("birthDate") if name == "birth" else case.get("period", {}).get("start")
    try:
        return date.fromisoformat(str(text)[:10])
    except ValueError:
        return None


def _conditions(case: Resource) -> set[str]:
    codings = (coding for kind in case.get("type", ()) for coding in kind.get("coding", ()))
    return {each["code"] for each in codings if each.get("system") == _CONDITION}
