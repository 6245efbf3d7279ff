"""National data opt-outs: which NHS numbers are to be checked, and what the answer means here.

The service takes a file of NHS numbers and gives back those whose data may be used: who is missing has
opted out. A line is a number and a comma, and ends with a line feed; there is no heading. That is how the
UK Renal Registry describes it; NHS England's own specification is to be held against it before use.
https://digital.nhs.uk/services/national-data-opt-out/compliance-with-the-national-data-opt-out
"""

import asyncio
import hashlib
import tomllib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fhir_server.context import Context, instant
from fhir_server.interactions.targets import find
from fhir_server.interactions.transaction import transaction
from fhir_server.operations.objections_recorded import OBJECTION, denial
from fhir_server.store import read as store
from fhir_server.store.objections import STREAMS
from r4.issue import FhirError, error
from r4.json import Resource, decode
from terminology.nhs_number import is_valid
from terminology.systems import NHS_NUMBER

ORIGIN = "national-data-opt-out"
_TOLD_BY = "National Data Opt-Out"
_AT_ONCE = 100
"""Decisions in one transaction, about."""
_RECORDS = 20
"""Most records of one number that are looked at."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What an opt-out is an objection to here, and by what that was decided, in words."""

    streams: tuple[str, ...]
    text: str


@dataclass(slots=True)
class Applied:
    """What an answer came to: numbers checked, opted out, not here any more; objections made and ended."""

    checked: int
    opted_out: int = 0
    unknown: int = 0
    made: int = 0
    ended: int = 0


def policy_of(file: Path | None) -> Policy:
    """Read the operator's policy; raises ValueError for none, or a wrong one."""
    if file is None:
        raise ValueError("CSOR_OPT_OUTS names no policy: what an opt-out means here is not known")
    given = tomllib.loads(file.read_text("utf-8"))
    streams, text = given.get("streams"), given.get("policy")
    if set(given) != {"streams", "policy"} or not isinstance(streams, list) or not streams:
        raise ValueError(f"{file} has to say streams, a list, and policy, a text, and no more")
    if unknown := [each for each in streams if each not in STREAMS]:
        raise ValueError(f"{file}: {unknown[0]!r} is none of {', '.join(STREAMS)}")
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{file}: policy says in words who decided it, and when")
    return Policy(tuple(dict.fromkeys(streams)), text)


async def to_check(context: Context) -> AsyncIterator[str]:
    """Yield the NHS numbers of all children, each once; each child is recorded in the audit."""
    told: set[str] = set()
    for stored in store.every(context.database, "Patient", f"identifier={NHS_NUMBER}|"):
        for number in _numbers(decode(stored.body)):
            if number not in told:
                told.add(number)
                context.audit.record(context.agent, "opt-out-check", "Patient", stored.id, 200)
                yield number
        await asyncio.sleep(0)


def written(numbers: Sequence[str]) -> str:
    """Return the file that the service takes."""
    return "".join(f"{number},\n" for number in numbers)


def listed(content: bytes, name: str) -> list[str]:
    """Return the numbers of a file, sent or returned; raises FhirError 422 without quoting any line."""
    lines = content.decode("ascii", "replace").splitlines()
    numbers = [line.strip().removesuffix(",") for line in lines if line.strip()]
    for line, number in enumerate(numbers, start=1):
        if len(number) != len("9990000018") or not is_valid(number):
            raise _refused(f"{name}, line {line}: this is no NHS number. Nothing was changed.")
    return numbers


async def apply(context: Context, policy: Policy, sent: bytes, returned: bytes) -> Applied:
    """Make objections of those who were sent and not returned, and end those of who is returned again.

    The same files again change nothing. Raises FhirError 422 where the one is no answer to the other, or
    nobody at all is left.
    """
    asked, left = listed(sent, "what was sent"), set(listed(returned, "what was returned"))
    if not left <= set(asked):
        raise _refused("What was returned has numbers that were not sent. Nothing was changed.")
    if asked and not left:
        raise _refused("Nothing was returned: everybody would have opted out. Nothing was changed.")
    done = Applied(len(set(asked)))
    now = instant(context.now())
    digest = hashlib.sha256(returned).hexdigest()
    entries: list[Resource] = []
    for number in dict.fromkeys(asked):
        records = _records(context, number)
        done.unknown += not records
        done.opted_out += number not in left
        for patient in records:
            standing = _standing(context, patient)
            if number in left:
                ended = list(_ended(standing))
                done.ended += len(ended)
            else:
                ended = list(_made(policy, patient, standing, (now, digest)))
                done.made += len(ended)
            entries += ended
        if len(entries) >= _AT_ONCE:
            await _store(context, entries)
            entries = []
        await asyncio.sleep(0)
    await _store(context, entries)
    return done


def _made(
    policy: Policy, patient: str, standing: Sequence[Resource], file: tuple[str, str]
) -> Iterator[Resource]:
    """Yield the objections of one child that are not in force yet."""
    now, digest = file
    in_force = {_value(each) for each in standing if each["status"] == "active"}
    for stream in policy.streams:
        entry = denial(patient, stream, _TOLD_BY, now, origin=ORIGIN, policy=policy.text)
        if _value(entry["resource"]) not in in_force:
            title = f"National data opt-outs, checked until {now[:10]}, SHA-256 {digest}"
            entry["resource"]["sourceAttachment"] = {"title": title}
            yield entry


def _ended(standing: Sequence[Resource]) -> Iterator[Resource]:
    for each in standing:
        if each["status"] == "active":
            version = f'W/"{each["meta"]["versionId"]}"'
            request = {"method": "PUT", "url": f"Consent/{each['id']}", "ifMatch": version}
            yield {"resource": {**each, "status": "inactive"}, "request": request}


def _standing(context: Context, patient: str) -> list[Resource]:
    """Return the objections of a child that lists of opt-outs have made, in force or not."""
    values = [f"{OBJECTION}|{patient}.{stream}.{ORIGIN}" for stream in STREAMS]
    _, found = find(context, "Consent", f"identifier={','.join(values)}", len(values))
    return [decode(each.body) for each in found]


def _records(context: Context, number: str) -> list[str]:
    """Return the ids of the Patients that have a number."""
    _, found = find(context, "Patient", f"identifier={NHS_NUMBER}|{number}", _RECORDS)
    return [each.id for each in found]


def _numbers(patient: Resource) -> Iterator[str]:
    for each in patient.get("identifier", ()):
        number = each.get("value", "")
        if each.get("system") == NHS_NUMBER and each.get("use") != "old" and is_valid(number):
            yield number


def _value(consent: Resource) -> str:
    return str(consent["identifier"][0]["value"])


async def _store(context: Context, entries: Sequence[Resource]) -> None:
    if entries:
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}
        await transaction(context, bundle)


def _refused(text: str) -> FhirError:
    return FhirError(422, [error("value", text)])
