"""Where a message comes from, of what kind it is and when what it tells happened: for the inbox.

Nothing of the child is among it.
"""

import re
from datetime import datetime
from typing import NamedTuple

from mappings.hl7v2.parse import Message
from mappings.hl7v2.timestamps import LONDON
from mappings.hl7v2.told import recorded

_KIND = re.compile(r"[A-Z]{3}\^[A-Z][0-9]{2}\Z")
_MICROSECONDS = 1_000_000


class Origin(NamedTuple):
    """MSH-4; MSH-9 as `ADT^A01`, None where it is nothing of the kind; microseconds since 1970 UTC."""

    hospital: str
    kind: str | None
    occurred: int | None


def origin(message: Message) -> Origin:
    """Return the origin of a message; it occurred when it was recorded (`told.recorded`)."""
    header = message.header
    kind = f"{header.message_code}^{header.trigger_event}"
    occurred = _microseconds(recorded(message))
    return Origin(header.sending_facility, kind if _KIND.match(kind) else None, occurred)


def _microseconds(moment: str | None) -> int | None:
    """Return a dateTime as microseconds; None where it names no day."""
    if moment is None or len(moment) < len("2020-01-01"):
        return None
    read = datetime.fromisoformat(moment)
    known = read if read.tzinfo else read.replace(tzinfo=LONDON)
    return round(known.timestamp() * _MICROSECONDS)
