"""A form filled from its own definition, as an EPR or a parent's browser would fill it.

The Questionnaire is walked in order; enableWhen decides what is asked; the preferences say what is
answered, and where they are silent a required question gets an answer that its type allows.
https://hl7.org/fhir/R4/questionnaire.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from operator import ge, gt, le, lt
from random import Random
from typing import Any

from fhir_server.simulate.events import Facts
from fhir_server.simulate.preferences import Rule, prefer, rules
from r4.json import Resource

_UNIT = "questionnaire-unit"
_COMPARE = {">": gt, "<": lt, ">=": ge, "<=": le}
_PRIMITIVES = {
    "boolean": "valueBoolean",
    "decimal": "valueDecimal",
    "integer": "valueInteger",
    "date": "valueDate",
    "dateTime": "valueDateTime",
    "time": "valueTime",
    "string": "valueString",
    "text": "valueString",
    "url": "valueUri",
}


@dataclass(frozen=True, slots=True)
class Form:
    """A Questionnaire with its value sets expanded, by their canonical or `#id`."""

    questionnaire: Resource
    value_sets: Mapping[str, list[Resource]] = field(default_factory=dict)

    @property
    def canonical(self) -> str:
        """Return the canonical URL with its version, as a response names its form."""
        version = self.questionnaire.get("version")
        url: str = self.questionnaire["url"]
        return f"{url}|{version}" if version else url


@dataclass(slots=True)
class _Filling:
    """One response in the making; answers are kept by linkId for enableWhen and for later rules."""

    form: Form
    rules: Mapping[str, Rule]
    facts: Facts
    random: Random
    values: dict[str, list[Resource]] = field(default_factory=dict)
    codes: dict[str, Any] = field(default_factory=dict)


def fill(form: Form, facts: Facts, random: Random) -> list[Resource]:
    """Return the items of a completed response."""
    filling = _Filling(form, rules(form.questionnaire["id"]), facts, random)
    return _items(filling, form.questionnaire["item"])


def value_set_urls(questionnaire: Resource) -> set[str]:
    """Return every value set that the items' answers come from."""
    found: set[str] = set()
    pending = list(questionnaire["item"])
    while pending:
        item = pending.pop()
        pending += item.get("item", [])
        if "answerValueSet" in item:
            found.add(item["answerValueSet"])
    return found


def codings(value_set: Resource) -> list[Resource]:
    """Return the codings of a value set's expansion, or of its listed concepts."""
    if contains := value_set.get("expansion", {}).get("contains"):
        return [_coding(each) for each in contains]
    return [
        _coding({"system": include.get("system"), **concept})
        for include in value_set.get("compose", {}).get("include", [])
        for concept in include.get("concept", [])
    ]


def _coding(concept: Resource) -> Resource:
    return {key: concept[key] for key in ("system", "code", "display") if concept.get(key)}


def _items(filling: _Filling, items: list[Resource]) -> list[Resource]:
    filled = []
    for item in items:
        if item["type"] != "display" and _enabled(filling, item):
            response = _item(filling, item)
            if "answer" in response or "item" in response:
                filled.append(response)
    return filled


def _item(filling: _Filling, item: Resource) -> Resource:
    response: Resource = {"linkId": item["linkId"]}
    if "text" in item:
        response["text"] = item["text"]
    if item["type"] == "group":
        if inner := _items(filling, item.get("item", [])):
            response["item"] = inner
        return response
    if (answer := _answer(filling, item)) is not None:
        filling.values[item["linkId"]] = [answer]
        if inner := _items(filling, item.get("item", [])):
            answer = {**answer, "item": inner}
        response["answer"] = [answer]
    return response


def _enabled(filling: _Filling, item: Resource) -> bool:
    conditions = item.get("enableWhen")
    if not conditions:
        return True
    holds = (_holds(filling, condition) for condition in conditions)
    return any(holds) if item.get("enableBehavior") == "any" else all(holds)


def _holds(filling: _Filling, condition: Resource) -> bool:
    """Tell whether a condition holds: some answer compares so; without answers nothing does."""
    answers = filling.values.get(condition["question"], [])
    expected = next(value for key, value in condition.items() if key.startswith("answer"))
    operator = condition["operator"]
    if operator == "exists":
        return bool(answers) is bool(expected)
    values = [next(iter(answer.values())) for answer in answers]
    if operator in ("=", "!="):
        return any(_same(value, expected) == (operator == "=") for value in values)
    return any(_COMPARE[operator](value, expected) for value in values)


def _same(value: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        keys = [key for key in ("system", "code", "value", "unit") if key in expected]
        return isinstance(value, dict) and all(value.get(key) == expected[key] for key in keys)
    return bool(value == expected)


def _answer(filling: _Filling, item: Resource) -> Resource | None:
    link, rule = item["linkId"], filling.rules.get(item["linkId"])
    wanted = prefer(rule, filling.facts, filling.codes, filling.random) if rule else None
    if wanted is None and rule is None and item.get("initial"):
        return dict(item["initial"][0])
    if wanted is None and not item.get("required"):
        return None
    filling.codes[link] = wanted
    if options := _options(filling.form, item):
        return _chosen(item, options, wanted, filling.random)
    return _written(item, wanted)


def _options(form: Form, item: Resource) -> list[Resource]:
    if "answerValueSet" in item:
        listed = form.value_sets.get(item["answerValueSet"], [])
        return [{"valueCoding": coding} for coding in listed]
    return [
        {key: value for key, value in option.items() if key.startswith("value")}
        for option in item.get("answerOption", [])
    ]


def _chosen(item: Resource, options: list[Resource], wanted: Any, random: Random) -> Resource:
    """Return the option that is wanted; free text where the form allows it; else any option."""
    for option in options:
        value = next(iter(option.values()))
        if (
            wanted is not None
            and (value.get("code") if isinstance(value, dict) else value) == wanted
        ):
            return option
    if wanted is not None and item["type"] == "open-choice":
        return {"valueString": str(wanted)}
    return random.choice(options)


def _written(item: Resource, wanted: Any) -> Resource | None:
    """Return a value of the item's type; None for a type that only a person can answer."""
    kind = item["type"]
    if kind == "quantity":
        number = wanted if isinstance(wanted, Decimal) else Decimal(1)
        return {"valueQuantity": {"value": number, **_unit(item)}}
    if kind not in _PRIMITIVES:
        return None
    return {_PRIMITIVES[kind]: _primitive(kind, wanted)}


def _unit(item: Resource) -> Resource:
    for extension in item.get("extension", []):
        if extension["url"].endswith(_UNIT):
            coding = extension["valueCoding"]
            return {
                "unit": coding.get("display", coding["code"]),
                "system": coding["system"],
                "code": coding["code"],
            }
    return {}


def _primitive(kind: str, wanted: Any) -> Any:
    if kind == "boolean":
        return bool(wanted)
    if kind == "integer":
        return int(wanted or 0)
    if kind == "decimal":
        return wanted if isinstance(wanted, Decimal) else Decimal(int(wanted or 1))
    if isinstance(wanted, datetime):
        parts = {"date": wanted.date().isoformat(), "time": wanted.time().isoformat()}
        return parts.get(kind) or wanted.isoformat()
    return str(wanted) if wanted is not None else "Simulated answer"
