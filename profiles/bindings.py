"""Whether coded values come from the value sets that elements are bound to.

A required binding refuses, an extensible one warns, and only where the value set's own code systems
have the code's system; https://hl7.org/fhir/R4/terminologies.html#strength
"""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

from profiles.findings import Check, Path, Run, listed, shown
from profiles.primitives import PRIMITIVES, Quick
from r4.issue import Severity
from r4.json import Resource
from terminology import Terminology
from terminology.compose import Members
from terminology.systems import ALIASES

_MOST_CODES_LISTED = 12
_CLOSE = 0.75
_CODE_LIKE = frozenset({"code", "uri", "string", "canonical", "url"})


def is_member(terminology: Terminology, value: Any, value_set_url: str) -> bool | None:
    """Tell whether a code, Coding or CodeableConcept is in a value set; None where undecided."""
    members = terminology.members(value_set_url)
    if members is None:
        return None
    if isinstance(value, str):
        return members.holds(None, value)
    answers = [_answer(members, coding) for coding in _coded(value)]
    return True if True in answers else None if None in answers else False


def _coded(value: Any) -> list[Resource]:
    """List the Codings of a CodeableConcept, a Coding or Quantity itself, or a code as one."""
    if isinstance(value, str):
        return [{"code": value}]
    if not isinstance(value, dict):
        return []
    codings: list[Resource] = [value] if "code" in value else value.get("coding", [])
    return codings


def check(
    type_code: str, binding: Resource, terminology: Terminology, *, warnings: bool = True
) -> Check | None:
    """Compile the check of one type under a binding; None where there is nothing to check."""
    if binding["strength"] != "required" and not warnings:
        return None
    url = binding.get("valueSet", "")
    members = terminology.members(url)
    kind = _KINDS.get((binding["strength"], "code" if type_code in _CODE_LIKE else type_code))
    if members is None or members.is_open or kind is None:
        return None
    return kind(members, url)


def undecided(binding: Resource, terminology: Terminology) -> Check | None:
    """Compile what warns of codes that cannot be told to be in a value set or not."""
    url = binding.get("valueSet")
    if url is None or binding["strength"] not in ("required", "extensible"):
        return None

    def check_code(value: Any, path: Path, run: Run) -> None:
        spelt = [code for each in _coded(value) if (code := each.get("code")) is not None]
        if spelt and is_member(terminology, value, url) is None:
            said = (
                f"Whether {listed(spelt)} is in {url} cannot be told here: the value set, or a code"
                " system that it needs, is not loaded."
            )
            run.report("warning", "not-supported", said, path, "terminology-not-loaded")

    return check_code


def quick(type_code: str, binding: Resource, terminology: Terminology) -> Quick | None:
    """Return what tells quickly that a code is one of a required binding; None where nothing does."""
    members = terminology.members(binding.get("valueSet", ""))
    if members is None or binding.get("strength") != "required" or type_code != "code":
        return None
    return frozenset(filter(PRIMITIVES["code"].accepts, _codes(members))).__contains__


def _codes(members: Members) -> frozenset[str]:
    return frozenset(code for held in members.codes.values() for code in held)


def _required_code(members: Members, url: str) -> Check:
    codes = _codes(members)
    is_enumerable = members.is_enumerable

    def check_code(value: str, path: Path, run: Run) -> None:
        if value not in codes and is_enumerable:
            _report(
                run, "error", path, f"{shown(value)} is not a code of {url}.{_help(codes, value)}"
            )

    return check_code


def _required_coding(members: Members, url: str) -> Check:
    def check_coding(value: Resource, path: Path, run: Run) -> None:
        if _answer(members, value) is False and "extension" not in value:
            _report(run, "error", path, _not_in(members, [value], url, "must"))

    return check_coding


def _required_concept(members: Members, url: str) -> Check:
    def check_concept(value: Resource, path: Path, run: Run) -> None:
        codings = value.get("coding", [])
        if (
            all(_answer(members, coding) is False for coding in codings)
            and "extension" not in value
        ):
            _report(run, "error", path, _not_in(members, codings, url, "must"))

    return check_concept


def _extensible_coding(members: Members, url: str) -> Check:
    def check_coding(value: Resource, path: Path, run: Run) -> None:
        _advise(members, [value], url, path, run)

    return check_coding


def _extensible_concept(members: Members, url: str) -> Check:
    def check_concept(value: Resource, path: Path, run: Run) -> None:
        _advise(members, value.get("coding", ()), url, path, run)

    return check_concept


_KINDS: dict[tuple[str, str], Callable[[Members, str], Check]] = {
    ("required", "code"): _required_code,
    ("required", "Coding"): _required_coding,
    ("required", "Quantity"): _required_coding,
    ("required", "CodeableConcept"): _required_concept,
    ("extensible", "Coding"): _extensible_coding,
    ("extensible", "Quantity"): _extensible_coding,
    ("extensible", "CodeableConcept"): _extensible_concept,
}


def _answer(members: Members, coding: Resource) -> bool | None:
    system = coding.get("system", "")
    return members.holds(ALIASES.get(system, system), coding.get("code", ""))


def _advise(members: Members, codings: Sequence[Resource], url: str, path: Path, run: Run) -> None:
    for coding in codings:
        if coding.get("code") in members.codes.get(coding.get("system", ""), ()):
            return
    listable = [coding for coding in codings if coding.get("system", "") in members.codes]
    if listable and all(_answer(members, coding) is False for coding in listable):
        _report(run, "warning", path, _not_in(members, listable, url, "should"))


def _not_in(members: Members, codings: list[Resource], url: str, verb: str) -> str:
    spelt = [f"{c.get('system', 'no system')}|{c.get('code', 'no code')}" for c in codings]
    found = f"{' and '.join(spelt)} is not in {url}" if spelt else f"There is no code from {url}"
    code = codings[0].get("code", "") if codings else ""
    codes = _codes(members)
    return f"{found}: the code {verb} come from it.{_help(codes, code)}"


def _help(codes: frozenset[str], value: str) -> str:
    if close := get_close_matches(value, codes, 1, _CLOSE):
        return f" Did you mean {close[0]}?"
    return f" Use {listed(sorted(codes))}." if 0 < len(codes) <= _MOST_CODES_LISTED else ""


def _report(run: Run, severity: Severity, path: Path, diagnostics: str) -> None:
    strength = "required" if severity == "error" else "extensible"
    run.report(severity, "code-invalid", diagnostics, path, f"binding-{strength}")
