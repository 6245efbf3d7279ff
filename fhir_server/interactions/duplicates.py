"""Possible duplicates: records that may be one child's are put before a steward, and never merged here.

A name never links records. It is a reason to look: where a message creates a Patient whose birth date,
sex, family name and first given name are another's, a Task names both.
https://hl7.org/fhir/R4/task.html
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.entries import Entry
from fhir_server.interactions.targets import MATCHES, Target, standing
from fhir_server.store.alike import alike
from r4.json import Resource, decode
from terminology.systems import CSOR

POSSIBLE_DUPLICATE = f"{CSOR}/sid/possible-duplicate"
TASK = f"{CSOR}/CodeSystem/task"
MOST = 3
"""Most records that one record is put beside: the newest ones."""


def suspected(context: Context, targets: Sequence[Target], now: str) -> list[Target]:
    """Return the creations of Tasks for what the targets create and may have been there already."""
    return [
        Target(_entry(task(target.id, other, now)), context.new_id(), None, writes=True)
        for target in targets
        if _is_new_child(target)
        for other in _alike(context, target)
    ]


def task(one: str, other: str, now: str) -> Resource:
    """Return the Task that asks whether two Patients, by their ids, are one child's."""
    pair = " ".join(sorted((one, other)))
    value = hashlib.sha256(pair.encode()).hexdigest()
    coding = {"system": TASK, "code": "possible-duplicate", "display": "Possible duplicate"}
    return {
        "resourceType": "Task",
        "identifier": [{"system": POSSIBLE_DUPLICATE, "value": value}],
        "status": "requested",
        "intent": "proposal",
        "code": {"coding": [coding]},
        "focus": {"reference": f"Patient/{other}"},
        "for": {"reference": f"Patient/{one}"},
        "authoredOn": now,
    }


def once(found: Resource) -> str:
    """Return the criteria by which a Task is not repeated, whatever has become of it."""
    return f"identifier={POSSIBLE_DUPLICATE}|{found['identifier'][0]['value']}"


def _entry(found: Resource) -> Entry:
    return Entry("POST", "Task", query=once(found), resource=found)


def _is_new_child(target: Target) -> bool:
    resource = target.entry.resource or {}
    return (
        target.entry.type == "Patient"
        and target.current is None
        and target.writes
        and "link" not in resource
    )


def _alike(context: Context, target: Target) -> Iterator[str]:
    """Yield the ids of the newest Patients that a new one says the same of."""
    patient = target.entry.resource or {}
    said = _said(patient)
    if said is None:
        return
    family, given, born, _ = said
    names = (("family", family), ("given", given))
    found = alike(context.database, born, names, MATCHES)
    same = [each for each in found if _said(decode(each.body)) == said]
    yield from [each.id for each in standing(context, same)][:MOST]


def _said(patient: Resource) -> tuple[str, ...] | None:
    """Return family name, first given name, birth date and sex, or None where one is not told."""
    name: Resource = next(iter(patient.get("name", ())), {})
    given: list[Any] = name.get("given") or [""]
    told = (name.get("family"), given[0], patient.get("birthDate"), patient.get("gender"))
    if not all(isinstance(each, str) and each.strip() for each in told):
        return None
    return tuple(" ".join(str(each).casefold().split()) for each in told)
