"""Put before a steward what a refused message shows: its numbers are those of several records."""

import contextlib
from itertools import islice

from fhir_server.context import Context, instant
from fhir_server.interactions.duplicates import MOST, once, task
from fhir_server.interactions.targets import find, standing
from fhir_server.interactions.transaction import transaction
from r4.issue import FhirError
from r4.json import Resource

_SEVERAL = "multiple-matches"


async def note(context: Context, bundle: Resource | None, refusal: FhirError) -> None:
    """Store a Task for each record beside the first that a refused Bundle's patient may mean.

    It is stored apart from the refusal, and once; where it cannot be, the refusal stands alone.
    """
    if bundle is None or all(issue.code != _SEVERAL for issue in refusal.issues):
        return
    now = instant(context.now())
    with contextlib.suppress(FhirError):
        tasks = [each for entry in bundle["entry"] for each in _tasks(context, entry, now)]
        entries = [
            {
                "resource": each,
                "request": {"method": "POST", "url": "Task", "ifNoneExist": once(each)},
            }
            for each in tasks
        ]
        if entries:
            await transaction(context, {"type": "transaction", "entry": entries}, trusted=True)


def _tasks(context: Context, entry: Resource, now: str) -> list[Resource]:
    kind, _, criteria = entry["request"]["url"].partition("?")
    if kind != "Patient" or not criteria:
        return []
    ids = [each.id for each in standing(context, find(context, kind, criteria)[1])]
    return [task(ids[0], other, now) for other in islice(ids, 1, 1 + MOST)]
