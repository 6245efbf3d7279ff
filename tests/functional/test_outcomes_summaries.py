"""A summary made of kept outcomes is the summary that is computed: the same numbers, without the records."""

import asyncio
from typing import Any

import pytest

from fhir_server.context import Context
from fhir_server.operations import children, outcomes_kept
from fhir_server.operations.evaluate import evaluate
from fhir_server.operations.past import settled
from fhir_server.settings import Settings
from outcome_engine import Period
from tests.functional.test_evaluate import HOSPITAL, MEASURE, case, patient, retired, stoma
from tests.functional.test_outcomes_as_of import OTHER, stored
from tests.functional.test_outcomes_kept import changes, empty, kept, run

__all__ = ["empty"]
ASKED = {"reportType": "summary", "periodStart": "2012-01-01", "periodEnd": "2012-12-31"}
THERE = {"managingOrganization": {"reference": "Organization/other"}}
PEOPLE = (
    stored(HOSPITAL, OTHER),
    *(stored(patient(f"p{n}"), case(f"c{n}", f"p{n}", f"2012-0{n}-04")) for n in range(1, 8)),
    stored(*(stoma(f"s{n}", f"p{n}") for n in (1, 2, 3))),
    stored(patient("q"), case("cq", "q", "2012-11-01", **THERE), stoma("sq", "q")),
    stored(patient("r"), case("cr", "r", "2013-01-01")),  # of another year
    stored(retired("nobody"), case("lone", "nobody")),  # cannot be assessed
)
_PASSING = ("date", "valueInstant", "fullUrl")


def without_times(node: Any) -> Any:
    """Return an answer without its moments and random numbers, which are never the same twice."""
    if isinstance(node, list):
        return [without_times(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {k: without_times(v) for k, v in node.items() if k not in _PASSING}


@pytest.mark.postgresql_slow
@pytest.mark.parametrize("about", [{}, {"reporter": "Organization/other"}])
def test_the_same_numbers_without_reading_a_record(
    about: dict[str, str], empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"measureUrl": [MEASURE], **ASKED, **about}

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a record is read")

    async def work(made: Context) -> None:
        await changes(made, *PEOPLE)
        computed = await evaluate(made, asked, keep=False)
        async with kept(made):
            with monkeypatch.context() as patch:
                patch.setattr(children, "every", refused)
                found = await evaluate(made, asked, keep=False)
            await changes(made, stored(stoma("s4", "p4")))
        again = await evaluate(made, asked, keep=False)
        assert without_times(found) == without_times(computed)
        if not about:
            assert without_times(again) != without_times(found)  # the newest event counts

    run(empty, work)


@pytest.mark.postgresql_slow
def test_others_are_served_while_kept_outcomes_are_read(
    empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes_kept, "READ_AT_ONCE", 2)
    period, turns = Period("2012-01-01", "2012-12-31"), [0]

    async def another() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    async def work(made: Context) -> None:
        await changes(made, *PEOPLE)
        async with kept(made):
            at = await settled(made)
            beside = asyncio.create_task(another())
            before = turns[0]
            found = await outcomes_kept.outcomes(made, MEASURE, period, at)
            beside.cancel()
            assert found is not None
            assert turns[0] - before >= len(found) // 2

    run(empty, work)
