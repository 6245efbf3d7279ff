"""Messages that the registry must refuse: wrong check digits, unknown hospitals, lost segments."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from random import Random

from fhir_server.simulate import bundles, hl7v2
from fhir_server.simulate.events import Event
from fhir_server.simulate.style import Style
from fhir_server.simulate.tables import Hospital
from r4.json import encode

UNKNOWN_HOSPITAL = "ZZZ99"


def message(style: Style, event: Event, message_id: str, random: Random) -> bytes:
    """Write an HL7 v2 message with one fault."""
    return random.choice(_MESSAGES)(style, event, message_id)


def transaction(hospital: Hospital, event: Event, random: Random) -> bytes:
    """Write a FHIR transaction with one fault; the event is one that carries a Patient."""
    return random.choice(_TRANSACTIONS)(hospital, event)


def _wrong_number(event: Event) -> Event:
    number = event.child.number
    wrong = f"{number[:-1]}{(int(number[-1]) + 1) % 10}"
    return replace(event, person=replace(event.person, number=wrong))


def _message_wrong_number(style: Style, event: Event, message_id: str) -> bytes:
    return hl7v2.message(style, _wrong_number(event), message_id)


def _message_unknown_hospital(style: Style, event: Event, message_id: str) -> bytes:
    return hl7v2.message(replace(style, ods=UNKNOWN_HOSPITAL), event, message_id)


def _message_without_patient(style: Style, event: Event, message_id: str) -> bytes:
    segments = hl7v2.message(style, event, message_id).split(b"\r")
    return b"\r".join(each for each in segments if not each.startswith(b"PID"))


def _message_of_unknown_type(style: Style, event: Event, message_id: str) -> bytes:
    return hl7v2.message(replace(style, message_type=_unknown_type), event, message_id)


def _message_with_impossible_birth(style: Style, event: Event, message_id: str) -> bytes:
    return hl7v2.message(replace(style, birth=_impossible_birth), event, message_id)


def _unknown_type(_: str) -> str:
    return "ADT^A99"


def _impossible_birth(_: datetime) -> str:
    return "20181345"


_MESSAGES: tuple[Callable[[Style, Event, str], bytes], ...] = (
    _message_wrong_number,
    _message_unknown_hospital,
    _message_without_patient,
    _message_of_unknown_type,
    _message_with_impossible_birth,
)


def _transaction_wrong_number(hospital: Hospital, event: Event) -> bytes:
    return encode(bundles.bundle(hospital, _wrong_number(event)))


def _transaction_unknown_hospital(hospital: Hospital, event: Event) -> bytes:
    return encode(bundles.bundle(replace(hospital, ods=UNKNOWN_HOSPITAL), event))


def _transaction_cut_short(hospital: Hospital, event: Event) -> bytes:
    return encode(bundles.bundle(hospital, event))[:-20]


def _transaction_unknown_gender(hospital: Hospital, event: Event) -> bytes:
    return encode(bundles.bundle(hospital, event)).replace(b'"gender":"', b'"gender":"x-')


_TRANSACTIONS: tuple[Callable[[Hospital, Event], bytes], ...] = (
    _transaction_wrong_number,
    _transaction_unknown_hospital,
    _transaction_cut_short,
    _transaction_unknown_gender,
)
