"""The tables of the CDA mapping as values, read once: sections, types of document, OIDs."""

import csv
from functools import cache
from importlib.resources import files

Row = dict[str, str]


def rows(name: str) -> list[Row]:
    """Read a table with one row of headings ("sections.csv"), blanks as ""."""
    text = (files("mappings.cda") / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), strict=True))


@cache
def sections() -> dict[str, Row]:
    """Map the LOINC code of a section to its row."""
    return {row["Code"]: row for row in rows("sections.csv")}


@cache
def types() -> frozenset[str]:
    """List the LOINC codes of documents that are operative notes."""
    return frozenset(row["Code"] for row in rows("types.csv"))


@cache
def _systems() -> dict[str, Row]:
    return {row["OID"]: row for row in rows("systems.csv")}


def uri(oid: str) -> str:
    """Return the canonical URI of an OID; of one that has none here, `urn:oid:…`."""
    row = _systems().get(oid)
    return row["URI"] if row else f"urn:oid:{oid}"


def kind(oid: str) -> str:
    """Return what an OID numbers: nhs, chi, ods, gmc, code; "" for what is not listed."""
    row = _systems().get(oid)
    return row["Kind"] if row else ""
