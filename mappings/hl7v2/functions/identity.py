"""Whose message and whose patient: the sender, and CX to the identifiers that name a child.

Senders type NHS numbers as `NHS`, `NH`, `NI` or not at all, and space them; the check digit decides,
never the type alone. Kinds of number: `namingsystems.csv`; how each is written: `identifiers.csv`.
"""

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

from mappings.hl7v2 import timestamps
from mappings.hl7v2.elements import Slot
from mappings.hl7v2.errors import DATA_TYPE, DUPLICATE_KEY, REQUIRED, TABLE_VALUE
from mappings.hl7v2.parse import Repetition
from mappings.hl7v2.scope import Compute, Here
from mappings.hl7v2.tables import authorities, kinds, local_system
from r4.json import Resource
from terminology import nhs_number, systems

NATIONAL = ("nhs", "chi")
_VERIFICATION = (
    "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NHSNumberVerificationStatus"
)
_ODS = re.compile(r"(?:R[A-Z0-9]{2}(?:[A-Z0-9]{2})?|[A-Z]\d{3}[A-Z])\Z", re.ASCII)
_UNESCAPED = str.maketrans({character: f"\\{character}" for character in "\\|,$"})
_PLAIN = re.compile(r"[A-Za-z0-9_.~:/|-]+", re.ASCII)
"""What nearly every token is: text of which nothing has to be encoded."""
_NAMES = {"nhs": "NHS number", "chi": "CHI number"}

OWN = 2
"""The rank of the sender's own hospital number; the ranks before it are those of national numbers."""

UNUSABLE = 4
"""The rank of an identifier by which no child can be known (an account, a passport)."""


def sending_organization(here: Here) -> Resource:
    """Return a Reference to the organisation with the ODS code in MSH-4, which must be known."""
    found = {"system": systems.ODS_ORGANIZATION, "value": here.run.sender}
    return {"reference": f"Organization?{search(found)}"}


def message_source(here: Here) -> Resource:
    """Return the identifier of the message: sender and control id."""
    value = f"{here.run.sender}:{here.run.message.header.control_id}"
    return {"identifier": {"system": systems.MESSAGE, "value": value}}


def recorded(here: Here) -> str | None:
    """Return the time of the message (MSH-7), or of its receipt where it gives none."""
    here.at(7)
    text = here.value("MSH", 7)
    if not text:
        if here.run.context.now is None:
            here.fail(REQUIRED, "MSH-7, the time of the message, is missing.")
        return here.run.context.now
    moment = timestamps.date_time(text)
    if moment is None or "T" not in moment:
        here.fail(DATA_TYPE, f"MSH-7 `{text}` is not a date and time.")
        return None
    return moment


def patient_identifiers(here: Here) -> list[Resource]:
    """Return the identifiers of PID-3, PID-2 and PID-4, the one that names the child best first.

    The child may be known by any of them: a newborn has a hospital number before an NHS number.
    """
    found = identifiers_of(here, (3, 2, 4))
    if not _matched(found, here) and not here.run.issues:
        here.at(3).fail(REQUIRED, "PID-3 has no usable identifier: no NHS, CHI or hospital number.")
    return found


def prior_identifiers(here: Here) -> list[Resource]:
    """Return the identifiers of MRG-1 and MRG-4; the survivor is known by the others of PID-3."""
    found = identifiers_of(here, (1, 4))
    here.at(1)
    if not _matched(found, here) and not here.run.issues:
        here.fail(REQUIRED, "MRG-1 has no usable identifier: no NHS, CHI or hospital number.")
    patient = here.scope.slot("Patient[1]")
    if patient is not None and patient.matches:
        _leave_out(patient, {_key(one) for one in found})
        if not patient.matches:
            text = "MRG-1 names every identifier of PID-3: nothing can be merged."
            here.fail(DUPLICATE_KEY, text)
    return found


def _matched(found: list[Resource], here: Here) -> bool:
    """Let the resource be found by each of its identifiers that names a child, if there is any."""
    named = usable(found, here)
    if here.slot is not None:
        here.slot.matches = named
    return bool(named)


def usable(found: list[Resource], here: Here) -> list[Resource]:
    """Return the identifiers by which a child can be known."""
    return [one for one in found if rank(one, here) < UNUSABLE]


def _leave_out(survivor: Slot, prior: set[tuple[str, str]]) -> None:
    """Leave the prior record its numbers: on the survivor too, they would name two records."""
    survivor.matches = [one for one in survivor.matches if _key(one) not in prior]
    listed = survivor.resource["identifier"]
    survivor.resource["identifier"] = [one for one in listed if _key(one) not in prior]


def identifiers_of(here: Here, fields: tuple[int, ...]) -> list[Resource]:
    """Return the identifiers in fields of the segment, each once, the one that names best first."""
    found: dict[tuple[str, str], Resource] = {}
    for number in fields:
        field = here.segment.field(number)
        for repetition, value in enumerate(field.repetitions, start=1):
            one = identifier(value, here.at(number, repetition))
            if one is not None:
                found.setdefault(_key(one), one)
    return sorted(found.values(), key=lambda one: rank(one, here))


def _key(found: Resource) -> tuple[str, str]:
    return found["system"], found["value"]


def kind_of(value: Repetition, here: Here) -> str:
    """Return the kind of a number: nhs, chi, mrn … or an authority's or type's own name."""
    authority, type_code = value.component(4).upper(), value.component(5).upper()
    if not authority and not type_code:
        return here.run.site.authorities.get(f"{here.segment.name}-{here.field}", "mrn")
    table = authorities()
    for key in ((authority, type_code), (authority, "*"), ("*", type_code)):
        if key in table:
            return table[key]
    return type_code.lower()


def identifier(value: Repetition, here: Here) -> Resource | None:
    """Return the Identifier of a CX; a national number that fails its check digit is reported."""
    number = value.component(1)
    if not number:
        return None
    kind = kind_of(value, here)
    if kind in NATIONAL:
        return _national(kind, number, value, here)
    style = kinds().get(kind)
    system = _local_system(kind, value, here)
    return _styled(style, {"system": system, "value": number})


def _national(kind: str, number: str, value: Repetition, here: Here) -> Resource | None:
    digits = re.sub(r"[ -]", "", number)
    if not nhs_number.is_valid(digits):
        here.fail(TABLE_VALUE, f"Invalid {_NAMES[kind]}: the check digit does not agree.")
        return None
    style = kinds()[kind]
    found = _styled(style, {"system": style["System"], "value": digits})
    status = _verification(value, here) if kind == "nhs" else None
    return {"extension": [status], **found} if status else found


def _verification(value: Repetition, here: Here) -> Resource | None:
    """Return the trace status, from PID-32 or from CX.2, where some senders put it."""
    for code in (here.value("PID", 32), value.component(2)):
        coding = here.translate("NHSNumberStatus", code) if code else None
        if coding is not None:
            return {"url": _VERIFICATION, "valueCodeableConcept": {"coding": [coding]}}
    return None


def _local_system(kind: str, value: Repetition, here: Here) -> str:
    """Name the giver: an ODS code in CX.4, else the sender, who may have several authorities."""
    authority = value.component(4)
    if not authority or authority == here.run.sender:
        return here.local(kind or "mrn")
    if _ODS.match(authority):
        return local_system(authority, kind or "mrn")
    return here.local(f"{kind or 'mrn'}.{authority}")


def _styled(style: dict[str, str] | None, found: Resource) -> Resource:
    if style is None:
        return found
    head: Resource = {"use": style["Use"]} if style["Use"] else {}
    if style["Type"]:
        type_system = "http://terminology.hl7.org/CodeSystem/v2-0203"
        head["type"] = {"coding": [{"system": type_system, "code": style["Type"]}]}
    return {**head, **found}


def search(*found: Resource) -> str:
    """Return the search for any of these identifiers, escaped and encoded; "" for none.

    https://hl7.org/fhir/R4/search.html#escaping
    """
    tokens = (
        "|".join(one[key].translate(_UNESCAPED) for key in ("system", "value")) for one in found
    )
    joined = ",".join(
        token if _PLAIN.fullmatch(token) else quote(token, safe=":/|") for token in tokens
    )
    return f"identifier={joined}" if joined else ""


def rank(found: Resource, here: Here) -> int:
    """Order identifiers by how well they name a child: NHS, CHI, the sender's number, another's."""
    order = [kinds()["nhs"]["System"], kinds()["chi"]["System"], here.local("mrn")]
    if found["system"] in order:
        return order.index(found["system"])
    last = str(found["system"]).rpartition("/")[2]
    return 3 if last == "mrn" or last.startswith("mrn.") else UNUSABLE


def case_child(found: Resource) -> str:
    """Return how a case names its child: by a national number, or by giver and hospital number."""
    system, value = str(found["system"]), str(found["value"])
    if system in {kinds()[kind]["System"] for kind in NATIONAL}:
        return value
    giver, kind = (unquote(part) for part in system.split("/")[-2:])
    return f"{giver}{kind.removeprefix('mrn')}:{value}"


def known_as(here: Here, system: str, values: Iterable[str]) -> Resource:
    """Return the identifier of the first value, and let the resource be found by each of them."""
    found = [{"system": system, "value": value} for value in dict.fromkeys(values)]
    if here.slot is not None:
        here.slot.matches = found
    return found[0]


def children(here: Here) -> list[Resource]:
    """Return the identifiers by which the child may be known, the best first."""
    patient = here.scope.slot("Patient[1]")
    return patient.matches if patient else []


def patient_values(here: Here) -> list[str]:
    """Return the best number, then the other ones that no other hospital can have given."""
    best, *rest = children(here) or [{"value": ""}]
    own = (one for one in rest if rank(one, here) <= OWN)
    return [str(one["value"]) for one in (best, *own)]


def message_key(here: Here) -> str:
    """Return what stands for an order that has no number: the message and the child."""
    return f"{here.run.message.header.control_id}.{patient_values(here)[0]}"


NAMED: tuple[Compute, ...] = (
    message_source,
    patient_identifiers,
    prior_identifiers,
    recorded,
    sending_organization,
)
