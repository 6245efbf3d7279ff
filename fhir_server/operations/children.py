"""Who a child is, and what is stored of it: Patients that were merged are one child.

A Patient belongs to the one that replaced it, and so on to the end: by its own first link
`replaced-by` or, where it has none, by another's link `replaces`.
https://hl7.org/fhir/R4/patient-definitions.html#Patient.link
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

from fhir_server.context import Context
from fhir_server.operations.past import Reading, Wanted, child, patient_of, reading
from r4.json import Resource

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


async def one(
    context: Context, patient: str, types: str, at: datetime | None = None
) -> AsyncIterator[Record]:
    """Yield the record of the child whom a Patient (`Patient/id`) is of, if it has a case.

    types are the search tokens of the cases that are wanted, joined by commas. at: as it was stored at a
    moment, which is inclusive; by default as it is stored now.
    """
    source = await reading(context, at, (*KINDS, "Patient"))
    children = await survivors(source, [patient.rpartition("/")[2]])
    for patients in children.values():
        criteria = {"type": types, "patient": _references(patients)} | _OPENED
        fits = partial(_is_case, types, None)
        if source.every(Wanted("EpisodeOfCare", criteria, frozenset(patients), fits)):
            yield records(source, [patients])[0]


async def every(
    context: Context, hospital: str | None, types: str, at: datetime | None = None
) -> AsyncIterator[Record]:
    """Yield the record of each child with a case, at a hospital (`Organization/id`) or anywhere.

    A case whose Patient is not here is a record of its own. Others are served between two children. at:
    as they were stored at a moment, which is inclusive; by default as they are stored now.
    """
    source = await reading(context, at, (*KINDS, "Patient"))
    criteria = {"type": types} | _OPENED | ({"organization": hospital} if hospital else {})
    fits = partial(_is_case, types, hospital)
    cases = source.every(Wanted("EpisodeOfCare", criteria, None, fits))
    children = await survivors(source, [id for case in cases if (id := child(case))])
    known = {patient for patients in children.values() for patient in patients}
    for part in _parts(list(children.values()), READ_AT_ONCE):
        for record in records(source, part):
            yield record
            await asyncio.sleep(0)
    for case in cases:
        if child(case) not in known:
            yield [case]


def _is_case(types: str, hospital: str | None, case: Resource) -> bool:
    """Tell of one EpisodeOfCare what the search is asked."""
    codings = [coding for each in case.get("type", []) for coding in each.get("coding", [])]
    tokens = {f"{coding.get('system', '')}|{coding.get('code')}" for coding in codings}
    return (
        case.get("status") != "entered-in-error"
        and not tokens.isdisjoint(types.split(","))
        and (not hospital or case.get("managingOrganization", {}).get("reference") == hospital)
    )


async def survivors(source: Reading, ids: Iterable[str]) -> dict[str, list[str]]:
    """Return, for each child that the ids are of, the ids of all its Patients by that of the survivor."""
    wanted = list(dict.fromkeys(ids))
    return merged(await _linked(source, wanted), wanted)


def merged(patients: Mapping[str, Resource], ids: Iterable[str]) -> dict[str, list[str]]:
    """Return the same of Patients that are given, together with all whom their links lead to."""
    following = _replaced(patients)
    members: dict[str, list[str]] = {}
    for id in sorted(patients):
        members.setdefault(_last(following, id), []).append(id)
    ends = dict.fromkeys(_last(following, id) for id in ids if id in patients)
    return {end: members[end] for end in ends}


async def _linked(source: Reading, ids: Iterable[str]) -> dict[str, Resource]:
    """Return the Patients of the ids, and all whom links of merges lead to, in either direction."""
    known: dict[str, Resource] = {}
    asked: set[str] = set()
    wanted = set(ids)
    while wanted:
        found: dict[str, Resource] = {}
        for part in _parts(sorted(wanted), ASKED_AT_ONCE):
            among = frozenset(part)
            for looked in (
                Wanted("Patient", {"_id": ",".join(part)}, among, partial(_is_one_of, among)),
                Wanted("Patient", {"link": _references(part)}, among, partial(_names, among)),
            ):
                found |= {each["id"]: each for each in source.every(looked)}
            await asyncio.sleep(0)
        asked |= wanted
        known |= found
        linked = {id for each in found.values() for kind in LINKS for id in _others(each, kind)}
        wanted = (linked | set(found)) - asked
    return known


def _is_one_of(ids: frozenset[str], patient: Resource) -> bool:
    return patient["id"] in ids


def _any(_: Resource) -> bool:
    return True


def _names(ids: frozenset[str], patient: Resource) -> bool:
    """Tell whether a link of a Patient, of whatever kind, names one of several."""
    return any(patient_of(link.get("other", {})) in ids for link in patient.get("link", []))


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
        other = patient_of(link.get("other", {})) if link.get("type") == kind else None
        if other and other != patient["id"]:
            yield other


def records(source: Reading, children: Sequence[Sequence[str]]) -> list[Record]:
    """Return all that is stored of each child, under any of its ids: its Patients come first."""
    ids = [id for patients in children for id in patients]
    found: dict[str, Record] = {id: [] for id in ids}
    among = frozenset(ids)
    named = Wanted("Patient", {"_id": ",".join(ids)}, among, partial(_is_one_of, among))
    for patient in source.every(named):
        found[patient["id"]].append(patient)
    for kind in KINDS:
        for resource in source.every(Wanted(kind, {"patient": _references(ids)}, among, _any)):
            if resource.get("status") == "entered-in-error" and kind == "EpisodeOfCare":
                continue
            if (id := child(resource)) in found:
                found[id].append(resource)
    return [[each for id in patients for each in found[id]] for patients in children]


def _references(ids: Iterable[str]) -> str:
    return ",".join(f"Patient/{id}" for id in ids)


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
