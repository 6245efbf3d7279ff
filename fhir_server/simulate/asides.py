"""What else a hospital tells once a child is home: one little story after each discharge.

Drawn and numbered apart from all other messages, as letters and bills are, so that adding them
changes none of those.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from random import Random

from fhir_server.simulate import records, services, visits
from fhir_server.simulate.events import Event
from fhir_server.simulate.hl7v2 import framed
from fhir_server.simulate.papers import Papers
from fhir_server.simulate.sending import Sending
from fhir_server.simulate.steps import Step, Story, Told
from fhir_server.simulate.style import style
from fhir_server.simulate.tables import Hospital

STORIES: tuple[Story, ...] = (
    visits.discharged_again,
    visits.planned_in_vain,
    visits.never_arrived,
    visits.came_back_for_a_day,
    visits.told_late,
    records.renumbered,
    records.opened_twice,
    records.said_again,
    services.ordered,
    services.booked_and_came,
    services.booked_and_cancelled,
    services.letter_replaced,
    services.letter_cancelled,
)


def asides(hospital: Hospital, seed: int) -> Papers:
    """Return what yields a hospital's story of a child that has gone home alive."""
    habits = style(replace(hospital, habits={**hospital.habits, **hospital.further}))
    random, numbers = Random(f"{seed}:{hospital.ods}:asides"), count(1)

    def sending(event: Event, step: Step, message_id: str) -> Sending:
        at = event.at + timedelta(minutes=step.minutes)
        moment = replace(event, at=at, kind="change" if step.evented else "observe")
        body = framed(habits, moment, step.kind, message_id, list(step.segments))
        return Sending("mllp", hospital.ods, step.kind, body, message_id, faulty=step.refused)

    def write(event: Event) -> Iterator[Sending]:
        if hospital.sends_fhir or event.kind != "discharge" or event.died or not event.spell:
            return
        message_id = ""
        for step in random.choice(STORIES)(Told(habits, event, event.spell)):
            if not step.repeats:
                message_id = f"{hospital.ods}-{seed}-S{next(numbers):06d}"
            yield sending(event, step, message_id)

    return write
