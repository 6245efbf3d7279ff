"""Which messages wait for an earlier one of their child, and which need not wait any more.

Which are one child's is what the lanes say (`operations.lanes`): a number in common. It is read from the
messages' bytes each time, so that it outlives a restart, and a purge.
"""

from collections.abc import Iterator
from functools import lru_cache

from fhir_server.operations.lanes import keys
from fhir_server.store import inbox
from fhir_server.store.connection import Database
from fhir_server.store.inbox import Message
from fhir_server.store.parking import Held, held
from mappings import hl7v2
from r4.issue import FhirError

_REMEMBERED = 4096


def blocker(database: Database, message: Message, lanes: frozenset[str]) -> int | None:
    """Return the first message that holds up these lanes and came before this one; None without one.

    A message takes the place of the one that it corrects: that one was refused, and has its control id.
    """
    for each in held(database):
        if each.id >= message.id:
            return None
        if not lanes.isdisjoint(_lanes(database, each.id)):
            return None if _corrects(message, each) else each.id
    return None


def freed(database: Database) -> list[int]:
    """Return the numbers of the parked messages that nothing holds up any more, oldest first."""
    return [each.id for each, by in _waiting(database) if by is None]


def misled(database: Database) -> list[tuple[int, int]]:
    """Return each parked message that waits for another one than it says, and that other one."""
    return [
        (each.id, by) for each, by in _waiting(database) if by is not None and by != each.waits_for
    ]


def _waiting(database: Database) -> Iterator[tuple[Held, int | None]]:
    """Yield each parked message, oldest first, with the first one that holds it up."""
    holders: dict[str, list[Held]] = {}
    for each in held(database):
        lanes = _lanes(database, each.id)
        if each.status == "parked":
            before = {other for lane in lanes for other in holders.get(lane, ())}
            first = min(before, default=None)
            yield each, None if first is None or _corrects(each, first) else first.id
        for lane in lanes:
            holders.setdefault(lane, []).append(each)


def _corrects(message: Message | Held, other: Held) -> bool:
    same = (message.sender, message.control_id) == (other.sender, other.control_id)
    return same and other.status == "refused" and message.sha256 != other.sha256


def _lanes(database: Database, number: int) -> frozenset[str]:
    """Return the lanes of a message of the inbox, which stay: a number is never given twice."""
    return _read_lanes(database, number)  # type: ignore[arg-type]


@lru_cache(maxsize=_REMEMBERED)
def _read_lanes(database: Database, number: int) -> frozenset[str]:
    message = inbox.read(database, number)
    try:
        return keys(hl7v2.parse(message.raw)) if message else frozenset()
    except FhirError:
        return frozenset()
