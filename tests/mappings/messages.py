"""Messages for the tests of the HL7 v2 mapping: one admission, changed segment by segment."""

import pytest
from hypothesis import strategies as st

from mappings.hl7v2 import MappingContext, parse, to_bundle
from r4.issue import FhirError
from terminology import Terminology

TERMINOLOGY = Terminology.load()
CONTEXT = MappingContext(TERMINOLOGY)

SEGMENTS = {
    "MSH": "MSH|^~\\&|EPR|RTH|CSOR|CSOR|202505060930||ADT^A01^ADT_A01|M1|P|2.4",
    "EVN": "EVN|A01|202505060930",
    "PID": "PID|1||9990000018^^^NHS~12345^^^RTH^MR||Testchild^Ann||20250430|2",
    "PV1": "PV1|1|I|NEO^B1^C3|28|||||||||||||||V1|||||||||||||||||||||||||202505060915",
}


def mapped(**changed: str) -> dict:
    """Map an admission in which single segments are changed, added, or (empty) left out."""
    lines = [line for line in (SEGMENTS | changed).values() if line]
    return to_bundle(parse("\r".join(lines).encode()), CONTEXT)


FIELD = st.text(st.sampled_from('^^^~&\\"|0123456789ANHSR.:+- é'), max_size=24)


def damaged(raw: bytes, data: st.DataObject) -> bytes:
    """Draw a message in which a few fields are replaced by anything."""
    lines = raw.decode().rstrip("\r").split("\r")
    for _ in range(data.draw(st.integers(1, 4))):
        row = data.draw(st.integers(0, len(lines) - 1))
        fields = lines[row].split("|")
        column = data.draw(st.integers(2 if row == 0 else 1, len(fields) + 1))
        fields += [""] * (column - len(fields) + 1)
        fields[column] = data.draw(FIELD)
        lines[row] = "|".join(fields)
    return "\r".join(lines).encode()


def refused(**changed: str) -> tuple[FhirError, tuple[str | None, str | None]]:
    with pytest.raises(FhirError) as error:
        mapped(**changed)
    first = error.value.issues[0]
    return error.value, (first.rule, first.expression)


def entries(bundle: dict, resource_type: str) -> list[dict]:
    return [e for e in bundle["entry"] if e["resource"]["resourceType"] == resource_type]


def one(bundle: dict, resource_type: str) -> dict:
    (entry,) = entries(bundle, resource_type)
    return entry["resource"]


def deletions(entry: dict) -> list[str]:
    found = entry["request"]["extension"]
    return [e["valueString"] for e in found if e["url"].endswith("/merge-delete")]
