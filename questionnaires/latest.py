"""Observation-based population: the newest Observation of a question's code, within a period.

https://hl7.org/fhir/uv/sdc/populate.html#observation-based-population
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from questionnaires.elements import SDC, Item, extension_value, value_of
from questionnaires.expressions import Focus, Scope
from questionnaires.filling import Place
from questionnaires.queries import Asking
from r4 import dates
from r4.issue import FhirError, error
from r4.json import Resource
from terminology.sources import canonical

_PERIOD = SDC + "observationLinkPeriod"
_STATUSES = ("final", "amended", "corrected")
_UNITS = {
    "a": "years", "mo": "months", "wk": "weeks", "d": "days", "h": "hours", "min": "minutes",
    "s": "seconds",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest Observations of one subject, as a form asks for them."""

    asking: Asking
    subject: Resource | None
    _panels: dict[int, Resource | None] = field(default_factory=dict)

    def value(self, place: Place) -> list[Focus]:
        """Return the value of the Observation that answers a question; none where none does.

        Below an item that an Observation is bound to, only its components and members are looked at.
        Raises FhirError where the Observations may not be looked for.
        """
        definition, scope = place.definition, place.scope
        if definition.get("repeats"):
            return []
        held = next(self._held(definition, scope, place.above), None)
        found = None if held is None else value_of(held)
        return [] if found is None else [Focus(found[1], found[0])]

    def _held(
        self, definition: Item, scope: Scope, above: tuple[tuple[Item, Item], ...]
    ) -> Iterator[dict[str, Any]]:
        """Yield Observations, or components of one, of an item's code, that have a value; newest first."""
        codes = definition.get("code", [])
        period = _period((definition, *(each for each, _ in reversed(above)), scope.questionnaire))
        if not codes or period is None or self.subject is None:
            return
        panel = self._panel(scope, above)
        if panel is None:
            found = self._of_subject(codes, period, scope)
        else:
            yield from (each for each in panel.get("component", ()) if _is_of(each, codes))
            found = [each for each in self._members(panel) if _is_of(each, codes)]
        yield from (each for each in found if value_of(each) is not None)

    def _panel(self, scope: Scope, above: tuple[tuple[Item, Item], ...]) -> Resource | None:
        """Return the Observation that the nearest coded item above is bound to, if it is to one."""
        for depth in range(len(above) - 1, -1, -1):
            definition, item = above[depth]
            if "code" in definition and id(item) not in self._panels:
                found = self._of_item(definition, scope, above[:depth])
                self._panels[id(item)] = found
            if (bound := self._panels.get(id(item))) is not None:
                return bound
        return None

    def _of_item(
        self, definition: Item, scope: Scope, above: tuple[tuple[Item, Item], ...]
    ) -> Resource | None:
        period = _period((definition, *(each for each, _ in reversed(above)), scope.questionnaire))
        if period is None:
            return None
        return next(iter(self._of_subject(definition["code"], period, scope)), None)

    def _of_subject(
        self, codes: list[dict[str, Any]], period: dict[str, Any], scope: Scope
    ) -> list[Resource]:
        """Return the subject's Observations of the codes within a period, the newest first."""
        start = _start(period, scope)
        subject = (self.subject or {}).get("reference")
        if not isinstance(subject, str):
            return []
        tokens = ",".join(
            quote(f"{each.get('system', '')}|{each['code']}", safe="") for each in codes
        )
        query = (
            f"Observation?subject={quote(subject, safe='/')}&code={tokens}"
            f"&status={','.join(_STATUSES)}&date=ge{quote(start, safe='')}&_sort=-date"
        )
        earliest = dates.interval(start)[0]
        fitting = [each for each in self.asking.ask(query) if _fits(each, codes, earliest)]
        return sorted(fitting, key=_moment, reverse=True)

    def _members(self, panel: Resource) -> Iterator[Resource]:
        for held in panel.get("hasMember", ()):
            if "reference" in held and (found := self.asking.resolve(held["reference"])):
                yield found


def _period(elements: tuple[Item, ...]) -> dict[str, Any] | None:
    """Return the period of the nearest element, from an item up to the form, that has one."""
    found = (extension_value(each, _PERIOD) for each in elements)
    return next((period for period in found if period is not None), None)


def _start(period: dict[str, Any], scope: Scope) -> str:
    """Return the moment at which a period that ends now began."""
    unit = _UNITS.get(period.get("code", ""))
    found = scope.evaluate(f"now() - {period.get('value')} {unit}", Focus({})) if unit else []
    if not found:
        text = f"The period {period.get('value')} {period.get('code')} cannot be looked back"
        raise FhirError(422, [error("not-supported", text)])
    return str(found[0])


def _is_of(held: dict[str, Any], codes: list[dict[str, Any]]) -> bool:
    wanted = {(canonical(each.get("system", "")), each["code"]) for each in codes}
    return any(
        (canonical(coding.get("system", "")), coding.get("code")) in wanted
        for coding in held.get("code", {}).get("coding", ())
    )


def _fits(found: Resource, codes: list[dict[str, Any]], earliest: int) -> bool:
    """Tell whether a resource is an Observation that was asked for: `find` may have been less exact."""
    return (
        found["resourceType"] == "Observation"
        and found.get("status") in _STATUSES
        and all(about == found.get("subject") for about in found.get("focus", ()))
        and _is_of(found, codes)
        and _moment(found) > earliest
    )


def _moment(observation: Resource) -> int:
    """Return the end of the time that an Observation is about, in microseconds; 0 where unknown."""
    period = observation.get("effectivePeriod", {})
    text = (
        observation.get("effectiveDateTime")
        or observation.get("effectiveInstant")
        or period.get("end")
        or period.get("start")
    )
    try:
        return dates.interval(text)[1] if text else 0
    except ValueError:
        return 0
