"""Whether a Coding is right, and why it is not or cannot be told.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html
"""

from dataclasses import dataclass
from typing import Literal

from terminology.compose import Coding, Members
from terminology.grammars import GRAMMARS
from terminology.loaded import LoadedConcept
from terminology.sources import Sources, canonical

Reason = Literal[
    "",
    "unknown-value-set",
    "unknown-system",
    "not-loaded",
    "unknown-code",
    "inactive",
    "wrong-display",
    "not-in-set",
    "unsupported-filter",
]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of a Coding. result: None where it cannot be told, for the reason given.

    `inactive` with a result of True: the code is right, but may no longer be used. `display` is the
    preferred term, `version` that of the code system, where they are known.
    """

    result: bool | None
    reason: Reason
    system: str | None
    code: str
    display: str | None = None
    version: str | None = None


def in_system(sources: Sources, coding: Coding) -> Verdict:
    """Tell whether a Coding's code exists in its system."""
    system, code = _named(coding)
    if system is None:
        return Verdict(None, "unknown-system", None, code)
    held = sources.system(system, coding.get("version"))
    if held is None:
        return Verdict(None, sources.absence(system), system, code)
    concept = held.concept(code)
    if concept is not None:
        return _spoken(coding, system, concept, held.version)
    if held.is_complete:
        return Verdict(False, "unknown-code", system, code, version=held.version or None)
    return Verdict(None, "not-loaded", system, code, version=held.version or None)


def in_members(sources: Sources, members: Members, coding: Coding) -> Verdict:
    """Tell whether a Coding is in a value set; one without a system may be of any system."""
    system, code = _named(coding)
    if system is None:
        return _anywhere(sources, members, coding)
    if members.holds(system, code):
        return _inside(sources, members, coding, system)
    known = in_system(sources, coding)
    is_untold = system in members.doubts and members.doubts[system][0] == "not-loaded"
    if known.reason in ("unknown-code", "inactive") and not is_untold:
        return Verdict(False, known.reason, system, code, known.display, known.version)
    if members.is_open or system in members.undecided:
        return Verdict(None, _doubt(members, system), system, code, known.display, known.version)
    if system in members.rules and known.reason == "not-loaded":  # in part, or in another version
        return Verdict(None, "not-loaded", system, code, version=known.version)
    return Verdict(False, "not-in-set", system, code, known.display, known.version)


def _inside(sources: Sources, members: Members, coding: Coding, system: str) -> Verdict:
    """Judge the rest of a Coding whose code is in the value set."""
    code = coding["code"]
    listed = members.codes.get(system, {}).get(code, {}).get("display")
    held = sources.system(system, coding.get("version"))
    concept = held.concept(code) if held is not None else None
    if held is None or concept is None:
        return Verdict(True, "", system, code, listed)
    return _spoken(coding, system, concept, held.version, listed)


def _anywhere(sources: Sources, members: Members, coding: Coding) -> Verdict:
    code = coding.get("code", "")
    for system in (*members.codes, *members.rules):
        if members.holds(system, code) is True:
            return _inside(sources, members, coding, system)
    lacking = [system for system, rule in members.rules.items() if rule.is_lacking(code)]
    if lacking:
        return Verdict(None, "not-loaded", lacking[0], code)
    if members.is_open or members.undecided:
        return Verdict(None, _doubt(members, min(members.undecided, default="")), None, code)
    return Verdict(False, "not-in-set", None, code)


def _doubt(members: Members, system: str) -> Reason:
    if system in members.doubts:
        return members.doubts[system][0]
    return "unknown-value-set"


def _spoken(
    coding: Coding, system: str, concept: LoadedConcept, version: str, listed: str | None = None
) -> Verdict:
    """Judge the display of a Coding whose code exists, and whether the code may still be used.

    What a grammar makes has no terms: any display may say it.
    """
    display = listed or concept.display
    given = coding.get("display")
    is_judged = system not in GRAMMARS
    if is_judged and isinstance(given, str) and not _is_said(given, concept, listed):
        return Verdict(False, "wrong-display", system, concept.code, display, version or None)
    reason: Reason = "" if concept.is_active else "inactive"
    return Verdict(True, reason, system, concept.code, display, version or None)


def _is_said(display: str, concept: LoadedConcept, listed: str | None) -> bool:
    """Tell whether a text is one of the terms of a concept; of one without terms, any is."""
    terms = [concept.display, listed, *(each.get("value") for each in concept.designations)]
    said = {_folded(term) for term in terms if term}
    return not said or _folded(display) in said


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def _named(coding: Coding) -> tuple[str | None, str]:
    system = coding.get("system")
    return (canonical(system) if system else None), coding.get("code", "")
