"""What follows an operation on paper: the letter (MDM T02, as text or PDF), the bill (BAR P05, DFT P03).

Drawn and numbered apart from all other messages, so that adding them changes none of those. HL7 v2.4
chapters 6 and 9; the PDF is a true one of a page (ISO 32000-1).
"""

import base64
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from random import Random

from fhir_server.simulate import tables
from fhir_server.simulate.events import Event, Spell
from fhir_server.simulate.hl7v2 import coded, doctor, procedures, visit, written
from fhir_server.simulate.sending import Sending
from fhir_server.simulate.style import Style, compact, escape, style
from fhir_server.simulate.tables import Hospital

Papers = Callable[[Event], Iterator[Sending]]

_BILLS = {"BAR": "BAR^P05", "DFT": "DFT^P03"}
_NO_BASE64 = "*"


def papers(hospital: Hospital, seed: int) -> Papers:
    """Return what yields a hospital's letter and bill once a child that was operated on goes home.

    Some letters are followed by one whose PDF is no Base64, which must be refused.
    """
    habits = style(replace(hospital, habits={**hospital.habits, **hospital.further}))
    random, numbers = Random(f"{seed}:{hospital.ods}:papers"), count(1)
    how, bill = hospital.further.get("letter"), hospital.further.get("bill")
    faulty = tables.benchmarks()["any"]["faulty"]

    def sending(event: Event, kind: str, body: list[str], *, wrong: bool = False) -> Sending:
        message_id = f"{hospital.ods}-{seed}-D{next(numbers):06d}"
        raw = written(habits, event, kind, message_id, body)
        return Sending("mllp", hospital.ods, kind, raw, message_id, faulty=wrong)

    def write(event: Event) -> Iterator[Sending]:
        spell = event.spell
        if event.kind != "discharge" or spell is None or not event.operations:
            return
        if how:
            yield sending(event, "MDM^T02", _letter(habits, event, spell, how))
            if random.random() < faulty:
                broken = _letter(habits, event, spell, "pdf", spoilt=True)
                yield sending(event, "MDM^T02", broken, wrong=True)
        if bill:
            yield sending(event, _BILLS[bill], _bill(habits, event, spell, bill))

    return write


def _letter(
    habits: Style, event: Event, spell: Spell, how: str, *, spoilt: bool = False
) -> list[str]:
    first, surgeon = event.operations[0], doctor(event.surgeon)
    fields = {
        1: "1",
        2: "OP",
        3: "TX",
        4: compact(first.at),
        5: surgeon,
        6: compact(event.at),
        9: surgeon,
        10: surgeon,
        12: f"{spell.number}-OP",
        17: "AU",
        19: "AV",
        25: "Operation note",
    }
    header = "|".join(["TXA", *(fields.get(number, "") for number in range(1, 26))])
    lines = [
        f"{compact(each.at)} {each.code.code} {each.code.title}, {each.minutes} minutes"
        for each in event.operations
    ]
    what = "OP^Operation note^L"
    if how == "text":
        texts = [
            f"OBX|{place}|TX|{what}||{escape(line)}||||||F" for place, line in enumerate(lines, 1)
        ]
        return [visit(habits, event, spell), header, *texts]
    data = base64.b64encode(pdf(lines)).decode()
    shown = _NO_BASE64 + data[1:] if spoilt else data
    content = f"OBX|1|ED|{what}||EPR^AP^PDF^Base64^{shown}||||||F"
    return [visit(habits, event, spell), header, content]


def _bill(habits: Style, event: Event, spell: Spell, bill: str) -> list[str]:
    operated = procedures(habits, event.surgeon, event.operations)
    diagnosed = f"DG1|1||{coded(habits, event.diagnosis, 'I10')}||{compact(event.at)}|F"
    stay = visit(habits, event, spell)
    if bill == "BAR":
        return [stay, diagnosed, *operated, "IN1|1|NHS|NHS"]
    charged: list[str] = []
    for place, (each, line) in enumerate(zip(event.operations, operated, strict=True), 1):
        charge = f"FT1|{place}|||{compact(each.at)}||CG|THEATRE^Theatre^L|||{each.minutes}"
        charged += [charge, line]
    return [stay, *charged, diagnosed]


def pdf(lines: list[str]) -> bytes:
    """Write a PDF of one page: 12-point lines from the top, plain letters only."""
    shown = [line.encode("ascii", "replace").translate(_BRACKETS) for line in lines]
    stream = b"BT /F1 12 Tf 14 TL 72 770 Td " + b" ".join(b"(%s) Tj T*" % each for each in shown)
    stream += b" ET"
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    made, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    rows = b"".join(b"%010d 00000 n \n" % place for place in places)
    return made + (
        b"xref\n0 6\n0000000000 65535 f \n%strailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (rows, len(made))
    )


_BRACKETS = bytes.maketrans(b"()\\", b"[]/")
