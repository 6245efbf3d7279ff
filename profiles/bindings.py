"""Whether coded values come from the value sets that elements are bound to.

A required binding refuses, an extensible one warns, and only where the value set has codes of the
code's system. What cannot be told here, because a system or a value set is not loaded, is a warning.
https://hl7.org/fhir/R4/terminologies.html#strength
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from profiles.findings import Check, Path, Run, listed, shown
from profiles.primitives import PRIMITIVES, Quick
from r4.issue import Severity
from r4.json import Resource
from terminology import Coding, Members, Terminology, Verdict
from terminology.compose import OPEN
from terminology.reasons import said
from terminology.sources import canonical

QUANTITIES = frozenset({"Quantity", "Age", "Count", "Distance", "Duration"})
"""The types whose code is that of a unit."""
_MOST_CODES_LISTED = 12
_MOST_JUDGED = 4096
_CLOSE = 0.75
_CODE_LIKE = frozenset({"code", "uri", "string", "canonical", "url"})


def is_member(terminology: Terminology, value: Any, value_set_url: str) -> bool | None:
    """Tell whether a code, Coding or CodeableConcept is in a value set; None where undecided."""
    members = terminology.members(value_set_url)
    if members is None:
        return None
    if isinstance(value, str):
        return _judge(terminology, members, None, {"code": value}).result
    answers = [_judged(terminology, members, coding).result for coding in _coded(value)]
    return True if True in answers else None if None in answers else False


def check(
    type_code: str, binding: Resource, terminology: Terminology, *, warnings: bool = True
) -> Check | None:
    """Compile the check of one type under a binding; None where there is nothing to check."""
    strength, url = binding["strength"], binding.get("valueSet")
    if url is None or (strength != "required" and not warnings):
        return None
    kind = _KINDS.get((strength, _kind(type_code)))
    members = terminology.members(url)
    if kind is None or (not warnings and (members is None or members.is_open)):
        return None
    return kind(_Bound(terminology, members or OPEN, url, warnings))


def quick(type_code: str, binding: Resource, terminology: Terminology) -> Quick | None:
    """Return what tells quickly that a code is one of a required binding; None where nothing does."""
    members = terminology.members(binding.get("valueSet", ""))
    if members is None or binding.get("strength") != "required" or type_code != "code":
        return None
    return frozenset(filter(PRIMITIVES["code"].accepts, _codes(members))).__contains__


@dataclass(frozen=True, slots=True)
class _Bound:
    """A value set that an element is bound to, and what has been said of codes in it already."""

    terminology: Terminology
    members: Members
    url: str
    warnings: bool
    _known: dict[tuple[str | None, Any, Any], Verdict] = field(default_factory=dict)

    def judge(self, coding: Coding) -> Verdict:
        """Judge a Coding; one without a system is in no value set that is known."""
        return self._once(coding.get("system", ""), coding)

    def judge_code(self, code: str) -> Verdict:
        """Judge a code whose system its element implies."""
        return self._once(None, {"code": code})

    def _once(self, system: str | None, coding: Coding) -> Verdict:
        key = (system, coding.get("version"), coding.get("code"))
        if (known := self._known.get(key)) is not None:
            return known
        if len(self._known) >= _MOST_JUDGED:
            self._known.clear()
        verdict = _judge(self.terminology, self.members, system, coding)
        return self._known.setdefault(key, verdict)

    def doubt(self, verdict: Verdict, path: Path, run: Run) -> None:
        """Warn of a code that cannot be told to be in the value set or not: once, where it is first."""
        if self.warnings:
            text = f"Whether the code is in {self.url} cannot be told. {said(verdict)}"
            if not any(issue.diagnostics == text for issue in run.issues):
                run.report("warning", "not-supported", text, path, "terminology-not-loaded")


def _judged(terminology: Terminology, members: Members, coding: Coding) -> Verdict:
    return _judge(terminology, members, coding.get("system", ""), coding)


def _judge(
    terminology: Terminology, members: Members, system: str | None, coding: Coding
) -> Verdict:
    """Judge a code in a value set, whatever its display; system: "" where a Coding has none.

    Of a value set that is not known, or not all of it, nothing is told but what is in it.
    """
    code = coding.get("code", "")
    if system == "":
        result = None if members.is_open else False
        return Verdict(result, "unknown-value-set" if members.is_open else "not-in-set", None, code)
    asked = {"code": code} | ({"system": system} if system else {})
    if "version" in coding:
        asked["version"] = coding["version"]
    found = terminology.check_in(members, asked)
    if members.is_open and not found.result:
        return Verdict(None, "unknown-value-set", found.system, code)
    if found.result is None and found.system is None and members.doubts:
        doubtful = min(members.doubts)
        return Verdict(None, members.doubts[doubtful][0], doubtful, code)
    return found


def _kind(type_code: str) -> str:
    if type_code in _CODE_LIKE:
        return "code"
    return "Coding" if type_code in QUANTITIES else type_code


def _coded(value: Any) -> list[Resource]:
    """List the Codings of a CodeableConcept, or a Coding or Quantity itself."""
    if not isinstance(value, dict):
        return []
    codings: list[Resource] = [value] if "code" in value else value.get("coding", [])
    return codings


def _codes(members: Members) -> frozenset[str]:
    return frozenset(code for held in members.codes.values() for code in held)


def _required_code(bound: _Bound) -> Check:
    codes = _codes(bound.members)

    def check_code(value: str, path: Path, run: Run) -> None:
        if value in codes:
            return
        verdict = bound.judge_code(value)
        if verdict.result is False:
            text = f"{shown(value)} is not a code of {bound.url}.{_help(codes, value, bound)}"
            _report(run, "error", path, text)
        elif verdict.result is None:
            bound.doubt(verdict, path, run)

    return check_code


def _extensible_code(bound: _Bound) -> Check:
    """Warn of a code, whose system is not said, where it cannot be told whether it is in the set."""
    codes = _codes(bound.members)

    def check_code(value: str, path: Path, run: Run) -> None:
        if value not in codes and (verdict := bound.judge_code(value)).result is None:
            bound.doubt(verdict, path, run)

    return check_code


def _required_coding(bound: _Bound) -> Check:
    codes_of = bound.members.codes.get

    def check_coding(value: Resource, path: Path, run: Run) -> None:
        if value.get("code") not in codes_of(value.get("system", ""), ()):
            _require(bound, [value], value, path, run)

    return check_coding


def _required_concept(bound: _Bound) -> Check:
    codes_of = bound.members.codes.get

    def check_concept(value: Resource, path: Path, run: Run) -> None:
        codings = value.get("coding", [])
        for coding in codings:
            if coding.get("code") in codes_of(coding.get("system", ""), ()):
                return
        _require(bound, codings, value, path, run)

    return check_concept


def _require(
    bound: _Bound, codings: Sequence[Coding], value: Resource, path: Path, run: Run
) -> None:
    verdicts = [bound.judge(coding) for coding in codings]
    is_spared = "extension" in value or (not codings and bound.members.is_open)
    if is_spared or any(each.result for each in verdicts):
        return
    untold = next((each for each in verdicts if each.result is None), None)
    if untold is not None:
        bound.doubt(untold, path, run)
    else:
        _report(run, "error", path, _not_in(bound, codings, verdicts, "must"))


def _extensible_coding(bound: _Bound) -> Check:
    codes_of = bound.members.codes.get

    def check_coding(value: Resource, path: Path, run: Run) -> None:
        if value.get("code") not in codes_of(value.get("system", ""), ()):
            _advise(bound, [value], path, run)

    return check_coding


def _extensible_concept(bound: _Bound) -> Check:
    codes_of = bound.members.codes.get

    def check_concept(value: Resource, path: Path, run: Run) -> None:
        codings = value.get("coding", ())
        for coding in codings:
            if coding.get("code") in codes_of(coding.get("system", ""), ()):
                return
        _advise(bound, codings, path, run)

    return check_concept


def _advise(bound: _Bound, codings: Sequence[Coding], path: Path, run: Run) -> None:
    """Warn where none of the codes of the value set's own systems is in it; other systems are free."""
    own = [each for each in codings if "code" in each and _is_own(bound.members, each)]
    verdicts = [bound.judge(coding) for coding in own]
    if not own or any(each.result for each in verdicts):
        return
    untold = next((each for each in verdicts if each.result is None), None)
    if untold is not None:
        bound.doubt(untold, path, run)
    else:
        _report(run, "warning", path, _not_in(bound, own, verdicts, "should"))


def _is_own(members: Members, coding: Coding) -> bool:
    system = canonical(coding.get("system", ""))
    return members.is_open or members.has(system) or system in members.undecided


_KINDS: dict[tuple[str, str], Callable[[_Bound], Check]] = {
    ("required", "code"): _required_code,
    ("required", "Coding"): _required_coding,
    ("required", "CodeableConcept"): _required_concept,
    ("extensible", "code"): _extensible_code,
    ("extensible", "Coding"): _extensible_coding,
    ("extensible", "CodeableConcept"): _extensible_concept,
}


def _not_in(
    bound: _Bound, codings: Sequence[Coding], verdicts: Sequence[Verdict], verb: str
) -> str:
    spelt = [f"{c.get('system', 'no system')}|{c.get('code', 'no code')}" for c in codings]
    found = (
        f"{' and '.join(spelt)} is not in {bound.url}"
        if spelt
        else f"There is no code from {bound.url}"
    )
    code = codings[0].get("code", "") if codings else ""
    advice = _help(_codes(bound.members), code, bound)
    if not advice:
        advice = next(
            (f" {said(v)}" for v in verdicts if v.reason in ("unknown-code", "inactive")), ""
        )
    return f"{found}: the code {verb} come from it.{advice}"


def _help(codes: frozenset[str], value: str, bound: _Bound) -> str:
    if close := get_close_matches(value, codes, 1, _CLOSE):
        return f" Did you mean {close[0]}?"
    if 0 < len(codes) <= _MOST_CODES_LISTED:
        return f" Use {listed(sorted(codes))}."
    if not codes and len(bound.members.rules) == 1:
        ((system, rule),) = bound.members.rules.items()
        if rule.system.concept(value) is None:
            return f" {said(Verdict(False, 'unknown-code', system, value))}"
    return ""


def _report(run: Run, severity: Severity, path: Path, diagnostics: str) -> None:
    strength = "required" if severity == "error" else "extensible"
    run.report(severity, "code-invalid", diagnostics, path, f"binding-{strength}")
