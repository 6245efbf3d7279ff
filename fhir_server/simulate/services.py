"""Little stories of services: an order and its result, appointments, a discharge letter and its fate.

HL7 v2.4 chapters 4, 6, 7 and 10: ORM O01, OML O21, ORU R01; SIU S12, S13, S15; MDM T02, T08, T10, T11.
"""

from fhir_server.simulate.hl7v2 import doctor
from fhir_server.simulate.steps import Step, Told, segment

_TEST = "WARD^Ward check^L"


def ordered(told: Told) -> list[Step]:
    """Order a ward check the old way and the new, and answer both."""
    return [
        *_order(told, "ORM^O01", "OM", 10),
        *_order(told, "OML^O21", "OL", 40),
    ]


def _order(told: Told, kind: str, suffix: str, minutes: int) -> list[Step]:
    number, at = f"{told.spell.number}-{suffix}", told.at(minutes)
    asked = f"OBR|1|{number}^EPR||{_TEST}|||{at}"
    result = f"OBR|1|{number}^EPR|F-{number}^LAB|{_TEST}|||{at}{'|' * 15}{at}|||F"
    found = f"OBX|1|ST|{_TEST}||as expected||||||F|||{at}"
    return [
        _plain(kind, minutes, told.pid(), f"ORC|NW|{number}^EPR", asked),
        _plain("ORU^R01", minutes + 20, told.pid(), result, found),
    ]


def booked_and_came(told: Told) -> list[Step]:
    """Book an appointment, move it, and come."""
    number, visit = f"{told.spell.number}-A", f"{told.spell.number}-C"
    begun = {2: "O", 44: told.at(120)}
    return [
        _appointment(told, "S12", 10, number, (told.at(60), told.at(90))),
        _appointment(told, "S13", 20, number, (told.at(120), told.at(150))),
        Step("ADT^A04", 121, (told.pid(), told.pv1(visit, begun))),
        Step(
            "ADT^A03",
            160,
            (told.pid(), told.pv1(visit, {**begun, 36: "1", 37: "19", 45: told.at(155)})),
        ),
    ]


def booked_and_cancelled(told: Told) -> list[Step]:
    """Book an appointment and cancel it."""
    number, times = f"{told.spell.number}-B", (told.at(60), told.at(90))
    return [
        _appointment(told, "S12", 10, number, times),
        _appointment(told, "S15", 30, number, times),
    ]


def _appointment(told: Told, event: str, minutes: int, number: str, times: tuple[str, str]) -> Step:
    start, end = times
    listed = (
        f"SCH|{number}^EPR{'|' * 10}^^^{start}^{end}",
        told.pid(),
        "RGS|1",
        f"AIP|1||{doctor(told.event.surgeon)}",
    )
    return _plain(f"SIU^{event}", minutes, *listed)


def letter_replaced(told: Told) -> list[Step]:
    """Write a discharge letter, correct it, and replace it by another."""
    first, second = f"{told.spell.number}-D1", f"{told.spell.number}-D2"
    return [
        _document(told, "T02", 10, first, "Went home well"),
        _document(told, "T08", 20, first, "Went home well, with a letter"),
        _document(told, "T10", 30, second, "Went home well, with two letters", replaced=first),
    ]


def letter_cancelled(told: Told) -> list[Step]:
    """Write a discharge letter about the wrong child, and cancel it."""
    number = f"{told.spell.number}-D3"
    return [
        _document(told, "T02", 10, number, "Written about another child"),
        _document(told, "T11", 20, number),
    ]


def _document(
    told: Told, event: str, minutes: int, number: str, text: str = "", *, replaced: str = ""
) -> Step:
    who = doctor(told.event.surgeon)
    header = segment(
        "TXA",
        {
            1: "1",
            2: "DS",
            3: "TX",
            4: told.at(0),
            5: who,
            6: told.at(minutes),
            9: who,
            10: who,
            12: number,
            13: replaced,
            17: "AU",
            19: "AV",
            25: "Discharge letter",
        },
    )
    content = (f"OBX|1|TX|DS^Discharge letter^L||{text}||||||F",) if text else ()
    stay = told.pv1(told.spell.number, {})
    return Step(f"MDM^{event}", minutes, (told.pid(), stay, header, *content))


def _plain(kind: str, minutes: int, *segments: str) -> Step:
    return Step(kind, minutes, segments, evented=False)
