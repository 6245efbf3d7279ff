"""Who a child is, and what is stored of it: Patients that were merged are one child.

A Patient belongs to the one that replaced it, and so on to the end: by its own first link
`replaced-by` or, where it has none, by another's link `replaces`.
https://hl7.org/fhir/R4/patient-definitions.html#Patient.link
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlencode

from fhir_server.context import Context
from fhir_server.store import read as store
from r4.json import Resource, decode
from r4.reference import literal

T = TypeVar("T")
Record = list[Resource]

KINDS = ("EpisodeOfCare", "Condition", "Encounter", "Procedure", "Observation")
LINKS = ("replaced-by", "replaces")
_OPENED = {"status:not": "entered-in-error"}
"""A case that was opened in error is none."""
ASKED_AT_ONCE = 100
"""Patients looked for by one search: enough to make one child cheap, few enough to stall nobody."""
READ_AT_ONCE = 20
"""Children whose records are read together."""


async def one(context: Context, patient: str, types: str) -> AsyncIterator[Record]:
    """Yield the record of the child whom a Patient (`Patient/id`) is of, if it has a case.

    types are the search tokens of the cases that are wanted, joined by commas.
    """
    children = await _children(context, [patient.rpartition("/")[2]])
    for patients in children:
        criteria = urlencode({"type": types, "patient": _references(patients)} | _OPENED)
        if store.every(context.database, "EpisodeOfCare", criteria):
            yield _records(context, [patients])[0]


async def every(context: Context, hospital: str | None, types: str) -> AsyncIterator[Record]:
    """Yield the record of each child with a case, at a hospital (`Organization/id`) or anywhere.

    A case whose Patient is not here is a record of its own. Others are served between two children.
    """
    criteria = {"type": types} | _OPENED | ({"organization": hospital} if hospital else {})
    found = store.every(context.database, "EpisodeOfCare", urlencode(criteria))
    cases = [decode(stored.body) for stored in found]
    children = await _children(context, [_child(case) for case in cases])
    known = {patient for patients in children for patient in patients}
    for part in _parts(children, READ_AT_ONCE):
        for record in _records(context, part):
            yield record
            await asyncio.sleep(0)
    for case in cases:
        if _child(case) not in known:
            yield [case]


async def _children(context: Context, ids: Iterable[str | None]) -> list[list[str]]:
    """Return, for each child that the ids are of, the ids of all its Patients; each child once."""
    wanted = dict.fromkeys(ids)
    patients = await _linked(context, [id for id in wanted if id])
    following = _replaced(patients)
    members: dict[str, list[str]] = {}
    for id in sorted(patients):
        members.setdefault(_last(following, id), []).append(id)
    ends = dict.fromkeys(_last(following, id) for id in wanted if id in patients)
    return [members[end] for end in ends]


async def _linked(context: Context, ids: Iterable[str]) -> dict[str, Resource]:
    """Return the Patients of the ids, and all whom links of merges lead to, in either direction."""
    known: dict[str, Resource] = {}
    asked: set[str] = set()
    wanted = set(ids)
    while wanted:
        found: dict[str, Resource] = {}
        for part in _parts(sorted(wanted), ASKED_AT_ONCE):
            for criteria in ({"_id": ",".join(part)}, {"link": _references(part)}):
                for stored in store.every(context.database, "Patient", urlencode(criteria)):
                    found[stored.id] = decode(stored.body)
            await asyncio.sleep(0)
        asked |= wanted
        known |= found
        linked = {id for each in found.values() for kind in LINKS for id in _others(each, kind)}
        wanted = (linked | set(found)) - asked
    return known


def _replaced(patients: Mapping[str, Resource]) -> dict[str, str]:
    """Map each Patient that was replaced to the one Patient that replaced it."""
    following: dict[str, str] = {}
    for id, patient in patients.items():
        for other in _others(patient, "replaced-by"):
            if other in patients:
                following.setdefault(id, other)
    for id in sorted(patients):
        for other in _others(patients[id], "replaces"):
            following.setdefault(other, id)
    return following


def _last(following: Mapping[str, str], id: str) -> str:
    """Return where the replacements of a Patient end; of a circle, the same one for all in it."""
    passed = {id: 0}
    while (id := following.get(id, id)) not in passed:
        passed[id] = len(passed)
    return min(each for each, place in passed.items() if place >= passed[id])


def _others(patient: Resource, kind: str) -> Iterator[str]:
    """Yield the ids of the Patients that a Patient's links of a kind name, itself aside."""
    for link in patient.get("link", []):
        other = _patient(link.get("other", {})) if link.get("type") == kind else None
        if other and other != patient["id"]:
            yield other


def _records(context: Context, children: Sequence[Sequence[str]]) -> list[Record]:
    """Return all that is stored of each child, under any of its ids: its Patients come first."""
    ids = [id for patients in children for id in patients]
    found: dict[str, Record] = {id: [] for id in ids}
    for stored in store.every(context.database, "Patient", urlencode({"_id": ",".join(ids)})):
        found[stored.id].append(decode(stored.body))
    criteria = urlencode({"patient": _references(ids)})
    for kind in KINDS:
        for stored in store.every(context.database, kind, criteria):
            resource = decode(stored.body)
            if resource.get("status") == "entered-in-error" and kind == "EpisodeOfCare":
                continue
            if (id := _child(resource)) in found:
                found[id].append(resource)
    return [[each for id in patients for each in found[id]] for patients in children]


def _child(resource: Resource) -> str | None:
    return _patient(resource.get("patient") or resource.get("subject") or {})


def _patient(reference: Resource) -> str | None:
    """Return the id of the Patient that a Reference means, None where it is none of this server."""
    text = reference.get("reference")
    found = literal(text) if isinstance(text, str) else None
    return found.id if found and found.type == "Patient" and found.base is None else None


def _references(ids: Iterable[str]) -> str:
    return ",".join(f"Patient/{id}" for id in ids)


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
