"""Where the counts of a summary report stand: of which group, hospital, stratum and population."""

from collections.abc import Iterator
from typing import NamedTuple

from outcome_engine.extensions import EXTENSION
from outcome_engine.reports.groups import HOSPITAL, stratum_of
from r4.json import Resource

NATION = ""
SCORED = "scored"
"""The kind of the children whom the score is of: no population, but the score shows its number."""
NOT_ASSESSABLE = EXTENSION + "outcome-not-assessable"
"""Extension on a summary: the number of children who could not be assessed, and are not counted."""
PARTS = ("denominator-exclusion", "denominator-exception")
_ALL = "not-assessable"


class Key(NamedTuple):
    """Which count: of a group (position), a hospital or the nation, a stratum (stratifier, value)."""

    group: int
    hospital: str
    stratifier: str
    stratum: str
    kind: str


def hospital_of(report: Resource) -> str:
    """Return the reference of the hospital that a report is of, empty for a national one."""
    found = (each for each in report.get("extension", ()) if each["url"] == HOSPITAL)
    return next((each["valueReference"]["reference"] for each in found), NATION)


def places(report: Resource, hospital: str) -> Iterator[tuple[Key, Resource]]:
    """Yield every part of a report of a hospital that has populations, with its key (of no kind).

    A national report's strata by hospital are those hospitals'. The number of children who could not be
    assessed is a part of its own.
    """
    for extension in report.get("extension", ()):
        if extension["url"] == NOT_ASSESSABLE:
            count = {"count": extension["valueInteger"]} if "valueInteger" in extension else {}
            yield not_assessable(hospital), {"population": [{"id": _ALL, **count}]}
    for at, group in enumerate(report["group"]):
        yield Key(at, hospital, "", "", ""), group
        for stratifier in group.get("stratifier", ()):
            code = stratifier["code"][0]["coding"][0]["code"]
            for stratum in stratifier["stratum"]:
                if code == "hospital":
                    yield Key(at, stratum_of(stratum), "", "", ""), stratum
                else:
                    yield Key(at, hospital, code, stratum_of(stratum), ""), stratum


def not_assessable(hospital: str) -> Key:
    """Return the key (of no kind) of the number of a hospital's children who could not be assessed."""
    return Key(-1, hospital, "", "", "")


def kind_of(population: Resource) -> str:
    """Return the id of a group's population, or the code of a stratum's, which has no id."""
    found: str = population.get("id") or population["code"]["coding"][0]["code"]
    return found


def counted(part: Resource) -> dict[str, int | None]:
    """Return a part's counts by kind, None where one is masked; with those scored where all is known."""
    counts: dict[str, int | None] = {
        kind_of(each): each.get("count") for each in part["population"]
    }
    taken = [counts.get(each, 0) for each in PARTS]
    whole = counts.get("denominator")
    if whole is not None and "numerator" in counts and None not in taken:
        counts[SCORED] = whole - sum(each or 0 for each in taken)
    return counts
