"""CDA's data types as FHIR's: II, CD, TS, IVL_TS, PQ, PN.

https://hl7.org/fhir/us/ccda/; HL7 v3 data types, XML ITS R1.
"""

import re
from decimal import Decimal
from typing import Any

from mappings.cda.tables import uri
from mappings.hl7v2 import timestamps
from r4.json import Resource
from terminology import systems

V3 = "{urn:hl7-org:v3}"
_URIS = "urn:ietf:rfc:3986"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.ASCII)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?\Z", re.ASCII)
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+\Z", re.ASCII)


def path(node: Any, *names: str) -> list[Any]:
    """List the elements that a path of CDA names leads to."""
    return list(node.findall("/".join(V3 + name for name in names)))


def first(node: Any, *names: str) -> Any:
    """Return the first of them, or None."""
    return node.find("/".join(V3 + name for name in names))


def text(node: Any) -> str:
    """Return what an element says in words, on one line; "" for None."""
    return "" if node is None else " ".join("".join(node.itertext("*")).split())


def identifier(ii: Any) -> Resource | None:
    """Return an II as an Identifier, or as a URI where its root says all; None for what is neither."""
    if ii is None:
        return None
    extension = " ".join(ii.get("extension", "").split())
    root = ii.get("root", "").strip().lower()
    if not (_OID.match(root) or _UUID.match(root)):
        return None
    place = f"urn:uuid:{root}" if _UUID.match(root) else uri(root)
    if extension:
        return {"system": place, "value": extension}
    return {"system": _URIS, "value": place if _UUID.match(root) else f"urn:oid:{root}"}


def concept(code: Any) -> Resource | None:
    """Return a CD as a CodeableConcept with its translations; None where it says nothing."""
    if code is None:
        return None
    listed = [code, *path(code, "translation")]
    codings = [
        {"system": uri(each.get("codeSystem").strip()), "code": " ".join(each.get("code").split())}
        for each in listed
        if each.get("code", "").strip() and _OID.match(each.get("codeSystem", "").strip())
    ]
    words = text(first(code, "originalText")) or " ".join(code.get("displayName", "").split())
    found: Resource = {"coding": codings} if codings else {}
    if words:
        found["text"] = words
    return found or None


def moment(ts: Any) -> str | None:
    """Return a TS as a dateTime, without an offset as London time; None where it is none."""
    value = "" if ts is None else (ts.get("value") or "").strip()
    return timestamps.date_time(value) if value else None


def period(ivl: Any) -> Resource:
    """Return an IVL_TS as a Period; a single value is its start."""
    if ivl is None:
        return {}
    start = moment(first(ivl, "low")) or moment(ivl)
    ends = {"start": start, "end": moment(first(ivl, "high"))}
    return {name: value for name, value in ends.items() if value}


def quantity(pq: Any) -> Resource | None:
    """Return a PQ as a Quantity in UCUM; None where it is no number."""
    value, unit = pq.get("value", "").strip(), pq.get("unit", "").strip() or "1"
    if not _NUMBER.match(value):
        return None
    return {"value": Decimal(value), "unit": unit, "system": systems.UCUM, "code": unit}


def name(pn: Any) -> Resource | None:
    """Return a PN as a HumanName; None where it is empty."""
    if pn is None:
        return None
    found: Resource = {}
    if family := " ".join(filter(None, map(text, path(pn, "family")))):
        found["family"] = family
    for part in ("given", "prefix", "suffix"):
        if values := [said for each in path(pn, part) if (said := text(each))]:
            found[part] = values
    if not found and (words := text(pn)):
        found["text"] = words
    return found or None


def display(found: Resource | None) -> str:
    """Write a HumanName on one line; "" for None."""
    if found is None:
        return ""
    parts = [*found.get("prefix", []), *found.get("given", []), found.get("family", "")]
    return found.get("text") or " ".join(filter(None, parts))
