"""The grade of a post-operative event, derived from what was done for it.

The event is an Observation of csor-postoperative-event; which detail stands for which grade is data
(`ConceptMap-clavien-dindo.json`), after Dindo, Demartines and Clavien, Ann Surg 2004;240:205.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import NoReturn

from r4 import artefacts
from r4.issue import FhirError, error
from r4.json import Resource
from terminology.systems import CSOR

_EVENT = (f"{CSOR}/CodeSystem/outcome-observation", "postoperative-event")
_DETAIL = f"{CSOR}/CodeSystem/event-detail"
_VALUE = f"{CSOR}/CodeSystem/event-detail-value"
_GRADES = f"{CSOR}/CodeSystem/clavien-dindo"
_MAP = f"{CSOR}/ConceptMap/clavien-dindo"
_SUFFIX = "d"


@dataclass(frozen=True, slots=True, order=True)
class Grade:
    """A Clavien-Dindo grade: rank 1 (I) to 8 (V) orders; suffix: still suffered from at discharge."""

    rank: int
    code: str
    display: str
    suffix: bool = False

    @property
    def label(self) -> str:
        """Return the grade as surgeons write it, such as `IIIb` or `IId`."""
        return self.display + (_SUFFIX if self.suffix else "")


def clavien_dindo(event: Resource) -> Grade:
    """Derive the grade of a post-operative event: the gravest that a detail stands for.

    An intervention whose anaesthesia is not told is III, of the contracted form.

    Raises FhirError 422 where the Observation is no such event, and where no detail has a grade.
    """
    if _EVENT not in _codings(event.get("code", {})):
        message = "The Observation is no post-operative event: its code must be {}|{}."
        raise FhirError(422, [error("business-rule", message.format(*_EVENT), "Observation.code")])
    details = set(_details(event))
    told = {code for detail in details for code in _stands_for(detail, details)}
    grades = sorted(_grades()[code] for code in told - {_SUFFIX})
    if not grades:
        message = (
            "The Clavien-Dindo grade of this event is open: add what was done for it (component "
            "`intervention`), how many organs failed, or that the child died."
        )
        raise FhirError(422, [error("business-rule", message, "Observation.component")])
    return replace(grades[-1], suffix=_SUFFIX in told)


def clavien_madadi(event: Resource) -> NoReturn:
    """Refuse the Clavien-Madadi grade of an event (BJS 2023;110:576): its wording is not known here.

    Raises FhirError 422, always. The details that it grades by are kept with the event.
    """
    raise FhirError(
        422,
        [
            error(
                "not-supported",
                "The Clavien-Madadi grade is not computed: the wording of its grades (BJS "
                "2023;110:576) is not verified here and no signed grading table is given. What was "
                "done, the anaesthesia, organ dysfunction, survival and organisational errors are "
                f"kept with Observation/{event.get('id', '')}, so that it can be derived later.",
            )
        ],
    )


def _details(event: Resource) -> Iterator[tuple[str, str]]:
    for component in event.get("component", []):
        for system, kind in _codings(component.get("code", {})):
            if system != _DETAIL:
                continue
            for of, value in _codings(component.get("valueCodeableConcept", {})):
                if of == _VALUE:
                    yield kind, value


def _stands_for(detail: tuple[str, str], details: set[tuple[str, str]]) -> Iterator[str]:
    for target in _targets().get(detail[1], ()):
        needed = {
            (each["property"].rpartition("#")[2], each["value"])
            for each in target.get("dependsOn", [])
        }
        if needed <= details:
            yield target["code"]


@cache
def _targets() -> dict[str, list[Resource]]:
    (group,) = artefacts.by_url("terminology", "ConceptMap")[_MAP]["group"]
    return {element["code"]: element["target"] for element in group["element"]}


@cache
def _grades() -> dict[str, Grade]:
    concepts = artefacts.by_url("terminology", "CodeSystem")[_GRADES]["concept"]
    return {
        concept["code"]: Grade(
            concept["property"][0]["valueInteger"], concept["code"], concept["display"]
        )
        for concept in concepts
    }


def _codings(concept: Resource) -> list[tuple[str, str]]:
    return [(each.get("system", ""), each.get("code", "")) for each in concept.get("coding", [])]
