"""Events as HL7 v2.4 messages in UK habits: ADT A01, A03, A08, A28, A40 and ORU R01.

ITK HL7 v2 ADT pack 1.1 (a constraint on HL7 UK A.3, v2.4). The simulator has its own writer, as a
hospital's EPR does: nothing of the registry's mapping is shared.
"""

from typing import Any

from fhir_server.simulate import tables
from fhir_server.simulate.events import Event, Operation, Spell
from fhir_server.simulate.people import Surgeon
from fhir_server.simulate.style import Style, compact, escape
from fhir_server.simulate.tables import Observable

TYPES = {
    "register": "ADT^A28",
    "admit": "ADT^A01",
    "observe": "ORU^R01",
    "operate": "ADT^A08",
    "change": "ADT^A08",
    "death": "ADT^A08",
    "discharge": "ADT^A03",
    "merge": "ADT^A40",
}


def message(style: Style, event: Event, message_id: str) -> bytes:
    """Write the message that tells of an event; segments end in CR, text is UTF-8."""
    return written(style, event, TYPES[event.kind], message_id, _body(style, event, message_id))


def written(
    style: Style, event: Event, message_type: str, message_id: str, body: list[str]
) -> bytes:
    """Write a message of a type about an event's child; body is what follows PID."""
    return framed(style, event, message_type, message_id, [pid(style, event), *body])


def framed(
    style: Style, event: Event, message_type: str, message_id: str, segments: list[str]
) -> bytes:
    """Write a message of a type, at the time of an event, from all that follows MSH and EVN."""
    now = style.clock(event.at)
    begin = [
        rf"MSH|^~\&|EPR|{style.ods}|CSOR|ROUTE|{now}||{style.message_type(message_type)}"
        f"|{message_id}|P|2.4|{style.tail(now)}",
        *([] if event.kind == "observe" else [f"EVN|{style.event(message_type[4:])}|{now}"]),
    ]
    return style.encoded([*begin, *segments])


def _body(style: Style, event: Event, message_id: str) -> list[str]:
    if event.kind == "merge":
        return [f"MRG|{event.former}^^^{style.ods}^MR"]
    if event.kind == "register":
        return ["PV1|1|N"]
    stay = [visit(style, event, event.spell)] if event.spell else []
    if event.kind == "observe":
        return [*stay, *_results(event, message_id)]
    if event.kind == "admit":
        return [*stay, f"DG1|1||{coded(style, event.diagnosis, 'I10')}||{compact(event.at)}|A"]
    shown = event.operations if (event.kind == "discharge") == style.procedures_at_discharge else ()
    return [*stay, *procedures(style, event.surgeon, shown)]


def pid(style: Style, event: Event) -> str:
    """Write PID."""
    person = event.person
    alone, listed, other = style.identifiers(person)
    died = f"{compact(event.died)}|Y" if event.died else "|"
    status = style.number_status if person.number else ""
    return (
        f"PID|1|{alone}|{listed}|{other}|{escape(person.family)}^{escape(person.given)}^^^^^L||"
        f"{style.birth(person.birth)}|{style.sex[person.gender]}|||"
        f"{escape(person.street)}^^{escape(person.town)}^^ZZ99 9ZZ^GBR^H"
        f"|||||||||||{person.ethnic}|||||||{died}||{status}"
    )


def visit(style: Style, event: Event, spell: Spell) -> str:
    """Write PV1."""
    came, left = tables.way(spell.came), tables.way(spell.left)
    method = destination = discharged = ""
    if event.kind in ("discharge", "change"):
        method, destination = left.method, left.destination
        discharged = compact(spell.discharged)
    return (
        f"PV1|1|I|{style.ods}^PSW^1^{style.ods}01|{came.method}|||{doctor(event.surgeon)}|||171||||"
        f"{came.source}|||||{spell.number}^^^VISITID|||||||||||||||||{method}|{destination}|||||||"
        f"{compact(spell.admitted)}|{discharged}"
    )


def doctor(surgeon: Surgeon) -> str:
    """Write an XCN."""
    return f"C{surgeon.gmc}^{escape(surgeon.family)}^{escape(surgeon.given)}^^^^^^GMC"


def coded(style: Style, code: tables.Code, system: str) -> str:
    """Write a CE."""
    return f"{style.code(code.code)}^{escape(code.title)}^{system}"


def procedures(style: Style, surgeon: Surgeon, operations: tuple[Operation, ...]) -> list[str]:
    """Write a PR1 for each operation."""
    return [
        f"PR1|{place}||{coded(style, each.code, 'OPCS4')}||{compact(each.at)}|P|{each.minutes}"
        f"||||{doctor(surgeon)}"
        for place, each in enumerate(operations, start=1)
    ]


def _results(event: Event, message_id: str) -> list[str]:
    observables = tables.observables()
    now = compact(event.at)
    lines = [f"OBR|1||{message_id}|OBS^Observations^L|||{now}|||||||||||||||{now}|||F"]
    for place, (fact, value) in enumerate(event.facts.items(), start=1):
        observable = observables[fact]
        written, unit = _value(observable, value)
        kind = _VALUE_TYPES[observable.kind]
        lines.append(
            f"OBX|{place}|{kind}|{observable.code}^{observable.title}^{observable.system}||{written}"
            f"|{unit}|||||F|||{now}"
        )
    return lines


_VALUE_TYPES = {"quantity": "NM", "integer": "NM", "boolean": "ID", "code": "CE"}


def _value(observable: Observable, value: Any) -> tuple[str, str]:
    if observable.kind == "quantity":
        return str(value), f"{observable.unit}^{observable.unit_title}^UCUM"
    if observable.kind == "boolean":
        return ("Y" if value else "N"), ""
    if observable.kind == "code":
        return f"{value}^^{observable.system}", ""
    return str(value), ""
