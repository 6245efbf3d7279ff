"""When a message was told, by its sender's own clock, and what it is news of.

HL7 v2.4 §3.4.1 (EVN-2, when the event was recorded) and §2.16.9.7 (MSH-7, when the message was made).
"""

from collections.abc import Iterator
from datetime import datetime

from mappings.hl7v2.parse import Message
from mappings.hl7v2.timestamps import date_time, span

_PLACES = (("EVN", 2), ("MSH", 7))
_DAY = len("2020-01-01")


def times(message: Message) -> Iterator[str]:
    """Yield the texts that say when a message was told, best first: EVN-2, then MSH-7."""
    for name, number in _PLACES:
        for segment in message.all_segments:
            if segment.name == name and (text := segment.field(number).value):
                yield text


def recorded(message: Message) -> str | None:
    """Return when a message was told, a dateTime: the first of its times that has a time of day.

    Without such a one it is the first that has a day, else the first.
    """
    first: str | None = None
    for moment in filter(None, map(date_time, times(message))):
        if "T" in moment:
            return moment
        if first is None or len(first) < _DAY <= len(moment):
            first = moment
    return first


def told(message: Message) -> tuple[datetime, datetime] | None:
    """Return the first and last moment that EVN-2, else MSH-7, may mean; None where neither is a time."""
    return next(filter(None, map(span, times(message))), None)


def tells_who(message: Message) -> bool:
    """Tell whether a message is news of the patient and the visit: others only name them."""
    return message.header.message_code == "ADT"
