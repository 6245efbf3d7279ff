"""What must be true after the last kill, read from the database itself."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from benchmarks.crash.feed import EACH, Feed, family
from fhir_server.store.database import open_database
from r4.json import decode

_PAGE = 2000
_OF_EACH_CHILD = ("Condition", "Encounter", "EpisodeOfCare", "Patient")


def faults(url: str, feed: Feed) -> list[str]:
    """Return what is wrong, nothing where each message that was acknowledged was worked exactly once."""
    database = open_database(url)
    try:
        return [*_of_inbox(database, feed), *_of_records(database, len(feed.numbers))]
    finally:
        database.close()


def _of_inbox(database: Any, feed: Feed) -> Iterator[str]:
    rows = database.read(
        "SELECT sha256, status, count(*) FROM inbox WHERE door = 'mllp' GROUP BY sha256, status"
    )
    kept = Counter({key: many for key, _, many in rows})
    accepted = Counter(digest.hex() for digest in feed.accepted)
    if lost := accepted - kept:
        yield f"{lost.total()} messages were acknowledged and are not in the inbox"
    if more := kept - accepted:
        yield f"{more.total()} messages are in the inbox and were never acknowledged, or are twice"
    if others := Counter(status for _, status, _ in rows if status != "processed"):
        yield f"messages in the inbox that are not processed: {dict(others)}"


def _of_records(database: Any, many: int) -> Iterator[str]:
    current = "SELECT count(*) FROM resource WHERE type = ? AND superseded IS NULL"
    for kind in _OF_EACH_CHILD:
        ((found,),) = database.read(current, (kind,))
        if found != many:
            yield f"{found} of {kind}, not {many}"
    ((told,),) = database.read(current, ("Provenance",))
    if told != many * EACH:
        yield f"{told} of Provenance, not one for each of {many * EACH} messages"
    names: dict[str, list[str]] = {}
    for key, body in _versions(database):
        names.setdefault(key, []).append(decode(body)["name"][0]["family"])
    expected = [family(turn) for turn in range(EACH)]
    if wrong := sum(each != expected for each in names.values()):
        yield f"{wrong} children whose versions are not one for each message, in their order"


def _versions(database: Any) -> Iterator[tuple[str, bytes]]:
    """Yield id and content of every version of a Patient, in the order in which they were stored."""
    last = 0
    while rows := database.read(
        "SELECT rid, id, body FROM resource JOIN content USING (rid)"
        f" WHERE type = 'Patient' AND rid > ? ORDER BY rid LIMIT {_PAGE}",
        (last,),
    ):
        yield from ((key, body) for _, key, body in rows)
        last = rows[-1][0]
