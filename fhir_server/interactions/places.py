"""The places of a stay (`Encounter.location`), as one visit event after another tells them. Pure.

The list is in the order of the stay. Where the child is has status `active`, a bed that is kept for
its return `reserved`, where it has been `completed`, where it is expected `planned`.
https://hl7.org/fhir/R4/valueset-encounter-location-status.html
"""

from collections.abc import Iterable

from r4.dates import interval
from r4.json import Resource

_OPEN = ("active", "reserved", None)
_MOVES = ("transfer", "reclassify", "track")


def is_before(first: str | None, second: str | None) -> bool:
    """Tell whether a moment is known to be before another: False where either is not known."""
    return bool(first and second) and interval(first)[1] <= interval(second)[0]  # type: ignore[arg-type]


class Places:
    """The places of one stay; `stays` is the list as FHIR has it. `is_over`: the child has left."""

    def __init__(self, stays: Iterable[Resource], *, is_over: bool) -> None:
        self.stays = [dict(each) for each in stays]
        self._is_over = is_over

    def take(self, listed: list[Resource], kind: str, *, is_planned: bool) -> None:
        """Take in the places that an event of a kind tells; `is_planned`: of a stay that is ahead."""
        listed = [dict(each) for each in listed]
        if kind in ("admit", "preadmit"):
            self._begin(listed, kind, is_planned=is_planned)
        elif kind == "cancel-transfer":
            self._go_back(listed)
        elif kind == "cancel-pending-transfer":
            self.stays = [each for each in self.stays if each.get("status") != "planned"]
        else:
            if kind == "cancel-discharge":
                self._reopen()
            elif kind in ("leave", "return") and not listed:
                self._hold("reserved" if kind == "leave" else "active")
            for each in listed:
                self._tell(each, kind)

    def close(self, end: str | None) -> None:
        """End the stay: the child is nowhere any more, nor expected anywhere."""
        self.stays = [each for each in self.stays if each.get("status") != "planned"]
        for each in self._open():
            _complete(each, end)

    def _open(self) -> list[Resource]:
        return [each for each in self.stays if each.get("status") in _OPEN]

    def _begin(self, listed: list[Resource], kind: str, *, is_planned: bool) -> None:
        """Take in where a stay begins; where it went on from there is not for an admission to say."""
        been = [each for each in self.stays if each.get("status") != "planned"]
        if not listed or (kind == "preadmit" and not is_planned):
            return
        if not been:
            self.stays = list(listed)
            return
        first, told = been[0], listed[-1]
        if _same(first, told):
            _fill(first, told)
        elif is_before(_start(told), _start(first)):
            self.stays.insert(0, _completed(told, _start(first)))
        elif been == [first] and first in self._open():
            self.stays = [told]

    def _tell(self, told: Resource, kind: str) -> None:
        status = told.get("status")
        if status == "planned":
            if not any(_same(each, told) for each in self.stays if _is_ahead(each)):
                self.stays.append(told)
        elif status == "completed" and kind in _MOVES:
            self._left(told)
        elif self._is_over:
            self._been(told)
        elif status == "completed":  # the visit ends with this message: `close` says when
            self._come(_reopened(told), kind)
        else:
            self._come(told, kind)

    def _left(self, told: Resource) -> None:
        """Take in where the child was before."""
        for each in self._open():
            if _same(each, told):
                _complete(each, _end(told))
        if not self.stays:
            self.stays.append(told)

    def _come(self, told: Resource, kind: str) -> None:
        """Take in where the child is; its bed stays reserved while it is elsewhere for a time."""
        known = [each for each in self.stays if _is_ahead(each) and _same(each, told)]
        if known:
            _fill(known[0], told)
            if kind == "update" and known[0].get("status") in _OPEN:
                return
        elif self._is_past(told):
            self._been(told)
            return
        self._leave_for(told, known, kind)
        if known:
            known[0]["status"] = told.get("status", "active")
        else:
            self.stays.append(told)

    def _leave_for(self, told: Resource, known: list[Resource], kind: str) -> None:
        if told.get("status") == "reserved" and kind != "leave":
            return
        for each in self._open():
            held = kind == "track" and each.get("status") == "reserved"
            if each not in known and not held:
                _complete(each, _start(told))

    def _is_past(self, told: Resource) -> bool:
        return any(is_before(_start(told), _start(each)) for each in self.stays)

    def _been(self, told: Resource) -> None:
        """Take in, late, a place where the child has been, at its time in the stay."""
        same = [each for each in self.stays if _same(each, told)]
        for each in same:
            if not _start(each) and _start(told):
                _fill(each, told)
                number = self.stays.index(each)
                if number and not _end(self.stays[number - 1]):
                    _complete(self.stays[number - 1], _start(told))
                return
        if not _start(told) or any(_start(each) == _start(told) for each in same):
            return
        later = [n for n, e in enumerate(self.stays) if is_before(_start(told), _start(e))]
        number = later[0] if later else len(self.stays)
        end = _start(self.stays[number]) if later else None
        if number:
            before = self.stays[number - 1]
            if is_before(_start(told), _end(before)):
                _reopened(before)
            _complete(before, _start(told))
        self.stays.insert(number, _completed(told, end))

    def _go_back(self, listed: list[Resource]) -> None:
        """Undo a transfer: the child is still where it was."""
        if self._is_over or not listed:
            return
        told = listed[-1]
        if any(_same(each, told) for each in self._open()):
            return
        before = [each for each in self.stays if _same(each, told)]
        gone = self._open()
        self.stays = [each for each in self.stays if each not in gone]
        if before:
            _reopened(before[-1])
        else:
            self.stays.append(told)

    def _reopen(self) -> None:
        been = [each for each in self.stays if each.get("status") == "completed"]
        if been and not self._open():
            _reopened(been[-1])
        self._is_over = False

    def _hold(self, status: str) -> None:
        for each in self._open():
            each["status"] = status


def _is_ahead(place: Resource) -> bool:
    """Tell whether the child is at a place, or may come to it."""
    return place.get("status") != "completed"


def _same(one: Resource, other: Resource) -> bool:
    return _named(one) == _named(other)


def _named(place: Resource) -> object:
    location = place.get("location", {})
    identifier = location.get("identifier", {})
    return (identifier.get("system"), identifier.get("value")) if identifier else location


def _start(place: Resource) -> str | None:
    found = place.get("period", {}).get("start")
    return found if isinstance(found, str) else None


def _end(place: Resource) -> str | None:
    found = place.get("period", {}).get("end")
    return found if isinstance(found, str) else None


def _fill(place: Resource, told: Resource) -> None:
    """Give a place the time since when the child was there, where it is not known."""
    if not _start(place) and _start(told) and not is_before(_end(place), _start(told)):
        place["period"] = {"start": _start(told), **place.get("period", {})}


def _complete(place: Resource, end: str | None) -> None:
    place["status"] = "completed"
    if end and not _end(place) and not is_before(end, _start(place)):
        place["period"] = {**place.get("period", {}), "end": end}


def _completed(told: Resource, end: str | None) -> Resource:
    place = dict(told)
    _complete(place, end)
    return place


def _reopened(place: Resource) -> Resource:
    place["status"] = "active"
    period = {key: value for key, value in place.get("period", {}).items() if key != "end"}
    place.pop("period", None)
    if period:
        place["period"] = period
    return place
