"""HL7's code tables as a Translator: what FHIR has for a code of v2."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from mappings.hl7v2.rows import CodeRow
from r4.definitions import definition
from r4.json import Resource

V2 = "http://terminology.hl7.org/CodeSystem/v2-"
"""What HL7 calls the code system of one of its tables by: 0001 for HL70001."""
_CODE = re.compile(r"[^\s]+(?: [^\s]+)*\Z")
_SYSTEM = re.compile(r"(?:https?|urn):\S+\Z")
_TABLE = re.compile(r"HL?7?(?P<number>\d{4})\Z")


def coding(row: CodeRow) -> Resource | None:
    """Compile a row to the Coding it gives; None where it lists a code of FHIR's alone.

    Raises ValueError where FHIR would not take the code, its system is no URI, or R4's release of the
    system lacks the code.
    """
    if not row.code:
        return None
    if not _CODE.match(row.target):
        raise ValueError(f"`{row.target}` is no code")
    if row.system and not _SYSTEM.match(row.system):
        raise ValueError("the system is no URI")
    listed = _codes(row.system)
    if listed is not None and row.target not in listed:
        raise ValueError(f"R4's release of {row.system} has no code `{row.target}`")
    given = {"system": row.system, "code": row.target, "display": row.display}
    return {name: text for name, text in given.items() if text}


@cache
def _codes(url: str) -> frozenset[str] | None:
    """List the codes of a system that R4 publishes whole; None for any other."""
    found = definition("CodeSystem", url)
    if found is None or found.get("content") != "complete":
        return None
    return frozenset(_below(found))


def _below(node: Resource) -> Iterator[str]:
    for concept in node.get("concept", ()):
        yield concept["code"]
        yield from _below(concept)


def system(table: str) -> str:
    """Return the URI of a table's code system (`HL70001`); "" where the table has no number."""
    match = _TABLE.match(table)
    return V2 + match["number"] if match else ""


@dataclass(frozen=True, slots=True)
class CodeTables:
    """Code tables by name: a Translator, as `mappings.hl7v2.scope` asks it.

    A row that holds under a condition says nothing for sure, and is not asked.
    """

    codes: Mapping[tuple[str, str, str], Sequence[Resource]]

    def translate(self, concept_map_url: str, system: str, code: str) -> Sequence[Resource]:
        """List the Codings that the table of that name gives; empty where it has no such code."""
        return self.codes.get((concept_map_url, system, code), ())


def code_tables(tables: Mapping[str, Iterable[CodeRow]]) -> CodeTables:
    """Make the Translator of tables by name; rows that do not compile are left out."""
    found: dict[tuple[str, str, str], list[Resource]] = {}
    for name, rows in tables.items():
        for row in rows:
            if not row.target or row.antlr or row.narrative:
                continue
            try:
                given = coding(row)
            except ValueError:
                continue
            if given:
                found.setdefault((name, system(row.table), row.code), []).append(given)
    return CodeTables(found)
