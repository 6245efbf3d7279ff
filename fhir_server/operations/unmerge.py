"""Undo a merge: two records are two children's again, and each has what came under its own numbers.

What came under the numbers of the retired record before the merge has stayed with it. What came under
them since is the survivor's: the messages of the inbox tell which, in the order in which they came.
HL7 v2.4 §3.3.37 (A37).
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fhir_server.context import Context, instant
from fhir_server.interactions.identity import replaced_by
from fhir_server.interactions.merge import merge
from fhir_server.interactions.moves import CHILD, belongings, of_visit
from fhir_server.interactions.targets import Target, find
from fhir_server.interactions.transaction import transaction
from fhir_server.store import inbox
from fhir_server.store import read as store
from fhir_server.store.inbox import Message
from fhir_server.store.read import Stored
from mappings import hl7v2
from mappings.merge import MERGE, REQUEST_KIND
from r4.issue import FhirError, error
from r4.json import Resource, decode

ATTEMPTS = 5
_CHANGED = 412
_TWO = 2
_UNTOUCHED = frozenset({"Patient", "Provenance", "Practitioner", "Organization"})
_Number = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Undone:
    """What it comes to: the Bundle, what it changes in words without content, and what is left as it is.

    left: how many messages named both records since, whose content stays with the survivor.
    """

    bundle: Resource
    changes: tuple[str, ...]
    left: int


@dataclass(frozen=True, slots=True)
class _Pair:
    retired: Stored
    survivor: Stored


async def unmerge(context: Context, number: int, *, dry_run: bool = False) -> Undone:
    """Undo the merge of a message in the inbox, or say what that would change.

    Raises FhirError 404 where there is no such message, 409 where it has merged nothing that is still
    merged, or others keep changing what is to be changed.
    """
    for _ in range(ATTEMPTS):
        pair, source = _of_message(context, number)
        undone = await _undone(context, pair, source)
        if dry_run:
            return undone
        try:
            await transaction(context, undone.bundle, trusted=True)
        except FhirError as refusal:
            if refusal.status != _CHANGED:
                raise
        else:
            return undone
    text = "Others keep changing these records: try again."
    raise FhirError(409, [error("conflict", text)])


async def completed(context: Context, bundle: Resource) -> Resource:
    """Return the Bundle of an A37 with what is the retired record's again; any other as it is."""
    entries = [each for each in bundle["entry"] if _kind(each) == "unlink"]
    if len(entries) != _TWO:
        return bundle
    found = [_matches(context, each) for each in entries]
    pair = _pair(*(each[0] for each in found)) if all(len(each) == 1 for each in found) else None
    if pair is None:
        return bundle
    back, _ = await _returned(context, pair)
    more = [_entry(target) for target in back]
    told = [{"reference": f"{target.entry.type}/{target.id}"} for target in back]
    return {**bundle, "entry": [*(_telling(each, told) for each in bundle["entry"]), *more]}


def _telling(entry: Resource, told: Sequence[Resource]) -> Resource:
    resource = entry["resource"]
    if resource["resourceType"] != "Provenance":
        return entry
    return {**entry, "resource": {**resource, "target": [*resource["target"], *told]}}


def _of_message(context: Context, number: int) -> tuple[_Pair, Resource]:
    """Return the two records that a message has merged, and the Provenance that says so."""
    message = inbox.read(context.database, number)
    if message is None or message.status != "processed":
        text = f"The inbox has no processed message {number}."
        raise FhirError(404, [error("not-found", text)])
    bundle = _mapped(context, message) or {"entry": []}
    patients = [e for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient"]
    retired = [each for each in patients if replaced_by(each["resource"])]
    for entry in retired:
        for stored in _matches(context, entry):
            name = replaced_by(decode(stored.body))
            place = (name or "").partition("/")[2]
            other = store.current(context.database, "Patient", place) if place else None
            if other is not None and not other.deleted:
                return _Pair(stored, other), _provenance(context, bundle)
    text = f"Message {number} has merged no records that are still merged."
    raise FhirError(409, [error("conflict", text)])


def _provenance(context: Context, bundle: Resource) -> Resource:
    """Return a Provenance, without targets, of undoing what a message said."""
    (source,) = (
        each["resource"] for each in bundle["entry"]
        if each["resource"]["resourceType"] == "Provenance"
    )  # fmt: skip
    return {
        "resourceType": "Provenance",
        "recorded": instant(context.now()),
        "activity": {"text": "merge undone"},
        "agent": [{"who": {"display": context.principal.name}}],
        "entity": [{**each, "role": "source"} for each in source["entity"]],
    }


def _pair(one: Stored, other: Stored) -> _Pair | None:
    for retired, survivor in ((one, other), (other, one)):
        if replaced_by(decode(retired.body)) == f"Patient/{survivor.id}":
            return _Pair(retired, survivor)
    return None


async def _undone(context: Context, pair: _Pair, source: Resource) -> Undone:
    back, told = await _returned(context, pair)
    patient = decode(pair.retired.body)
    for each in told.alone:
        patient = merge(patient, _demographics(each))
    targets = [f"Patient/{pair.retired.id}", f"Patient/{pair.survivor.id}"]
    targets += [f"{each.entry.type}/{each.id}" for each in back]
    source = {**source, "target": [{"reference": place} for place in targets]}
    entries = [
        {"resource": source, "request": {"method": "POST", "url": "Provenance"}},
        _unlinking(pair.retired, patient),
        _unlinking(pair.survivor, decode(pair.survivor.body)),
        *map(_entry, back),
    ]
    changes = [f"Patient/{each.id}: no longer merged" for each in (pair.retired, pair.survivor)]
    changes += [_change(each) for each in back]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    return Undone(bundle, tuple(changes), told.both)


def _change(target: Target) -> str:
    resource = target.entry.resource or {}
    place = f"{target.entry.type}/{target.id}"
    if resource.get("status") == "entered-in-error":
        return f"{place}: entered in error"
    return f"{place}: {_child(resource)}"


def _unlinking(stored: Stored, patient: Resource) -> Resource:
    extensions = [
        {"url": MERGE, "valueBoolean": True},
        {"url": REQUEST_KIND, "valueCode": "unlink"},
    ]
    request = {"method": "PUT", "url": f"Patient/{stored.id}", "ifMatch": f'W/"{stored.version}"'}
    return {"resource": patient, "request": {"extension": extensions, **request}}


def _entry(target: Target) -> Resource:
    version = target.current.version if target.current else 0
    url = f"{target.entry.type}/{target.id}"
    request = {"method": "PUT", "url": url, "ifMatch": f'W/"{version}"'}
    kind = {"url": REQUEST_KIND, "valueCode": target.entry.kind}
    return {"resource": target.entry.resource, "request": {"extension": [kind], **request}}


@dataclass(slots=True)
class _Told:
    """The Bundles of messages that named the retired record alone, and how many named both."""

    alone: list[Resource]
    both: int = 0


async def _returned(context: Context, pair: _Pair) -> tuple[list[Target], _Told]:
    """Return the updates by which what came under the retired record's numbers since is its own."""
    told = await _told(context, pair)
    survivor, found = f"Patient/{pair.survivor.id}", dict[str, Stored]()
    for bundle in told.alone:
        for entry in bundle["entry"]:
            if entry["resource"]["resourceType"] in (*_UNTOUCHED, "EpisodeOfCare"):
                continue
            for stored in _matches(context, entry):
                for each in _with_visit(context, stored):
                    if _child(decode(each.body)) == survivor:
                        found[f"{each.type}/{each.id}"] = each
    return belongings(context, list(found.values()), f"Patient/{pair.retired.id}"), told


def _with_visit(context: Context, stored: Stored) -> Iterator[Stored]:
    yield stored
    if stored.type == "Encounter":
        yield from of_visit(context, stored.id, [])


async def _told(context: Context, pair: _Pair) -> _Told:
    """Read the messages since the merge that named the retired record."""
    since, told, after = _merged_at(context, pair), _Told([]), 0
    theirs, others = _numbers(pair.retired), _numbers(pair.survivor)
    values = [value.encode() for _, value in theirs]
    while page := inbox.settled_since(context.database, since, after):
        for message in page:
            bundle = _mapped(context, message) if _holds(message, values) else None
            named = _named(bundle) if bundle else set()
            if named & theirs and not named & others:
                told.alone.append(bundle or {})
            elif named & theirs:
                told.both += 1
        after = page[-1].id
        await asyncio.sleep(0)
    return told


def _holds(message: Message, values: Sequence[bytes]) -> bool:
    plain = message.raw.replace(b" ", b"").replace(b"-", b"")
    return any(value in message.raw or value in plain for value in values)


def _merged_at(context: Context, pair: _Pair) -> int:
    """Return when the retired record came to be linked to the survivor, in microseconds."""
    survivor, moment = f"Patient/{pair.survivor.id}", pair.retired.updated
    for number in range(pair.retired.version, 0, -1):
        version = store.version(context.database, "Patient", pair.retired.id, number)
        if version is None or replaced_by(decode(version.body or b"{}")) != survivor:
            break
        moment = version.updated
    return moment


def _numbers(patient: Stored) -> set[_Number]:
    return {(i["system"], i["value"]) for i in decode(patient.body).get("identifier", ())}


def _named(bundle: Resource) -> set[_Number]:
    """Return the numbers of the patient whom a message is about; none of a merge or a move."""
    patients = [
        entry
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == "Patient"
    ]  # fmt: skip
    if len(patients) != 1 or _kind(patients[0]):
        return set()
    listed = patients[0]["resource"].get("identifier", ())
    return {(each["system"], each["value"]) for each in listed}


def _demographics(bundle: Resource) -> Resource:
    (patient,) = (
        each["resource"] for each in bundle["entry"]
        if each["resource"]["resourceType"] == "Patient"
    )  # fmt: skip
    return {name: value for name, value in patient.items() if name != "identifier"}


def _mapped(context: Context, message: Message) -> Resource | None:
    """Return the Bundle of an HL7 v2 message; None for what is none."""
    try:
        mapping = replace(context.mapping, now=instant(context.now()))
        return hl7v2.to_bundle(hl7v2.parse(message.raw), mapping)
    except FhirError:
        return None


def _matches(context: Context, entry: Resource) -> list[Stored]:
    kind, _, criteria = entry["request"]["url"].partition("?")
    criteria = criteria or entry["request"].get("ifNoneExist", "")
    return find(context, kind, criteria)[1] if criteria else []


def _kind(entry: Resource) -> str:
    extensions = entry["request"].get("extension", ())
    return next((str(e["valueCode"]) for e in extensions if e["url"] == REQUEST_KIND), "")


def _child(resource: Resource) -> str | None:
    listed = (resource.get(name) for name in CHILD)
    return next((each.get("reference") for each in listed if isinstance(each, dict)), None)
