"""The simulator's children as records, without a server: what their hospitals send, as if stored."""

import re
from datetime import date, datetime
from typing import Any

from fhir_server.simulate import cohort, tables
from fhir_server.simulate.bundles import bundle
from fhir_server.simulate.events import LONDON, Child
from fhir_server.simulate.story import tell
from r4.json import Resource

_CONDITIONAL = re.compile(r"(\w+)\?identifier=(.+)\|(.+)")


def records(
    condition: str, *, seed: int = 7, years: int = 8, size: float = 1.0, until: str = "2026-06-30"
) -> list[list[Resource]]:
    """Give a record for each simulated child with a condition, births from 2016 on."""
    return by_condition(seed=seed, years=years, size=size, until=until)[condition]


def by_condition(
    *, seed: int = 7, years: int = 8, size: float = 1.0, until: str = "2026-06-30"
) -> dict[str, list[list[Resource]]]:
    """Give the records of every condition that the simulator makes children with."""
    end = datetime.combine(date.fromisoformat(until), datetime.max.time(), LONDON)
    found: dict[str, list[list[Resource]]] = {}
    for child in cohort.plan(seed, date(2016, 1, 1), years, size):
        found.setdefault(child.condition, []).append(record(child, end))
    return found


def record(child: Child, end: datetime) -> list[Resource]:
    """Give what a child's hospital has sent by a moment: the last version of each resource."""
    hospital = next(each for each in tables.hospitals() if each.ods == child.ods)
    kept: dict[str, Resource] = {}
    places: dict[str, str] = {}
    for event in (each for each in tell(child) if each.at <= end):
        if event.kind == "merge":
            kept[_place("Patient", "mrn", event.former)]["active"] = False
            continue
        for entry in bundle(hospital, event)["entry"]:
            resource = entry["resource"]
            identifier = next(each for each in resource["identifier"] if each["value"])
            place = _place(resource["resourceType"], identifier["system"], identifier["value"])
            places[entry["fullUrl"]] = place
            if place not in kept or entry["request"]["method"] == "PUT":
                kept[place] = {**resource, "id": place.partition("/")[2]}
    return [_settled(each, places) for each in kept.values()]


def _place(resource_type: str, system: str, value: str) -> str:
    id = re.sub(r"[^A-Za-z0-9.-]", "-", f"{system.rpartition('/')[2]}-{value}")
    return f"{resource_type}/{id[:64]}"


def _settled(node: Any, places: dict[str, str]) -> Any:
    """Put literal references in place of conditional ones and of those within a Bundle."""
    if isinstance(node, dict):
        return {key: _settled(value, places) for key, value in node.items()}
    if isinstance(node, list):
        return [_settled(value, places) for value in node]
    if isinstance(node, str):
        return places.get(node) or _referred(node)
    return node


def _referred(text: str) -> str:
    found = _CONDITIONAL.fullmatch(text)
    return text if found is None else _place(*found.groups())
