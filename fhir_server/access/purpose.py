"""Why somebody asks: the purposes of use of HL7's v3-ActReason, and how a request says its own.

There is no header of the standard: `X-Purpose-Of-Use` has one code, as `TREAT`, or with its system.
https://terminology.hl7.org/ValueSet-v3-PurposeOfUse.html
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from r4 import definitions
from r4.issue import FhirError, error

HEADER = b"x-purpose-of-use"
SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_ROOT = "PurposeOfUse"


def known(said: str) -> str:
    """Return the code of a purpose, with its system or without; raises ValueError for what is none."""
    system, bar, code = said.strip().rpartition("|")
    if (bar and system != SYSTEM) or code not in codes():
        text = "as TREAT, HQUALIMP, PATSFTY, HRESCH or PUBHLTH"
        raise ValueError(f"a purpose of use is a code of {SYSTEM} below {_ROOT}, {text}.")
    return code


def asked(header: bytes) -> str:
    """Return the code that a request's header says; raises FhirError 400 for what is none."""
    try:
        return known(header.decode("latin-1"))
    except ValueError as wrong:
        text = f"X-Purpose-Of-Use: {wrong}"
        raise FhirError(400, [error("code-invalid", text, "http.X-Purpose-Of-Use")]) from None


@cache
def codes() -> frozenset[str]:
    """Return the codes of all purposes."""
    system = definitions.definition("CodeSystem", SYSTEM)
    if system is None:
        raise ValueError(f"{SYSTEM} is not among the definitions")
    return frozenset(
        each["code"] for root in _found(system["concept"], _ROOT) for each in _all(root["concept"])
    )


def _found(concepts: list[dict[str, Any]], code: str) -> Iterator[dict[str, Any]]:
    return (each for each in _all(concepts) if each["code"] == code)


def _all(concepts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in concepts:
        yield each
        yield from _all(each.get("concept", []))
