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
from terminology import Terminology


@dataclass(frozen=True, slots=True)
class Codes:
    """Where codes are looked up: the form's contained value sets, then terminology."""

    questionnaire: Resource
    terminology: Terminology

    def hold(self, value_set: str, value: Any) -> bool | None:
        """Tell whether a Coding or a bare code is in a value set, with the right display.

        None: that cannot be told here.
        """
        system, code = _system_and_code(value)
        if code is None:
            return False
        if value_set.startswith("#"):
            return self._contained_holds(value_set[1:], system, code)
        held = self.terminology.validate_code(value_set, system, code)
        return held and self._is_named_right(system, code, value)

    def _contained_holds(self, id: str, system: str | None, code: str) -> bool | None:
        for held in self.questionnaire.get("contained", ()):
            if held.get("id") == id:
                return (system, code) in _enumerated(held)
        return None

    def _is_named_right(self, system: str | None, code: str, value: Any) -> bool:
        given = value.get("display") if isinstance(value, dict) else None
        concept = self.terminology.lookup(system, code) if given and system else None
        if given is None or concept is None or "display" not in concept:
            return True
        known = [concept["display"], *(each["value"] for each in concept.get("designation", ()))]
        return given.casefold() in {name.casefold() for name in known}


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
    held = codes.hold(value_set, value)
    if held is None:
        text = f"{_name(value)} cannot be looked for in {value_set}: it is not held here"
        yield Finding("error", "exception", "tsError", text)
    elif not held:
        text = f"{_name(value)} is not in {value_set}"
        yield Finding("error", "code-invalid", rule, text)


def _system_and_code(value: Any) -> tuple[str | None, str | None]:
    if isinstance(value, dict):
        return value.get("system"), value.get("code")
    return None, str(value)


def _enumerated(value_set: Resource) -> set[tuple[str | None, str]]:
    held = {
        (each.get("system"), each["code"])
        for each in value_set.get("expansion", {}).get("contains", ())
    }
    for include in value_set.get("compose", {}).get("include", ()):
        held |= {(include.get("system"), each["code"]) for each in include.get("concept", ())}
    return held


def _name(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("display") or value.get("unit") or value.get("code"))
    return str(value)
