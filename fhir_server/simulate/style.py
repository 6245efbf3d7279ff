"""How one hospital writes: its habits resolved once into small functions.

The habits are real deviations from the UK's HL7 v2.4 (ITK ADT pack 1.1), one or two a hospital.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fhir_server.simulate import xml
from fhir_server.simulate.people import Person
from fhir_server.simulate.tables import Hospital

_UNESCAPED = re.compile(r"[\\|^&~]")
_ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}
_LETTERS = {"male": "M", "female": "F"}
_DIGITS = {"male": "1", "female": "2"}
_STRUCTURES = {
    "ADT^A01": "ADT_A01",
    "ADT^A02": "ADT_A02",
    "ADT^A03": "ADT_A03",
    "ADT^A04": "ADT_A01",
    "ADT^A05": "ADT_A05",
    "ADT^A06": "ADT_A06",
    "ADT^A08": "ADT_A01",
    "ADT^A11": "ADT_A09",
    "ADT^A12": "ADT_A09",
    "ADT^A13": "ADT_A01",
    "ADT^A14": "ADT_A05",
    "ADT^A21": "ADT_A21",
    "ADT^A22": "ADT_A21",
    "ADT^A27": "ADT_A21",
    "ADT^A28": "ADT_A05",
    "ADT^A31": "ADT_A05",
    "ADT^A34": "ADT_A30",
    "ADT^A38": "ADT_A38",
    "ADT^A40": "ADT_A39",
    "ADT^A44": "ADT_A43",
    "ADT^A47": "ADT_A30",
    "BAR^P05": "BAR_P05",
    "DFT^P03": "DFT_P03",
    "MDM^T02": "MDM_T02",
    "MDM^T08": "MDM_T02",
    "MDM^T10": "MDM_T02",
    "MDM^T11": "MDM_T01",
    "OML^O21": "OML_O21",
    "ORM^O01": "ORM_O01",
    "ORU^R01": "ORU_R01",
    "SIU^S12": "SIU_S12",
    "SIU^S13": "SIU_S12",
    "SIU^S15": "SIU_S12",
}
_THREE_CHARACTERS = 3


@dataclass(frozen=True, slots=True)
class Style:
    """The pieces of a message that differ between hospitals."""

    ods: str
    clock: Callable[[datetime], str]
    identifiers: Callable[[Person], tuple[str, str, str]]
    birth: Callable[[datetime], str]
    sex: dict[str, str]
    code: Callable[[str], str]
    message_type: Callable[[str], str]
    procedures_at_discharge: bool
    number_status: str
    event: Callable[[str], str]
    tail: Callable[[str], str]
    encoded: Callable[[list[str]], bytes]


def style(hospital: Hospital) -> Style:
    """Resolve a hospital's habits."""
    return Style(
        hospital.ods,
        separated if hospital.habit("clock") == "separators" else compact,
        _identifiers(hospital),
        _precise_birth if hospital.habit("birth") == "precision" else _birth,
        _LETTERS if hospital.habit("sex") == "letters" else _DIGITS,
        _CODES[hospital.habit("codes")],
        str if hospital.habit("structure") == "absent" else _with_structure,
        hospital.habit("procedures") == "A03",
        "" if hospital.habit("style") == "traced" else "NSTS01",
        _substitute if hospital.habit("event") == "Sub" else str,
        _TAILS[hospital.habit("tail")],
        xml.written if hospital.habit("encoding") == "xml" else _piped,
    )


def compact(at: datetime) -> str:
    """Write a time as UK senders do: to the minute, without a zone, London time."""
    return f"{at.year:04d}{at.month:02d}{at.day:02d}{at.hour:02d}{at.minute:02d}"


def separated(at: datetime) -> str:
    """Write a time with separators, as one EPR was seen to do in MSH-7 and EVN-2."""
    return f"{at.year:04d}-{at.month:02d}-{at.day:02d} {at.hour:02d}:{at.minute:02d}:00"


def escape(text: str) -> str:
    """Escape the separators of HL7 v2 in a text."""
    return _UNESCAPED.sub(lambda found: _ESCAPES[found[0]], text)


def _birth(at: datetime) -> str:
    return f"{at.year:04d}{at.month:02d}{at.day:02d}"


def _precise_birth(at: datetime) -> str:
    return f"{_birth(at)}+^D"


def _substitute(_: str) -> str:
    """Write `Sub` in EVN-1, as one interface engine was seen to do."""
    return "Sub"


def _plain(_: str) -> str:
    return "||||GBR|UNICODE UTF-8"


def _itk(now: str) -> str:
    """Write MSH-13 to MSH-21 as ITK samples do: 0, the time again where a pointer belongs."""
    return f"0|{now}|||GBR|UNICODE|EN||iTKv1.0"


def _enhanced(_: str) -> str:
    """Ask in MSH-15 and MSH-16 for an answer at receipt, and another when it is worked."""
    return "||AL|AL|GBR|UNICODE UTF-8"


_TAILS: dict[str, Callable[[str], str]] = {"": _plain, "ITK": _itk, "enhanced": _enhanced}


def _piped(segments: list[str]) -> bytes:
    """Write segments, each ended by CR, in UTF-8."""
    return ("\r".join(segments) + "\r").encode()


def _with_structure(message_type: str) -> str:
    return f"{message_type}^{_STRUCTURES[message_type]}"


def _dotted(code: str) -> str:
    return code


def _dotless(code: str) -> str:
    return code.replace(".", "")


def _padded(code: str) -> str:
    return f"{code}X" if len(code) == _THREE_CHARACTERS else code


_CODES: dict[str, Callable[[str], str]] = {"": _dotted, "dotless": _dotless, "padded": _padded}


def _identifiers(hospital: Hospital) -> Callable[[Person], tuple[str, str, str]]:
    """Return what writes PID-2, 3 and 4; a child without a number has its hospital number only."""
    ods, authority = hospital.ods, hospital.habit("number").replace("/", "^")
    spelled, place = hospital.habit("style"), hospital.habit("place")

    def write(person: Person) -> tuple[str, str, str]:
        local = f"{person.mrn}^^^{ods}^MR"
        number = person.number
        if not number:
            return "", local, ""
        if place == "PID-2":
            return number, local, ""
        if place == "PID-4":
            return "", local, f"{number}^^^{authority}"
        if spelled == "traced":
            return "", f"{number}^06^^^NI~{local}", ""
        if spelled == "spaced":
            number = f"{number[:3]} {number[3:6]} {number[6:]}"
        return "", f"{number}^^^{authority}~{local}", ""

    return write
