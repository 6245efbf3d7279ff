"""What is wrong with a code by itself, whatever value set it is from: warnings, of systems held here.

https://hl7.org/fhir/R4/datatypes.html#Coding
"""

from collections.abc import Hashable
from functools import lru_cache
from typing import Any

from profiles.bindings import QUANTITIES
from profiles.findings import Check, Path, Run
from r4.json import Resource
from terminology import Coding, Terminology, Verdict
from terminology.concepts import Concepts
from terminology.reasons import said
from terminology.sources import canonical

_RULES = {"inactive": "code-inactive", "wrong-display": "display", "unknown-code": "code-unknown"}
_MOST_SYSTEMS = 64
_MOST_CODES = 1024
_LONGEST = 500

Right = dict[Any, set[Hashable]]
"""What has been found right already, by its system."""


def check(type_code: str, terminology: Terminology) -> Check | None:
    """Compile what looks at a Coding's code and display, or at a Quantity's unit; None: another type.

    A code that a CodeSystem resource lacks is left to the bindings: what R4 came with has grown since.
    """
    if type_code in QUANTITIES:
        return _unit(terminology)
    return _coding(terminology) if type_code == "Coding" else None


@lru_cache(maxsize=4)
def _coding(terminology: Terminology) -> Check:
    right: Right = {}

    def check_coding(value: Resource, path: Path, run: Run) -> None:
        system = value.get("system")
        key = (value.get("code"), value.get("display"), value.get("version"))
        if (known := right.get(system)) is not None and key in known:
            return
        if not _is_wrong(terminology, value, path, run):
            _remember(right, system, key)

    return check_coding


@lru_cache(maxsize=4)
def _unit(terminology: Terminology) -> Check:
    right: Right = {}

    def check_unit(value: Resource, path: Path, run: Run) -> None:
        system, code = value.get("system"), value.get("code")
        if (known := right.get(system)) is not None and code in known:
            return
        if not _is_wrong(terminology, {"system": system, "code": code}, path, run):
            _remember(right, system, code)

    return check_unit


def _is_wrong(terminology: Terminology, coding: Coding, path: Path, run: Run) -> bool:
    """Report what is wrong with a code; one without a system is not looked at."""
    if not coding.get("system") or not coding.get("code"):
        return False
    verdict = terminology.check(None, coding)
    rule = _RULES.get(verdict.reason)
    if rule is None or (verdict.reason == "unknown-code" and not _is_sure(terminology, verdict)):
        return False
    run.report("warning", "code-invalid", said(verdict), path, rule)
    return True


def _is_sure(terminology: Terminology, verdict: Verdict) -> bool:
    """Tell whether the system that lacks a code is one that is loaded, or made by a grammar."""
    held = terminology.sources.system(canonical(verdict.system or ""))
    return held is not None and not isinstance(held, Concepts)


def _remember(right: Right, system: Any, key: Hashable) -> None:
    """Keep what is right, unless it is long; users send systems and codes: these do not pile up."""
    if len(str(system)) + len(str(key)) > _LONGEST:
        return
    if len(right) >= _MOST_SYSTEMS:
        right.clear()
    known = right.setdefault(system, set())
    if len(known) >= _MOST_CODES:
        known.clear()
    known.add(key)
