"""Reading kept outcomes in the place of computing them: only where they are exactly what would be computed.

That is: by the definitions and terminologies of this moment, as of the day, and of everything that was
stored up to a moment and nothing that was stored after it.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import outcome_engine
from fhir_server.context import Context, instant, microseconds
from fhir_server.operations import outcomes_body
from fhir_server.operations.outcomes_follow import current
from fhir_server.operations.outcomes_rescored import TYPES
from fhir_server.store import outcomes as store
from fhir_server.store.connection import Database
from fhir_server.store.outcomes import Kept
from outcome_engine import ChildOutcome, NotAssessable, Period
from outcome_engine.definitions.definition import definition

Outcome = ChildOutcome | NotAssessable

READ_AT_ONCE = 100
"""Outcomes read and decoded together; others are served between two such parts."""


async def outcomes(
    context: Context, measure: str, period: Period, at: datetime
) -> list[Outcome] | None:
    """Return the outcomes of the children whose case began in a period, or may have, as of a moment.

    measure: a url without version. None where what is kept is not up to date to the moment, or goes
    beyond it: whoever asks computes then. Others are served meanwhile.
    """
    database = context.database
    wanted = current(context, instant(at)[:10]).get(measure)
    before = _cursor(context, measure)
    if before is None or before.generation != wanted or not before.is_swept:
        return None
    found = [each async for each in _of_period(database, measure, period)]
    found.sort(key=lambda each: each.key)
    moment, day = microseconds(at), instant(at)[:10]
    if (
        store.is_changed_after(database, TYPES, before.position)
        or store.is_later(database, TYPES, before.position, moment)
        or _cursor(context, measure) != before
    ):
        return None
    file = context.parameters.of(outcome_engine.measures()[measure], day)
    rules = {rule.id: rule for rule in definition(measure, file).rules}
    listed: list[Outcome] = []
    for number, each in enumerate(found):
        if number % READ_AT_ONCE == 0:
            await asyncio.sleep(0)
        listed.append(outcomes_body.outcome(each, rules, file))
    return listed


async def _of_period(database: Database, measure: str, period: Period) -> AsyncIterator[Kept]:
    """Yield what is kept of cases of a period; of those without a day, that may be of it."""
    for first, last in (("", ""), (period.start, period.end)):
        after = (first, "", "")
        while page := store.of_days(database, measure, after, last, READ_AT_ONCE):
            for each in page:
                if outcomes_body.may_be_in(each, period):
                    yield each
            after = page[-1].place
            await asyncio.sleep(0)


def _cursor(context: Context, measure: str) -> store.Cursor | None:
    return next((e for e in store.cursors(context.database) if e.measure == measure), None)
