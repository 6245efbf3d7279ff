"""The messages of a little story that follows a discharge, and the segments that they share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from fhir_server.simulate.events import Event, Spell
from fhir_server.simulate.hl7v2 import doctor, pid
from fhir_server.simulate.people import Person
from fhir_server.simulate.style import Style, compact


@dataclass(frozen=True, slots=True)
class Told:
    """A child that went home: how its hospital writes, its discharge, and the stay that it ended."""

    habits: Style
    event: Event
    spell: Spell

    def at(self, minutes: int) -> str:
        """Write the time so many minutes after the discharge."""
        return compact(self.event.at + timedelta(minutes=minutes))

    def pid(self, person: Person | None = None) -> str:
        """Write PID of the child, or of the child as another record has it."""
        return pid(self.habits, replace(self.event, person=person or self.event.person))

    def pv1(self, number: str, fields: Mapping[int, str]) -> str:
        """Write PV1 of a visit by its number, with more fields by theirs."""
        told = {
            1: "1",
            2: "I",
            3: self.place("PSW"),
            7: doctor(self.event.surgeon),
            10: "171",
            19: f"{number}^^^VISITID",
            **fields,
        }
        return segment("PV1", told)

    def place(self, ward: str) -> str:
        """Write a PL: a bed on a ward."""
        return f"{self.habits.ods}^{ward}^1^{self.habits.ods}01"


@dataclass(frozen=True, slots=True)
class Step:
    """One message: its type, minutes after the discharge, and its segments after MSH and EVN.

    evented: whether it has EVN. refused: whether the registry must refuse it. repeats: whether it
    bears the control id of the message before it.
    """

    kind: str
    minutes: int
    segments: tuple[str, ...]
    evented: bool = field(default=True, kw_only=True)
    refused: bool = field(default=False, kw_only=True)
    repeats: bool = field(default=False, kw_only=True)


Story = Callable[[Told], list[Step]]


def segment(name: str, fields: Mapping[int, str]) -> str:
    """Write a segment from its fields by number."""
    return "|".join([name, *(fields.get(number, "") for number in range(1, max(fields) + 1))])
