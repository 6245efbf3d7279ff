"""CX to Identifier: whose number it is, and whether it can be true.

Senders type NHS numbers as `NHS`, `NH`, `NI` or not at all, and space them; the check digit decides,
never the type alone. Kinds of number: `namingsystems.csv`; how each is written: `identifiers.csv`.
"""

import re
from urllib.parse import quote, unquote

from mappings.hl7v2.errors import TABLE_VALUE
from mappings.hl7v2.parse import Repetition
from mappings.hl7v2.scope import Here
from mappings.hl7v2.tables import authorities, kinds, local_system
from r4.json import Resource
from terminology import nhs_number

NATIONAL = ("nhs", "chi")
_VERIFICATION = (
    "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NHSNumberVerificationStatus"
)
_ODS = re.compile(r"(?:R[A-Z0-9]{2}(?:[A-Z0-9]{2})?|[A-Z]\d{3}[A-Z])\Z", re.ASCII)
_UNESCAPED = str.maketrans({character: f"\\{character}" for character in "\\|,$"})
_NAMES = {"nhs": "NHS number", "chi": "CHI number"}


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
    joined = ",".join(quote(token, safe=":/|") for token in tokens)
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


OWN = 2
"""The rank of the sender's own hospital number; the ranks before it are those of national numbers."""

UNUSABLE = 4
"""The rank of an identifier by which no child can be known (an account, a passport)."""
