"""One hospital's feed: its children's events in time order, written the way the hospital writes.

Some messages are sent twice with the same bytes, and some are faulty: the benchmark table says how
many. The feed is a pure function of its arguments.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from heapq import heappop, heappush
from itertools import count
from random import Random

from fhir_server.simulate import bundles, faults, hl7v2, papers, people, responses, tables
from fhir_server.simulate.asides import asides
from fhir_server.simulate.events import Child, Event
from fhir_server.simulate.forms import Form
from fhir_server.simulate.options import Kinds
from fhir_server.simulate.sending import Sending
from fhir_server.simulate.story import tell
from fhir_server.simulate.style import style
from fhir_server.simulate.tables import Hospital
from r4.json import encode

_Writer = Callable[[Event, Random, float], Iterator[Sending]]

_CARRIES_PATIENT = ("register", "admit", "change")
_PATHS = {
    "note": "QuestionnaireResponse/$sign",
    "survey": "QuestionnaireResponse/$process-response",
}


def registrations(hospital: Hospital) -> Iterator[Sending]:
    """Yield what makes the hospital and its surgeons known to the registry."""
    yield Sending(
        "http",
        hospital.ods,
        "Organization",
        encode(bundles.registration(hospital)),
        method="PUT",
        path=f"Organization?identifier={tables.system('ods')}|{hospital.ods}",
    )
    listed = bundles.surgeons(people.surgeons(hospital.ods))
    yield Sending("http", hospital.ods, "Practitioner", encode(listed))


def timeline(children: Iterable[Child], until: datetime) -> Iterator[Event]:
    """Yield the events of children, who come in order of birth, in time order up to a moment."""
    pending: list[tuple[datetime, int, int, Event]] = []
    for child in children:
        while pending and pending[0][0] < child.birth:
            yield heappop(pending)[3]
        for place, event in enumerate(tell(child)):
            if event.at <= until:
                heappush(pending, (event.at, child.index, place, event))
    while pending:
        yield heappop(pending)[3]


def feed(
    hospital: Hospital,
    children: Iterable[Child],
    until: datetime,
    forms: Mapping[str, Form],
    seed: int,
    *,
    kinds: Kinds = "classic",
) -> Iterator[Sending]:
    """Yield everything that a hospital, its surgeons and its parents send, in time order.

    An event whose form is missing is left out. `all` kinds adds letters, bills and little stories
    between what the classic kinds send, of which it changes nothing.
    """
    further = (papers.papers(hospital, seed), asides(hospital, seed)) if kinds == "all" else ()
    random = Random(f"{seed}:{hospital.ods}:feed")
    rates = tables.benchmarks()["any"]
    write = _transactions(hospital) if hospital.sends_fhir else _messages(hospital, seed)
    for event in timeline(children, until):
        if event.kind in responses.FORMS:
            if form := forms.get(responses.FORMS[event.kind]):
                yield from _response(hospital, event, form)
            continue
        for sending in write(event, random, rates["faulty"]):
            yield sending
            if random.random() < rates["exact-duplicate"]:
                yield sending
        for follow in further:
            yield from follow(event)


def _response(hospital: Hospital, event: Event, form: Form) -> Iterator[Sending]:
    path = _PATHS[event.kind]
    write = responses.signing if event.kind == "note" else responses.survey
    if event.kind == "survey":
        parent = encode(responses.parent(hospital, event))
        place = responses.parent_place(hospital, event)
        yield Sending("http", hospital.ods, "RelatedPerson", parent, method="PUT", path=place)
    yield Sending("http", hospital.ods, path, encode(write(hospital, event, form)), path=path)


def _messages(hospital: Hospital, seed: int) -> _Writer:
    """Return what writes HL7 v2 messages; MSH-10 counts them."""
    habits, numbers = style(hospital), count(1)

    def write(event: Event, random: Random, faulty: float) -> Iterator[Sending]:
        if event.kind == "operate" and habits.procedures_at_discharge:
            return
        kind = hl7v2.TYPES[event.kind]
        message_id = f"{hospital.ods}-{seed}-{next(numbers):06d}"
        body = hl7v2.message(habits, event, message_id)
        yield Sending("mllp", hospital.ods, kind, body, message_id)
        if random.random() < faulty:
            message_id = f"{hospital.ods}-{seed}-{next(numbers):06d}"
            body = faults.message(habits, event, message_id, random)
            yield Sending("mllp", hospital.ods, kind, body, message_id, faulty=True)

    return write


def _transactions(hospital: Hospital) -> _Writer:
    """Return what writes FHIR transactions."""

    def write(event: Event, random: Random, faulty: float) -> Iterator[Sending]:
        body = encode(bundles.bundle(hospital, event))
        yield Sending("http", hospital.ods, "Bundle", body)
        if event.kind in _CARRIES_PATIENT and random.random() < faulty:
            body = faults.transaction(hospital, event, random)
            yield Sending("http", hospital.ods, "Bundle", body, faulty=True)

    return write
