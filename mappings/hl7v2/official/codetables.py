"""The rows of HL7's code tables: what FHIR has for a code of v2."""

import re
from collections.abc import Iterator
from functools import cache

from mappings.hl7v2.rows import CodeRow
from r4.definitions import definition
from r4.json import Resource

_CODE = re.compile(r"[^\s]+(?: [^\s]+)*\Z")
_SYSTEM = re.compile(r"(?:https?|urn):\S+\Z")


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
