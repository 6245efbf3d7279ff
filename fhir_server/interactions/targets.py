"""Which resource each entry of a transaction means: a new one, or one that is already there.

https://hl7.org/fhir/R4/http.html#trules, https://hl7.org/fhir/R4/http.html#ccreate
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fhir_server.context import Context
from fhir_server.interactions.entries import Entry
from fhir_server.store import read as store
from fhir_server.store.read import Stored
from fhir_server.store.search.parse import Query, parse
from fhir_server.store.write import Guard
from r4.issue import FhirError, error
from r4.json import decode
from r4.reference import literal


@dataclass(frozen=True, slots=True)
class Target:
    """The resource that an entry means: its id and, where it is already there, its current version."""

    entry: Entry
    id: str
    current: Stored | None
    writes: bool


def locate(context: Context, entry: Entry, guards: list[Guard]) -> Target:
    """Find the resource that an entry means, and add what that relied on to the guards.

    Raises FhirError 412 where If-Match does not hold or criteria match several resources.
    """
    if entry.query is not None:
        return _conditional_target(context, entry, guards)
    if entry.method == "POST":
        return Target(entry, context.new_id(), None, writes=True)
    current = store.current(context.database, entry.type, entry.id or "")
    if entry.if_match is not None and not _matches(entry.if_match, current):
        text = f"{entry.type}/{entry.id} is not at version {entry.if_match}: read it again."
        raise FhirError(412, [error("conflict", text, entry.at(None))])
    return Target(entry, entry.id or "", current, writes=True)


def _conditional_target(context: Context, entry: Entry, guards: list[Guard]) -> Target:
    query, found = find(context, entry.type, entry.query or "")
    if len(found) > 1:
        text = f"{entry.type}?{entry.query} matches more than one resource."
        raise FhirError(412, [error("multiple-matches", text, entry.at(None))])
    guards.append(Guard(query, tuple(stored.id for stored in found)))
    if not found:
        return Target(entry, entry.id or context.new_id(), None, writes=True)
    current = found[0] if _is_merge_of_patients(entry) else survivor(context, found[0])
    if current is not found[0]:
        entry = _without_identifiers_of(found[0], entry)
    return Target(entry, current.id, current, writes=entry.method == "PUT")


def _without_identifiers_of(retired: Stored, entry: Entry) -> Entry:
    """Leave a retired record its numbers: on the survivor too, they would match two records."""
    kept = decode(retired.body).get("identifier", [])
    numbers = {(each.get("system"), each.get("value")) for each in kept}
    incoming = entry.resource or {}
    others = [
        each
        for each in incoming.get("identifier", [])
        if (each.get("system"), each.get("value")) not in numbers
    ]
    rest = {key: value for key, value in incoming.items() if key != "identifier"}
    return replace(entry, resource={**rest, "identifier": others} if others else rest)


def find(context: Context, resource_type: str, criteria: str) -> tuple[Query, list[Stored]]:
    """Return the query of the criteria and up to two matches; raises FhirError 400 or 412."""
    asked = parse(resource_type, criteria)
    if not asked.criteria and asked.ids is None:
        text = f"{resource_type}?{criteria} has no criteria."
        raise FhirError(412, [error("required", text)])
    query = replace(asked, count=2)
    return query, store.search(context.database, query)


def _is_merge_of_patients(entry: Entry) -> bool:
    links = (entry.resource or {}).get("link", [])
    return entry.type == "Patient" and any(link.get("type") == "replaced-by" for link in links)


def survivor(context: Context, stored: Stored) -> Stored:
    """Follow Patient.link replaced-by to the record that now stands for the person."""
    seen = {stored.id}
    while stored.type == "Patient" and b'"replaced-by"' in stored.body:
        links = decode(stored.body).get("link", [])
        others = [link["other"] for link in links if link["type"] == "replaced-by"]
        place = literal(others[0].get("reference", "")) if others else None
        following = place and store.current(context.database, "Patient", place.id)
        if not following or following.deleted or following.id in seen:
            break
        stored = following
        seen.add(stored.id)
    return stored


def _matches(if_match: str, current: Stored | None) -> bool:
    wanted = if_match.removeprefix("W/").strip('"')
    return current is not None and not current.deleted and wanted == str(current.version)


def refuse_twins(targets: Sequence[Target]) -> None:
    """Raise FhirError 400 where two entries mean one resource, or would both create it."""
    seen: dict[tuple[str, str], Target] = {}
    for target in targets:
        place = (target.entry.type, target.id)
        twin = seen.setdefault(place, target)
        if twin is not target and (twin.writes or target.writes):
            text = f"{twin.entry.place} and {target.entry.place} mean the same resource, {'/'.join(place)}."
            raise FhirError(400, [error("duplicate", text, target.entry.at(None))])
    queries: dict[tuple[str, str], Entry] = {}
    for target in targets:
        if target.entry.query is not None and target.current is None:
            key = (target.entry.type, target.entry.query)
            if (other := queries.setdefault(key, target.entry)) is not target.entry:
                text = f"{other.place} and {target.entry.place} would create the same resource."
                raise FhirError(400, [error("duplicate", text, target.entry.at(None))])


def places(targets: Sequence[Target]) -> dict[str, str]:
    """Map the fullUrl, and the criteria, of each entry to the literal reference of its resource."""
    found: dict[str, str] = {}
    for target in targets:
        place = f"{target.entry.type}/{target.id}"
        if target.entry.full_url:
            found[target.entry.full_url] = place
        if target.entry.query:
            found[f"{target.entry.type}?{target.entry.query}"] = place
    return found
