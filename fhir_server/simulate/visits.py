"""Little stories of visits: each event with the one that takes it back, ending in a state that agrees.

HL7 v2.4 chapter 3: A02 and A12, A05 and A38, A14 and A27, A04 and A11, A13, A06, A21 and A22.
"""

from dataclasses import replace

from fhir_server.simulate.steps import Step, Told
from fhir_server.simulate.style import compact

_HOME = {36: "1", 37: "19"}


def discharged_again(told: Told) -> list[Step]:
    """Take the discharge back, and tell it again with a later time."""
    begun = {44: compact(told.spell.admitted)}
    first = {**_HOME, **begun, 45: compact(told.spell.discharged)}
    return [
        _visit(told, "A13", 10, told.spell.number, first),
        _visit(told, "A03", 30, told.spell.number, {**first, 45: told.at(25)}),
    ]


def planned_in_vain(told: Told) -> list[Step]:
    """Plan two admissions, each of which is cancelled."""
    return [
        _visit(told, "A05", 10, f"{told.spell.number}-P", {2: "P"}),
        _visit(told, "A38", 30, f"{told.spell.number}-P", {2: "P"}),
        _visit(told, "A14", 40, f"{told.spell.number}-Q", {2: "P"}),
        _visit(told, "A27", 50, f"{told.spell.number}-Q", {2: "P"}),
    ]


def never_arrived(told: Told) -> list[Step]:
    """Register an arrival at the clinic that was none."""
    number, begun = f"{told.spell.number}-E", {2: "O", 44: told.at(10)}
    return [_visit(told, "A04", 15, number, begun), _visit(told, "A11", 30, number, begun)]


def came_back_for_a_day(told: Told) -> list[Step]:
    """Come to the clinic and be admitted; a transfer in error; a walk outside; home again."""
    number, begun = f"{told.spell.number}-R", {44: told.at(10)}
    here, there = told.place("PSW"), told.place("HDU")
    return [
        _visit(told, "A04", 15, number, {2: "O", **begun}),
        _visit(told, "A06", 20, number, begun),
        _visit(told, "A02", 30, number, {3: there, 6: here, **begun}),
        _visit(told, "A12", 40, number, {6: there, **begun}),
        _visit(told, "A21", 60, number, begun),
        _visit(told, "A22", 120, number, begun),
        _visit(told, "A02", 130, number, {3: there, 6: here, **begun}),
        _visit(told, "A03", 240, number, {3: there, **_HOME, **begun, 45: told.at(235)}),
    ]


def told_late(told: Told) -> list[Step]:
    """Send an update that was written before the discharge: it is taken, and overwrites nothing."""
    person = replace(told.event.person, street="1 Former Street", town="Formerton")
    late = -60
    stay = told.pv1(told.spell.number, {44: compact(told.spell.admitted)})
    return [Step("ADT^A08", late, (told.pid(person), stay))]


def _visit(told: Told, event: str, minutes: int, number: str, fields: dict[int, str]) -> Step:
    return Step(f"ADT^{event}", minutes, (told.pid(), told.pv1(number, fields)))
