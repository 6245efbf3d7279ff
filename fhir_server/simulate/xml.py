"""Segments as v2.xml, which UK ITK allows beside the pipes.

HL7 v2 XML encoding syntax: segments hold fields (`PID.3`), fields the components of their data type
(`CX.4`). Groups are left out: one who writes has them all, one who reads needs none of them.
"""

import re
from xml.sax.saxutils import escape

NAMESPACE = "urn:hl7-org:v2xml"
_ESCAPED = re.compile(r"\\([EFSTR])\\")
_CHARACTERS = {"E": "\\", "F": "|", "S": "^", "T": "&", "R": "~"}
_COMPOSED = {
    "CE": "AIS-3 DG1-3 OBR-4 OBX-3 PR1-3 SCH-6",
    "CX": "MRG-1 MRG-4 MRG-5 PID-2 PID-3 PID-4 PV1-19",
    "EI": "OBR-2 ORC-2 SCH-1 SCH-2 TXA-12 TXA-13",
    "HD": "MSH-3 MSH-4 MSH-5 MSH-6",
    "MSG": "MSH-9",
    "PL": "PV1-3 PV1-6 PV1-42",
    "TS": "DG1-5 EVN-2 MSH-7 OBR-7 OBR-22 PID-7 PID-29 PR1-5 PV1-44 PV1-45 TXA-4 TXA-6",
    "TQ": "SCH-11",
    "VID": "MSH-12",
    "XAD": "PID-11",
    "XCN": "AIP-3 PR1-11 PV1-7 TXA-5 TXA-9 TXA-10",
    "XPN": "NK1-2 PID-5",
}
_TYPES = {place: name for name, places in _COMPOSED.items() for place in places.split()}


def written(segments: list[str]) -> bytes:
    """Write a message, given in pipes, as XML in UTF-8; its root is MSH-9.3, else MSH-9.1 and 2."""
    kind = segments[0].split("|")[8].split("^")
    root = kind[2] if len(kind) > 2 else "_".join(kind)  # noqa: PLR2004
    inner = "".join(_segment(each.split("|")) for each in segments)
    return f'<?xml version="1.0" encoding="UTF-8"?><{root} xmlns="{NAMESPACE}">{inner}</{root}>'.encode()


def _segment(fields: list[str]) -> str:
    name = fields[0]
    if name == "MSH":
        numbered = [(number, value) for number, value in enumerate(fields[2:], start=3)]
        first = f"<MSH.1>|</MSH.1><MSH.2>{escape(fields[1])}</MSH.2>"
    else:
        numbered, first = list(enumerate(fields))[1:], ""
    value_type = fields[2] if name == "OBX" else ""
    rest = "".join(
        f"<{name}.{number}>{_content(_type(name, number, value_type), value)}</{name}.{number}>"
        for number, field in numbered
        for value in field.split("~")
        if value
    )
    return f"<{name}>{first}{rest}</{name}>"


def _type(name: str, number: int, value_type: str) -> str:
    """Return the data type of a field that has components, else an empty text."""
    if (name, number) == ("OBX", 5):
        return value_type if value_type in ("CE", "ED") else ""
    return _TYPES.get(f"{name}-{number}", "")


def _content(kind: str, value: str) -> str:
    if not kind:
        return _text(value)
    parts = enumerate(value.split("^"), start=1)
    return "".join(f"<{kind}.{at}>{_text(part)}</{kind}.{at}>" for at, part in parts if part)


def _text(value: str) -> str:
    return escape(_ESCAPED.sub(lambda found: _CHARACTERS[found[1]], value))
