"""When a message was told, by its sender's own clock, and what it is news of.

HL7 v2.4 §3.4.1 (EVN-2, when the event was recorded) and §2.16.9.7 (MSH-7, when the message was made).
"""

from datetime import datetime

from mappings.hl7v2.parse import Message
from mappings.hl7v2.timestamps import span

_PLACES = (("EVN", 2), ("MSH", 7))


def told(message: Message) -> tuple[datetime, datetime] | None:
    """Return the first and last moment that EVN-2, else MSH-7, may mean; None where neither is a time."""
    for name, number in _PLACES:
        for segment in message.all_segments:
            if segment.name == name and (found := span(segment.field(number).value)):
                return found
    return None


def tells_who(message: Message) -> bool:
    """Tell whether a message is news of the patient and the visit: others only name them."""
    return message.header.message_code == "ADT"
