"""Orders: which one a message is about, how far it has come, and why it was asked for.

HL7 v2.5 chapters 4.5.1 (ORC) and 4.5.3 (OBR). An order is known by its placer's or its filler's number,
so that a cancellation, or the filler's answer, reaches what the placer sent.
"""

from mappings.hl7v2.datatypes import cwe, moment
from mappings.hl7v2.errors import (
    DUPLICATE_KEY,
    REQUIRED,
    TABLE_VALUE,
    UNSUPPORTED_MESSAGE,
)
from mappings.hl7v2.functions.numbers import half, order_numbers
from mappings.hl7v2.scope import Compute, Here
from r4.json import Resource

_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
_NEW = ("NW", "RO", "SN")
_OTHER_ORDERS = {
    "RXO": "drugs",
    "RQD": "supplies",
    "RQ1": "supplies",
    "ODS": "diets",
    "ODT": "diets",
}
_LEGACY_TIMING = (("OBR", 27), ("ORC", 7))


def order_identifiers(here: Here) -> list[Resource]:
    """Return the placer's and the filler's number; refuse an order without, and one that is twice."""
    _refuse_other_orders(here)
    found = order_numbers(here)
    if here.slot is not None:
        here.slot.matches = found
    if not found:
        here.at(2).fail(REQUIRED, "An order needs a number: ORC-2 or ORC-3, or OBR-2 or OBR-3.")
    for one in found:
        if here.run.occurrence(f"order {one['system']}|{one['value']}") > 1:
            text = f"Two orders of the message have the number `{one['value']}`."
            here.at(2).fail(DUPLICATE_KEY, text)
    return found


def _refuse_other_orders(here: Here) -> None:
    for name, what in _OTHER_ORDERS.items():
        if here.find(name) is not None:
            text = f"Orders of {what} ({name}) are not supported: send orders with OBR."
            here.fail(UNSUPPORTED_MESSAGE, text)
            return


def order_status(here: Here) -> str | None:
    """Return the status of ORC-5, else what ORC-1 makes of it; refuse a control that says neither.

    A status that nobody stated would take the place of the one that is known.
    """
    for vocabulary, number in (("OrderStatus", 5), ("OrderControl", 1)):
        code = here.segment.value(number)
        coding = here.translate(vocabulary, code.upper()) if code else None
        if coding is not None:
            return str(coding["code"])
    control, status = here.segment.value(1), here.segment.value(5)
    if not control and not status:
        here.at(1).fail(REQUIRED, "ORC-1, the order control, is missing, and so is ORC-5.")
        return None
    text = f"Neither ORC-1 `{control}` nor ORC-5 `{status}` says how far the order has come."
    here.at(5 if status else 1).fail(TABLE_VALUE, text)
    return None


def is_new_order(here: Here) -> bool:
    """Tell whether ORC-9 is when the order was written, not when it was changed."""
    return here.segment.value(1).upper() in _NEW


def order_group(here: Here) -> Resource | None:
    """Return the placer's group number, ORC-4: what was asked for together."""
    field = here.segment.field(4)
    one = half(field.repetitions[0], 1, "order-group", here) if field.value else None
    return {"type": {"coding": [{"system": _TYPES, "code": "PGN"}]}, **one} if one else None


def order_intent(here: Here) -> str:
    """Return `reflex-order` where OBR-11 says that a result asked for it, else `order`."""
    return "reflex-order" if here.value("OBR", 11) == "G" else "order"


def order_priority(here: Here) -> str | None:
    """Return the priority of OBR-5, else of the sixth component of OBR-27 or ORC-7."""
    return _priority(here.value("OBR", 5), here) or _priority(_timing(here, 6), here)


def timing_priority(here: Here) -> str | None:
    """Return the priority of TQ1-9; None where FHIR has no such priority."""
    return _priority(here.segment.value(9), here)


def _priority(code: str, here: Here) -> str | None:
    coding = here.translate("OrderPriority", code.upper()) if code else None
    return str(coding["code"]) if coding else None


def order_occurrence(here: Here) -> str | None:
    """Return when it is to be done: OBR-36, OBR-6, or the fourth component of OBR-27 or ORC-7."""
    text = here.value("OBR", 36) or here.value("OBR", 6) or _timing(here, 4)
    return moment(text, here)


def _timing(here: Here, component: int) -> str:
    """Return a component of the quantity and timing that version 2.5 moved into TQ1."""
    for name, number in _LEGACY_TIMING:
        segment = here.find(name)
        if segment is not None and (text := segment.field(number).component(component)):
            return text
    return ""


def clinical_information(here: Here) -> list[Resource]:
    """Return OBR-13 as notes: its text, else its code."""
    repetitions = here.segment.field(13).repetitions
    texts = (
        value.component(2) or value.component(9) or value.component(1) for value in repetitions
    )
    return [{"text": text} for text in texts if text]


def diagnosis_reason(here: Here) -> Resource | None:
    """Return DG1-3, else the text of DG1-4, as a reason to ask for something."""
    field = here.at(3).segment.field(3)
    found = cwe(field.repetitions[0], here) if field else None
    text = here.segment.value(4)
    return found or ({"text": text} if text else None)


NAMED: tuple[Compute, ...] = (
    clinical_information,
    diagnosis_reason,
    is_new_order,
    order_group,
    order_identifiers,
    order_intent,
    order_occurrence,
    order_priority,
    order_status,
    timing_priority,
)
