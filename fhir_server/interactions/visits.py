"""What a visit event of HL7 v2 does to a stored Encounter: status, places of stay, class. Pure.

An event changes a status only from where it can stand: an admission is cancelled while it lasts, a
pre-admission before it begins, a discharge once it has been. `statusHistory` and `classHistory` keep
what was before, until when the hospital recorded the change: an event that it had recorded earlier
than that comes too late to bring back what has been. The same event again changes nothing.
"""

from dataclasses import dataclass

from fhir_server.interactions.places import Places, is_before
from r4.json import Resource

UNFINISHED = ("planned", "arrived", "triaged", "in-progress", "onleave")
_WITHDRAWN = ("cancelled", "entered-in-error")
_BEFORE_ADMISSION = ("planned", "unknown")
_FROM = {
    "cancel-admit": (*UNFINISHED, "unknown"),
    "cancel-preadmit": _BEFORE_ADMISSION,
    "cancel-discharge": ("finished",),
    "leave": (*UNFINISHED, "unknown"),
    "return": (*UNFINISHED, "unknown"),
    "delete": (*UNFINISHED, "finished", "unknown", "cancelled"),
}
"""From which statuses an event that has a rule of its own changes them."""

_STATUS_ALONE = ("cancel-admit", "cancel-preadmit", "delete")
_REVIVES = ("admit", "preadmit", "discharge")
DISCHARGE_METHOD = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-DischargeMethod"


@dataclass(frozen=True, slots=True)
class Change:
    """An event: its kind (`Visit Event` of events.csv), and when the hospital recorded it, a dateTime.

    `visits` are the numbers of the visit, as `system|value`, where the entry is not the visit itself.
    """

    kind: str
    recorded: str | None = None
    visits: tuple[str, ...] = ()


def applied(current: Resource, incoming: Resource, change: Change) -> tuple[Resource, Resource]:
    """Return what is left of a stored Encounter after an event, and what the event lays over it."""
    changes = _changes(current, incoming, change)
    if not changes and change.kind in _FROM:
        return current, {}
    incoming = dict(incoming)
    after = incoming.pop("status", None)
    if changes:
        incoming["status"] = after
        incoming["statusHistory"] = _with_status(current, change)
    if change.kind in _STATUS_ALONE:
        return current, {key: incoming[key] for key in ("status", "statusHistory")}
    if change.kind == "cancel-discharge":
        current = _undischarged(current)
    elif after == "finished" and not changes and current.get("status") != "finished":
        incoming = _undischarged(incoming)  # it comes too late: the discharge has been cancelled
    _set_class(current, incoming, change)
    _set_places(current, incoming, change)
    return current, incoming


def _changes(current: Resource, incoming: Resource, change: Change) -> bool:
    """Tell whether the event gives the visit another status."""
    before, after = current.get("status"), incoming.get("status")
    history: list[Resource] = current.get("statusHistory", [])
    if after in (None, before):
        return False
    if after in [each["status"] for each in history] and _is_late(change, _end(history)):
        return False
    if change.kind in _FROM:
        return before in _FROM[change.kind]
    if before in _WITHDRAWN:
        since = _end(history)
        return change.kind in _REVIVES and bool(since) and is_before(since, change.recorded)
    if before in ("finished", "onleave"):
        return bool(before == "onleave" and after == "finished")
    return after != "planned" or before == "unknown"


def _is_late(change: Change, since: str | None) -> bool:
    return is_before(change.recorded, since)


def _end(history: list[Resource] | None) -> str | None:
    """Return until when the last entry of a history lasted: since when what stands now does."""
    period = history[-1].get("period", {}) if history else {}
    end = period.get("end")
    return end if isinstance(end, str) else None


def _past(current: Resource, history: list[Resource], change: Change) -> Resource:
    """Return the period of what stands now, ended by the event."""
    start = _end(history) or current.get("period", {}).get("start")
    period = {"end": change.recorded} if change.recorded else {}
    if start and not is_before(change.recorded, start):
        period = {"start": start, **period}
    return {"period": period} if period else {}


def _with_status(current: Resource, change: Change) -> list[Resource]:
    history = current.get("statusHistory", [])
    past = _past(current, history, change)
    return [*history, {"status": current["status"], **past}] if past else history


def _set_class(current: Resource, incoming: Resource, change: Change) -> None:
    """Keep the class that a reclassification replaces; an admission tells the one of its beginning."""
    history = current.get("classHistory", [])
    before, after = current.get("class"), incoming.get("class")
    if not before or not after or _code(before) == _code(after):
        return
    if change.kind == "reclassify" and not _is_late(change, _end(history)):
        past = _past(current, history, change)
        if past:
            incoming["classHistory"] = [*history, {"class": before, **past}]
    elif change.kind == "reclassify" or _code(after) in [_code(each["class"]) for each in history]:
        del incoming["class"]


def _code(coding: Resource) -> tuple[object, object]:
    return coding.get("system"), coding.get("code")


def _undischarged(visit: Resource) -> Resource:
    """Return a visit without what a discharge tells of it."""
    kept = dict(visit)
    period = {key: value for key, value in visit.get("period", {}).items() if key != "end"}
    stay = dict(visit.get("hospitalization", {}))
    stay.pop("dischargeDisposition", None)
    extensions = [e for e in visit.get("extension", []) if e.get("url") != DISCHARGE_METHOD]
    for name, value in (("period", period), ("hospitalization", stay), ("extension", extensions)):
        kept.pop(name, None)
        if value:
            kept[name] = value
    return kept


def _set_places(current: Resource, incoming: Resource, change: Change) -> None:
    status = incoming.get("status", current.get("status"))
    places = Places(current.get("location", []), is_over=current.get("status") == "finished")
    listed = incoming.pop("location", [])
    places.take(listed, change.kind, is_planned=status == "planned")
    if status == "finished":
        period: Resource = {**current.get("period", {}), **incoming.get("period", {})}
        places.close(period.get("end"))
    if places.stays:
        incoming["location"] = places.stays
