"""Which acknowledgements a message asks for, and when they are said.

In original mode there is one, AA, AE or AR, once the message is worked through. In enhanced mode (MSH-15
or MSH-16 is valued) there may be two: CA, CE or CR once the message is kept (MSH-15), and AA, AE or AR
once it is worked through (MSH-16), each always (AL), never (NE), on errors (ER) or on success (SU).
HL7 v2.4 §2.9.2 and §2.9.3, table 0155.
"""

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo

from fhir_server.access.senders import Sender
from mappings import hl7v2
from mappings.hl7v2 import AckCode
from r4.issue import FhirError, Issue

_LONDON = ZoneInfo("Europe/London")
_ALWAYS, _NEVER = "AL", "NE"
_WANTED = {_ALWAYS: "AER", _NEVER: "", "ER": "ER", "SU": "A"}
"""The last letters of the codes that a condition asks for."""


class Reply(NamedTuple):
    """What becomes of a message: what is said when, and its work, which goes on without us.

    answer: is written in the order of arrival; None where nothing is.
    later: what is said after it, once the message is worked through; None where nothing ever is.
    """

    answer: Awaitable[bytes | None]
    later: Awaitable[bytes | None] | None
    work: "asyncio.Future[bytes]"


class Wanted(NamedTuple):
    """What a sender is to be told once a message is kept, and once it is worked through.

    first: the first letter of what is said once it is kept: C, or A for whoever knows no other.
    """

    kept: str
    worked: str
    first: str = "C"

    def at_once(self, issues: tuple[Issue, ...]) -> AckCode | None:
        """Return the code of what is said of a message that is kept, with what is wrong with it."""
        last = hl7v2.ack_code(issues)[1]
        return cast(AckCode, self.first + last) if last in _WANTED[self.kept] else None

    def worked_off(self, code: str) -> bool:
        """Tell whether a code is said of a message that is worked through."""
        return code[-1:] in _WANTED[self.worked]

    def refusal(self, issues: tuple[Issue, ...]) -> AckCode | None:
        """Return the code of the one answer to a message that is not worked through at all."""
        code = hl7v2.ack_code(issues)
        return self.at_once(issues) or (code if self.worked_off(code) else None)


ORIGINAL = Wanted(_NEVER, _ALWAYS)


def wanted(message: hl7v2.Message | None, sender: Sender) -> Wanted:
    """Return what a message asks for; where it asks for nothing, what its sender does.

    One of the two fields alone leaves the other acknowledgement out. A code that table 0155 does not
    have counts as AL: too much is said rather than too little.
    """
    if message is None:
        return ORIGINAL
    header = message.header
    kept, worked = (
        _condition(each)
        for each in (header.accept_acknowledgement, header.application_acknowledgement)
    )
    if kept or worked:
        return Wanted(kept or _NEVER, worked or _NEVER)
    if sender.acknowledge == "commit":
        return Wanted(_ALWAYS, _NEVER, "A")
    return ORIGINAL


def _condition(field: str) -> str:
    text = field.strip().strip('"').upper()
    return text if text in _WANTED or not text else _ALWAYS


def unsupported(message: hl7v2.Message | None, mapping: hl7v2.MappingContext) -> tuple[Issue, ...]:
    """Return why a message can be refused by its header alone."""
    if message is not None:
        try:
            hl7v2.refuse_unsupported(message, mapping)
        except FhirError as refusal:
            return refusal.issues
    return ()


def london(moment: datetime) -> str:
    """Write a moment as MSH-7 of an acknowledgement: to the second, as London's clocks say."""
    return moment.astimezone(_LONDON).strftime("%Y%m%d%H%M%S")


def code_of(answer: bytes) -> str:
    """Return MSA-1 of an acknowledgement."""
    return hl7v2.parse(answer).segments("MSA")[0].value(1)


def begun(work: Any) -> "asyncio.Task[bytes | None]":
    """Begin with what will be said; where nobody is there any more to be told, it may fail in silence."""
    task: asyncio.Task[bytes | None] = asyncio.create_task(work)
    task.add_done_callback(seen)
    return task


def seen(task: "asyncio.Future[Any]") -> None:
    """Take note of what a task failed by, which whoever waits for it is told."""
    if not task.cancelled():
        task.exception()
