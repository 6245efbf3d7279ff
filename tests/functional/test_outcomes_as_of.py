"""A record of the past is read again exactly as it was, whatever has happened since."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import outcome_engine
from fhir_server.app import alone
from fhir_server.context import Context
from fhir_server.interactions.transaction import transaction
from fhir_server.operations import children
from fhir_server.operations.past import settled
from fhir_server.settings import Settings
from tests.functional.test_evaluate import (
    CONDITION,
    HOSPITAL,
    MEASURE,
    case,
    patient,
    retired,
    stoma,
)
from tests.support.databases import KINDS, new_database

Resource = dict[str, Any]
TYPES = f"{CONDITION['system']}|{CONDITION['code']}"
OTHER = {**HOSPITAL, "id": "other", "name": "Another fictitious hospital"}


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return Settings(database=new_database(request.param, tmp_path))


def stored(*resources: Resource) -> Resource:
    return bundle(*(("PUT", f"{each['resourceType']}/{each['id']}", each) for each in resources))


def bundle(*requests: tuple[str, str, Resource | None]) -> Resource:
    entries = [
        {"request": {"method": method, "url": url}} | ({"resource": body} if body else {})
        for method, url, body in requests
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def deleted(*places: str) -> Resource:
    return bundle(*(("DELETE", each, None) for each in places))


def moved(resource: Resource, to: str) -> Resource:
    return {**resource, "subject": {"reference": f"Patient/{to}"}}


LATE = {**stoma("late", "a"), "effectiveDateTime": "2018-09-01"}
LIFE = (
    stored(HOSPITAL, OTHER, patient("a"), case("ca", "a")),
    stored(patient("b"), case("cb", "b", "2012-03-05")),
    stored(stoma("s", "b")),  # b is bad
    stored(LATE, {**stoma("s", "b"), "valueBoolean": False}),  # b is corrected, a is bad
    stored(patient("b", ("replaces", "a")), retired("a", ("replaced-by", "b"))),  # one child
    stored(moved(LATE, "b")),
    stored(case("cb", "b", "2012-03-05", managingOrganization={"reference": "Organization/other"})),
    stored(patient("a"), patient("b")),  # taken apart again
    deleted("Observation/s"),
    stored(case("ca", "a", "2012-03-04", status="entered-in-error")),
    stored(case("cb", "b", "2012-03-05", type=[{"text": "another condition"}])),
    deleted("Observation/late", "EpisodeOfCare/ca", "EpisodeOfCare/cb"),
    deleted("Patient/a", "Patient/b"),
    stored(patient("a"), case("ca", "a")),  # under the ids of before
)
"""What happens to two Patients, one transaction after the other."""


async def records(made: Context, at: datetime | None) -> list[list[list[Resource]]]:
    """Read the records of both Patients, of all children, and of those of each hospital."""
    found = [[each async for each in children.one(made, f"Patient/{id}", TYPES, at)] for id in "ab"]
    for hospital in (None, "Organization/hospital", "Organization/other"):
        found.append([each async for each in children.every(made, hospital, TYPES, at)])
    return found


def reports(made: Context, found: list[list[Resource]]) -> list[Resource]:
    """Report on those that can be assessed."""
    period = outcome_engine.Period("2012-01-01", "2012-12-31")
    reported = []
    for record in found:
        if any(each["resourceType"] == "Patient" for each in record):
            outcome = outcome_engine.assess(MEASURE, record, "2024-01-01", made.terminology)
            report = outcome_engine.individual_report(
                MEASURE,
                outcome,
                subject={"reference": outcome.patient},
                period=period,
                reporter={"display": "CSOR"},
                now="2024-01-01T00:00:00Z",
            )
            reported.append(report)
    return reported


async def lived(made: Context) -> list[tuple[datetime, list[list[list[Resource]]]]]:
    """Let everything happen; returns each moment with what was read at it, before anything else."""
    told = []
    for step in LIFE:
        await transaction(made, step)
        moment = await settled(made)
        told.append((moment, await records(made, None)))
    return told


def test_every_moment_of_a_life_is_read_again_as_it_was(empty: Settings) -> None:
    async def work(made: Context) -> None:
        told = await lived(made)
        for moment, then in told:
            assert await records(made, moment) == then
        seen = [records for _, records in told]
        different = [one for one, following in pairwise(seen) if one != following]
        # once nobody has a case, two deletions change nothing
        assert len(different) == len(LIFE) - 3

    asyncio.run(alone(empty, work))


def test_a_report_of_the_past_is_the_report_that_was_made(empty: Settings) -> None:
    async def work(made: Context) -> set[str]:
        classes = set()
        for moment, then in await lived(made):
            reported = reports(made, then[2])
            assert reports(made, (await records(made, moment))[2]) == reported
            classes |= {coding["code"] for report in reported for coding in concepts(report)}
        return classes

    classes = asyncio.run(alone(empty, work))
    assert {"bad", "not-yet-known"} <= classes  # the class changed on the way


def concepts(report: Resource) -> Iterator[Resource]:
    """Yield the codings of a report's result."""
    for extension in report["extension"]:
        for part in extension.get("extension", ()):
            yield from part.get("valueCodeableConcept", {}).get("coding", ())
            yield from [part["valueCoding"]] if "valueCoding" in part else ()
            yield from [{"code": part["valueCode"]}] if "valueCode" in part else ()


def test_before_anything_was_stored_there_was_nobody(empty: Settings) -> None:
    async def work(made: Context) -> None:
        before = made.now() - timedelta(seconds=1)
        for step in LIFE[:3]:
            await transaction(made, step)
        assert await records(made, before) == [[], [], [], [], []]
        assert (await records(made, None))[2]

    asyncio.run(alone(empty, work))


def test_what_is_acknowledged_is_in_the_record_of_the_moment_that_is_settled_after_it(
    empty: Settings,
) -> None:
    async def work(made: Context) -> None:
        await transaction(made, LIFE[0])
        for number in range(20):
            observation = {**stoma(f"o{number}", "a")}
            await transaction(made, stored(observation))
            moment = await settled(made)
            ((record,), *_) = await records(made, moment)
            assert f"o{number}" in {each["id"] for each in record}

    asyncio.run(alone(empty, work))


def test_a_moment_is_not_settled_while_a_write_that_began_before_it_is_under_way(
    empty: Settings,
) -> None:
    async def work(made: Context) -> None:
        with made.underway():
            asked = asyncio.create_task(settled(made))
            await asyncio.sleep(0.02)
            assert not asked.done()
        assert await asyncio.wait_for(asked, 5) < made.now()

    asyncio.run(alone(empty, work))
