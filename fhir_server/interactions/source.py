"""Where a transaction's content comes from, and when: what is older than what is known is no news.

A message is compared with the newest one of its own sender that was applied to the same record: clocks
of two systems cannot be compared. An older one overwrites nothing, and adds what is absent.
https://hl7.org/fhir/R4/observation-definitions.html#Observation.status
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.merge import confirmed, merge, without_death_by_discharge
from fhir_server.interactions.targets import Target
from fhir_server.interactions.visits import Change
from fhir_server.store import applied
from fhir_server.store.applied import Applied
from fhir_server.store.search.keys import place
from r4 import definitions
from r4.json import Resource, decode
from terminology.systems import CSOR

STALE = f"{CSOR}/StructureDefinition/stale"
KINDS = frozenset({"Patient", "Encounter", "Condition", "Procedure", "Observation"})
"""What messages tell again and again, and may tell late."""
_MOVES = frozenset({"move", "moved", "join", "unlink"})
"""Kinds of requests that are true whenever they are told (`interactions.moves`)."""
_WHO = frozenset({"Patient", "Encounter"})
_PRELIMINARY = ("registered", "preliminary")
_CORRECTED = ("amended", "corrected", "entered-in-error", "cancelled")
_NO_LONGER = ("update", "discharge")
"""Visit events that a newer message contradicts which does not tell the same."""
_KEYS = {"identifier": ("system", "value"), "extension": ("url",)}


@dataclass(frozen=True, slots=True)
class Source:
    """A message: who sent it, when by its own clock, in microseconds, and its number in the inbox.

    A time without seconds is not one moment: `moment` is the first that it may mean, `until` the last.
    tells_who: whether the message is news of the patient and the visit, or only names them.
    """

    sender: str
    moment: int
    until: int
    message: int
    tells_who: bool = True


@dataclass(frozen=True, slots=True)
class Recency:
    """How recent a message is: what was told before, and of which resources (`type/id`) it is no news."""

    source: Source
    moments: Mapping[applied.Key, int]
    stale: frozenset[str]

    def is_stale(self, target: Target) -> bool:
        """Tell whether what the message says of a resource is no news."""
        return f"{target.entry.type}/{target.id}" in self.stale

    def standing(self, patient: Resource) -> Resource:
        """Return what a message that is late still tells of a Patient.

        A death that its discharge alone tells of goes where newer is known of the visit.
        """
        if any(name.startswith("Encounter/") for name in self.stale):
            return without_death_by_discharge(patient)
        return patient

    def told(self, targets: Iterable[Target]) -> list[Applied]:
        """Return what is recorded once the message is applied."""
        source, found = self.source, []
        for target in targets:
            kind = target.entry.type
            if target.entry.method != "PUT" or kind not in KINDS or target.entry.kind in _MOVES:
                continue
            if (kind in _WHO and not source.tells_who) or self.is_stale(target):
                continue
            where = place(kind, target.id)
            before = self.moments.get((where, source.sender))
            if before is None or before < source.moment:
                is_new = target.current is None
                told = (where, source.sender, source.moment, source.message, before, is_new)
                found.append(Applied(*told))
        return found

    def marked(self, provenance: Resource) -> Resource:
        """Return a Provenance, its references literal, that says of which targets it is no news."""
        mark = {"url": STALE, "valueBoolean": True}
        targets = [
            {**each, "extension": [mark]} if each.get("reference") in self.stale else each
            for each in provenance["target"]
        ]
        return {**provenance, "target": targets}


def recency(context: Context, source: Source, targets: Sequence[Target]) -> Recency:
    """Return how recent a message is for what it means, asked in one query."""
    known = [
        target
        for target in targets
        if target.entry.type in KINDS and target.current is not None
        if not target.current.deleted and target.entry.kind not in _MOVES
    ]
    places = {f"{each.entry.type}/{each.id}": place(each.entry.type, each.id) for each in known}
    moments = applied.moments(context.database, list(places.values())) if places else {}
    late = {
        name for name, where in places.items()
        if source.until < moments.get((where, source.sender), source.until)
    }  # fmt: skip
    for target in known:
        name, incoming = f"{target.entry.type}/{target.id}", target.entry.resource
        if target.entry.type != "Observation" or not target.current or not incoming:
            continue
        if name in late or incoming.get("status") in _PRELIMINARY:
            before = decode(target.current.body)
            if _is_lesser(before, incoming, is_late=name in late):
                late.add(name)
            else:
                late.discard(name)
    return Recency(source, moments, frozenset(late))


def _is_lesser(current: Resource, incoming: Resource, *, is_late: bool) -> bool:
    """Tell whether a result says less than the one that is stored: a correction never comes too late."""
    before, now = current.get("status"), incoming.get("status")
    if now in _PRELIMINARY and before not in _PRELIMINARY:
        return True
    return is_late and not (now in _CORRECTED and before not in _CORRECTED)


def supplemented(current: Resource, incoming: Resource, change: Change | None = None) -> Resource:
    """Return a stored resource with what it lacks of an incoming one; nothing in it is changed.

    A visit that goes on gets no end. A link to another record is added: that two records were merged
    is true whenever it is told. So is a death, and a visit event: its rules know by its time what it
    still does.
    """
    current = confirmed(current, incoming)
    if change is not None and change.kind not in _NO_LONGER:
        current = merge(current, _of_event(incoming, change), (), change)
    if current["resourceType"] == "Encounter" and current.get("status") != "finished":
        incoming = _without_end(incoming)
    chosen = {stem for name in current for stem in _stems(current["resourceType"], name)}
    more = {
        name: value
        for name, value in incoming.items()
        if name in current or not chosen & set(_stems(current["resourceType"], name))
    }
    found: Resource = _added(current, more)
    if "identifier" in current and "identifier" in incoming:
        old = [each for each in incoming["identifier"] if each.get("use") == "old"]
        found |= merge({"identifier": found["identifier"]}, {"identifier": old})
    if any(link.get("type") == "replaced-by" for link in incoming.get("link", ())):
        found |= merge(_merged(current), _merged(incoming))
    elif "link" in incoming:
        found |= merge({"link": current.get("link", [])}, {"link": incoming["link"]})
    return found


def _of_event(incoming: Resource, change: Change) -> Resource:
    """Return the part of a resource that a visit event is about."""
    if incoming["resourceType"] != "Encounter":
        return {}
    names = (
        ("status", "location", "class") if change.kind == "reclassify" else ("status", "location")
    )
    return {name: incoming[name] for name in names if name in incoming}


def _merged(patient: Resource) -> Resource:
    """Return what says that a Patient has been merged into another."""
    return {name: patient[name] for name in ("active", "link") if name in patient}


def _without_end(visit: Resource) -> Resource:
    found = dict(visit)
    for name, part in (("period", "end"), ("hospitalization", "dischargeDisposition")):
        if part in found.get(name, {}):
            rest = {key: value for key, value in found.pop(name).items() if key != part}
            found |= {name: rest} if rest else {}
    return found


def _added(current: Any, incoming: Any) -> Any:
    if isinstance(current, dict) and isinstance(incoming, dict):
        added = {name: value for name, value in incoming.items() if name not in current}
        return {
            **{
                name: _part(name, value, incoming[name]) if name in incoming else value
                for name, value in current.items()
            },
            **added,
        }
    return current


def _part(name: str, current: Any, incoming: Any) -> Any:
    keys = _KEYS.get(name)
    if keys is None or not isinstance(current, list) or not isinstance(incoming, list):
        return _added(current, incoming)
    known = {tuple(each.get(key) for key in keys) for each in current}
    return [
        *current,
        *(each for each in incoming if tuple(each.get(key) for key in keys) not in known),
    ]


def _stems(kind: str, name: str) -> tuple[str, ...]:
    """Return the `value` of a `valueString`, where the element is a choice of types."""
    return tuple(stem for stem in _choices(kind) if name.startswith(stem))


@cache
def _choices(kind: str) -> frozenset[str]:
    definition = definitions.structure(kind) or {"snapshot": {"element": []}}
    paths = [element["path"] for element in definition["snapshot"]["element"]]
    return frozenset(
        path.removeprefix(f"{kind}.").removesuffix("[x]")
        for path in paths
        if path.endswith("[x]") and path.count(".") == 1
    )
