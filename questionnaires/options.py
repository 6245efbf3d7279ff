"""Whether an answer is one of those that a form offers: answerOption, answerValueSet, unitValueSet.

https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.answerOption
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from questionnaires.bounds import Finding
from questionnaires.comparison import same
from questionnaires.elements import CORE, Item, extension_value, value_of
from r4.json import Resource
from terminology import Coding, Terminology, Verdict
from terminology.reasons import said


@dataclass(frozen=True, slots=True)
class Codes:
    """Where codes are looked up: the form's contained value sets, then terminology."""

    questionnaire: Resource
    terminology: Terminology

    def judge(self, value_set: str, value: Any) -> Verdict:
        """Judge a Coding, the unit of a Quantity or a bare code in a value set, its display included."""
        coding = _coding(value)
        if not coding.get("code"):
            return Verdict(False, "not-in-set", coding.get("system"), "")
        if not value_set.startswith("#"):
            return self.terminology.check(value_set, coding)
        for held in self.questionnaire.get("contained", ()):
            if held.get("id") == value_set[1:]:
                return self.terminology.check_in(self.terminology.compiled(held), coding)
        return Verdict(None, "unknown-value-set", coding.get("system"), coding["code"])


def offered(definition: Item) -> list[tuple[str, Any]]:
    """Return the types and values of an item's answer options."""
    found = (value_of(option) for option in definition.get("answerOption", ()))
    return [option for option in found if option is not None]


def refusals(definition: Item, kind: str, value: Any, codes: Codes) -> Iterator[Finding]:
    """Yield why an answer is not among those offered; free text in an open choice always is."""
    units = extension_value(definition, CORE + "questionnaire-unitValueSet")
    if kind == "Quantity" and units is not None:
        yield from _outside(units, value, codes, "invalidUnitValueSet")
    if definition["type"] == "open-choice" and kind == "String":
        return
    options = offered(definition)
    if options and not any(same(value, option) for _, option in options):
        text = f"{_name(value)} is not one of the answers offered"
        yield Finding("error", "business-rule", "invalidAnswerOption", text)
    if (value_set := definition.get("answerValueSet")) is not None:
        yield from _outside(value_set, value, codes, "invalidCoding")


def excludes_others(definition: Item, value: Any) -> bool:
    """Tell whether an answer is one that excludes all others."""
    for option in definition.get("answerOption", ()):
        found = value_of(option)
        if found is not None and same(value, found[1]):
            return extension_value(option, CORE + "questionnaire-optionExclusive") is True
    return False


def _outside(value_set: str, value: Any, codes: Codes, rule: str) -> Iterator[Finding]:
    """Yield why a code is not one of a value set; what cannot be told, for want of it, is a warning."""
    verdict = codes.judge(value_set, value)
    if verdict.result is None:
        text = f"{_name(value)} cannot be looked for in {value_set}. {said(verdict)}"
        yield Finding("warning", "not-supported", "tsError", text)
    elif not verdict.result:
        why = f". {said(verdict)}" if verdict.reason != "not-in-set" else ""
        yield Finding("error", "code-invalid", rule, f"{_name(value)} is not in {value_set}{why}")
    elif verdict.reason == "inactive":
        yield Finding("warning", "code-invalid", "code-inactive", said(verdict))


def _coding(value: Any) -> Coding:
    if not isinstance(value, dict):
        return {"code": str(value)}
    return {key: value[key] for key in ("system", "version", "code", "display") if key in value}


def _name(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("display") or value.get("unit") or value.get("code"))
    return str(value)
