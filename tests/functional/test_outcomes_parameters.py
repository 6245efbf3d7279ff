"""A server goes by the parameter files of the moment: what it keeps and what it has told follow them."""

import asyncio
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import outcome_engine
from fhir_server.context import Context, instant
from fhir_server.operations import outcomes_kept
from fhir_server.operations.evaluate import evaluate
from fhir_server.operations.outcomes_process import _receive, _send, serve
from fhir_server.operations.outcomes_rescored import Asked
from fhir_server.operations.outcomes_stale import STALE
from fhir_server.operations.past import settled
from fhir_server.settings import Settings
from fhir_server.store import read
from outcome_engine import ChildOutcome, Period
from outcome_engine.parameter_files.signature import entry
from r4.issue import FhirError
from r4.json import decode, encode
from tests.functional.test_evaluate import HOSPITAL
from tests.functional.test_outcomes_as_of import stored
from tests.functional.test_outcomes_kept import SOON, changes, kept, run
from tests.outcome_engine.signing import KEY, NAME, TSS, signed
from tests.outcome_engine.test_treatment_success_children import child
from tests.support.databases import new_database

YEAR = Period("2018-01-01", "2018-12-31")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder, signatories = tmp_path / "parameters", tmp_path / "signatories.json"
    folder.mkdir()
    (folder / NAME).write_bytes(encode(signed()))
    who = entry(KEY, "Test Signatory", "nobody's", date(2020, 1, 1), date(2100, 12, 31))
    signatories.write_bytes(encode({"keys": [who]}))
    database = new_database("sqlite", tmp_path)
    return Settings(database=database, parameters=folder, signatories=signatories)


def newer(file: dict[str, Any]) -> None:
    file["version"] = "0.0.2"


def replaced(settings: Settings, content: dict[str, Any]) -> None:
    assert settings.parameters is not None
    (settings.parameters / NAME).write_bytes(encode(content))


async def summary(made: Context) -> dict[str, Any]:
    given = {"measureUrl": [TSS], "reportType": "summary",
             "periodStart": YEAR.start, "periodEnd": YEAR.end}  # fmt: skip
    found = await evaluate(made, given, keep=True)
    bundle = found["parameter"][0]["resource"]
    return dict(bundle["entry"][0]["resource"])


def digest(report: dict[str, Any]) -> str:
    parts = (part for each in report["extension"] for part in each.get("extension", ()))
    return str(next(part["valueString"] for part in parts if part["url"] == "parametersDigest"))


def is_stale(made: Context, report: dict[str, Any]) -> bool:
    found = read.current(made.database, "MeasureReport", report["id"])
    assert found is not None
    return any(each["url"] == STALE for each in decode(found.body)["extension"])


def assessed(made: Context) -> ChildOutcome:
    """Compute what is kept."""
    as_of = instant(made.now())[:10]
    return outcome_engine.assess(TSS, child("amber"), as_of, made.terminology, made.parameters)


async def outcomes(made: Context) -> list[Any] | None:
    return await outcomes_kept.outcomes(made, TSS, YEAR, await settled(made))


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def caught_up(made: Context) -> list[Any]:
    deadline = time.monotonic() + SOON
    while (found := await outcomes(made)) is None:
        assert time.monotonic() < deadline, "what is kept does not follow"
        await asyncio.sleep(0.02)
    return found


def test_kept_outcomes_and_stored_summaries_follow_the_parameter_files(settings: Settings) -> None:
    async def work(made: Context) -> None:
        await changes(made, stored(HOSPITAL, *child("amber")))
        async with kept(made):
            [before] = await caught_up(made)
            assert before == assessed(made)
            first = await summary(made)
            assert digest(first) == before.parameters.digest

            replaced(settings, signed(newer))
            await until(lambda: is_stale(made, first))
            [after] = await caught_up(made)
            assert after.parameters.version == "0.0.2"
            assert after.parameters.digest != before.parameters.digest
            second = await summary(made)
            assert digest(second) == after.parameters.digest
            assert not is_stale(made, second)

            replaced(settings, signed(newer) | {"title": "Another title"})
            assert await outcomes(made) is None
            with pytest.raises(FhirError, match="was changed after Test Signatory signed it"):
                await summary(made)
            await until(lambda: is_stale(made, second))

            replaced(settings, signed(newer))
            assert len(await caught_up(made)) == 1

    run(settings, work)


def test_an_evaluation_is_by_one_set_of_files_from_its_beginning_to_its_end(
    settings: Settings,
) -> None:
    async def work(made: Context) -> None:
        await changes(made, stored(HOSPITAL, *child("amber")))
        steady = made.steady()
        before = await summary(steady)
        replaced(settings, signed(newer))
        assert digest(await summary(steady)) == digest(before)
        assert digest(await summary(made)) != digest(before)

    run(settings, work)


def test_the_process_that_finds_outcomes_goes_by_the_files_of_the_moment(
    settings: Settings,
) -> None:
    async def stores(made: Context) -> None:
        await changes(made, stored(HOSPITAL, *child("amber")))

    run(settings, stores)
    ours, theirs = socket.socketpair()
    found = []
    with theirs, ThreadPoolExecutor(1) as aside:
        serving = aside.submit(serve, theirs)  # what the process does
        with ours:
            _send(ours, settings)
            for _ in range(2):
                _send(ours, Asked(0, 1 << 40, {TSS: "1"}, "2026-01-01"))
                found += _receive(ours).found
                replaced(settings, signed(newer) | {"title": "Another title"})
        with pytest.raises(EOFError):
            serving.result()
    scored, refused = found
    assert scored.outcome_class == "good"
    assert b"was changed after Test Signatory signed it" in refused.body
