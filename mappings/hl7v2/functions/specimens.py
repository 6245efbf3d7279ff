"""Specimens: SPM from version 2.5 on, and what OBR says of one before that.

HL7 v2.5 chapter 7.4.3 (SPM), v2.4 chapter 7.4.1.15 (OBR-15).
"""

from mappings.hl7v2.codes import coding_system
from mappings.hl7v2.datatypes import moment, period
from mappings.hl7v2.functions.identity import message_key
from mappings.hl7v2.functions.numbers import entity, half, order_numbers
from mappings.hl7v2.scope import Compute, Here
from r4.json import Resource

_HALVES = ((1, "placer-specimen"), (2, "filler-specimen"))


def specimen_identifiers(here: Here) -> list[Resource]:
    """Return SPM-2, the placer's number and the filler's, and SPM-31; else order and set id."""
    field = here.segment.field(2)
    found = [
        one
        for component, kind in _HALVES
        if field.value or field.component(2)
        if (one := half(field.repetitions[0], component, kind, here)) is not None
    ]
    found = found or [_of_order(here, here.segment.value(1) or "1")]
    if here.slot is not None:
        here.slot.matches = found
    others = (entity(value, "specimen", here) for value in here.segment.field(31).repetitions)
    return [*found, *(one for one in others if one is not None)]


def order_specimen_identifier(here: Here) -> Resource:
    """Return the number of the specimen that an OBR describes: the order's own."""
    return _of_order(here, "")


def _of_order(here: Here, set_id: str) -> Resource:
    numbers = order_numbers(here)
    order = str(numbers[0]["value"]) if numbers else message_key(here)
    key = f"{order}.{set_id}" if set_id else order
    return {"system": here.local("specimen"), "value": key}


def accession(here: Here) -> Resource | None:
    """Return SPM-30, the number under which the laboratory took the specimen in."""
    field = here.segment.field(30)
    return entity(field.repetitions[0], "accession", here) if field.value else None


def describes_specimen(here: Here) -> bool:
    """Tell whether an OBR says what the specimen is (OBR-15), as SPM does from version 2.5 on."""
    source = here.segment.field(15)
    said = any(source.component(part) for part in (1, 3, 4))
    return said and not here.run.message.segments("SPM")


def specimen_type(here: Here) -> Resource | None:
    """Return OBR-15.1, a code in subcomponents or a name."""
    return _concept(1, here)


def specimen_site(here: Here) -> Resource | None:
    """Return OBR-15.4, the site of the body."""
    return _concept(4, here)


def specimen_description(here: Here) -> Resource | None:
    """Return OBR-15.3, what a person wrote about the specimen."""
    text = here.segment.field(15).component(3)
    return {"text": text} if text else None


def _concept(component: int, here: Here) -> Resource | None:
    value = here.segment.field(15).repetitions[0]
    code, text, system = (value.subcomponent(component, part) for part in (1, 2, 3))
    if not code:
        return {"text": text} if text else None
    uri, tidy = coding_system(system, here)
    coding = {"system": uri} if uri else {}
    coding |= {"code": " ".join((tidy(code) if tidy else code).split())}
    return {"coding": [coding | ({"display": text} if text else {})], "text": text or code}


def collected_time(here: Here) -> str | None:
    """Return when the specimen was taken, where no end makes it a period: SPM-17.1, OBR-7."""
    return None if _text(here, end=True) else moment(_text(here, end=False), here)


def collected_period(here: Here) -> Resource | None:
    """Return when the specimen was taken, from and to: SPM-17, OBR-7 and 8."""
    if not _text(here, end=True):
        return None
    start, end = (moment(_text(here, end=end), here) for end in (False, True))
    return period(start, end, here, "The taking of the specimen ends before it begins.")


def _text(here: Here, *, end: bool) -> str:
    if here.segment.name == "OBR":
        return here.segment.value(8 if end else 7)
    return here.segment.field(17).component(2 if end else 1)


def description(here: Here) -> Resource | None:
    """Return SPM-14 as a note."""
    text = here.segment.value(14)
    return {"text": text} if text else None


NAMED: tuple[Compute, ...] = (
    accession,
    collected_period,
    collected_time,
    describes_specimen,
    description,
    order_specimen_identifier,
    specimen_description,
    specimen_identifiers,
    specimen_site,
    specimen_type,
)
