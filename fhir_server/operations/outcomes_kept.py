"""Reading kept outcomes in the place of computing them: only where they are exactly what would be computed.

That is: by the definitions and terminologies of this moment, as of the day, and of everything that was
stored up to a moment and nothing that was stored after it.
"""

from datetime import datetime

from fhir_server.context import Context, instant, microseconds
from fhir_server.operations import outcomes_body
from fhir_server.operations.outcomes_follow import current
from fhir_server.operations.outcomes_rescored import TYPES
from fhir_server.store import outcomes as store
from outcome_engine import ChildOutcome, NotAssessable, Period
from outcome_engine.definition import definition

Outcome = ChildOutcome | NotAssessable


def outcomes(
    context: Context, measure: str, period: Period, at: datetime, hospital: str | None = None
) -> list[Outcome] | None:
    """Return the outcomes of the children whose case began in a period, or may have, as of a moment.

    measure: a url without version; hospital: as `Organization/1`, or None for all. None where what is
    kept is not up to date to the moment, or goes beyond it: whoever asks computes then.
    """
    database = context.database
    wanted = current(context, instant(at)[:10]).get(measure)
    before = _cursor(context, measure)
    if before is None or before.generation != wanted or not before.is_swept:
        return None
    found = store.of_period(database, measure, period.start, period.end)
    moment = microseconds(at)
    if (
        store.is_changed_after(database, TYPES, before.position)
        or store.is_later(database, TYPES, before.position, moment)
        or _cursor(context, measure) != before
    ):
        return None
    rules = {rule.id: rule for rule in definition(measure).rules}
    return [
        outcomes_body.outcome(each, rules)
        for each in found
        if (hospital is None or each.hospital == hospital) and outcomes_body.may_be_in(each, period)
    ]


def _cursor(context: Context, measure: str) -> store.Cursor | None:
    return next((e for e in store.cursors(context.database) if e.measure == measure), None)
