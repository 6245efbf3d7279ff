"""`verify`: whether what is stored agrees with itself; changes nothing."""

import sys
import time

from fhir_server.settings import Settings
from fhir_server.store.database import open_database, revisions
from fhir_server.store.renewal import under_way
from fhir_server.store.verify import verify as steps

_EVERY = 2.0
"""Seconds between two lines of progress."""


def verify(settings: Settings, sample: int | None) -> int:
    """Print one line for each problem (no content), and a summary; exit status 1 where there are some.

    Raises ValueError for a database of another schema, or whose index is being made anew.
    """
    current, newest = revisions(settings.database)
    if current != newest:
        raise ValueError(f"the schema is {current or 'not there'}, not {newest}: run migrate first")
    database = open_database(settings.database, upgraded=False)
    try:
        if under_way(database.read) is not None:
            raise ValueError("the search index is being made anew: run reindex first, or wait")
        said, many, done, total = time.monotonic(), 0, 0, 0
        with database.snapshot() as read:
            for step in steps(read, database.dialect, sample):
                for problem in step.problems:
                    print(f"{problem.place}\t{problem.what}")
                many += len(step.problems)
                done, total = step.done, step.total
                if time.monotonic() - said >= _EVERY:
                    said = time.monotonic()
                    print(f"{done} of {total}", file=sys.stderr, flush=True)
    finally:
        database.close()
    print(f"{many} problems; {done} of {total} versions compared with their index rows")
    return int(many > 0)
