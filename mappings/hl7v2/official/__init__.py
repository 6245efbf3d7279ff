"""HL7's own v2-to-FHIR tables, untouched: read, compiled row by row, and checked.

https://build.fhir.org/ig/HL7/v2-to-fhir/
None of their text is kept here. `narrative.csv` and `errata.csv` say what we decided of a row that its
table, identifier and target name; `check` says whether every row is accounted for. An operator may load
them: `underlay` then maps the messages that our own tables do not.
"""

from mappings.hl7v2.official.check import PERCENT, Account, Report, Verdict, check
from mappings.hl7v2.official.layer import Layer, files, has_tables, read

__all__ = [
    "PERCENT",
    "Account",
    "Layer",
    "Report",
    "Verdict",
    "check",
    "files",
    "has_tables",
    "read",
]
