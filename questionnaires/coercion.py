"""The answers of a question that an expression's results make, by the question's type.

What does not fit is refused, never bent: an answer that nobody gave must not be a guess.
https://hl7.org/fhir/uv/sdc/populate.html
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from questionnaires.comparison import same
from questionnaires.elements import CORE, Item, extension_value, value_of
from questionnaires.expressions import Focus
from questionnaires.options import offered
from r4 import dates
from r4.fhirpath.quantities import Quantity, convert, decimal
from r4.issue import FhirError, error
from r4.json import Resource

Answer = dict[str, Any]

_DAY = 10
"""Characters of a date to the day."""


def coerced(definition: Item, found: list[Focus], questionnaire: Resource) -> list[Answer]:
    """Return the answers of a question; equal ones once, at most one where it does not repeat.

    A concept is one of its codings, of those that the form offers where it lists them; a code is
    the coding that is offered for it; a resource is a reference to it; a quantity is a number in
    the question's unit. Raises FhirError (422) for a result of another type, one that is not
    offered, or several where one is asked for.
    """
    options = _options(definition, questionnaire)
    made: list[Answer] = []
    for focus in (each for each in found if each.value not in ("", None)):
        answer = _answer(definition, focus, options)
        if answer not in made:
            made.append(answer)
    if len(made) > 1 and not definition.get("repeats"):
        raise _refusal(f"{len(made)} values are found where one is asked for")
    return made


def _answer(definition: Item, focus: Focus, options: list[tuple[str, Any]]) -> Answer:
    value = focus.value
    if definition["type"] in ("choice", "open-choice"):
        return _chosen(definition, value, options)
    kind = definition["type"]
    made = None
    if kind in _MEASURED:
        made = _MEASURED[kind](definition, value)
    elif kind in _OF_TYPE:
        made = _OF_TYPE[kind](value)
    if made is None:
        raise _refusal(f"{_shown(value)} does not answer a question of type {kind}")
    return made


def _refusal(text: str) -> FhirError:
    return FhirError(422, [error("processing", text)])


def _options(definition: Item, questionnaire: Resource) -> list[tuple[str, Any]]:
    """Return what the form itself offers; nothing where that is a value set which it does not contain."""
    if options := offered(definition):
        return options
    value_set = definition.get("answerValueSet", "")
    for held in questionnaire.get("contained", ()):
        if value_set == f"#{held.get('id')}":
            return [("Coding", coding) for coding in _listed(held)]
    return []


def _listed(value_set: Resource) -> list[dict[str, Any]]:
    """List the codings of a contained value set, where it lists them."""
    if "expansion" in value_set:
        kept = ("system", "code", "display")
        listed = value_set["expansion"].get("contains", [])
        return [{name: each[name] for name in kept if name in each} for each in listed]
    return [
        {"system": include["system"], "code": each["code"]}
        | ({"display": each["display"]} if "display" in each else {})
        for include in value_set.get("compose", {}).get("include", ())
        for each in include.get("concept", ())
    ]


def _chosen(definition: Item, value: Any, options: list[tuple[str, Any]]) -> Answer:
    if isinstance(value, dict) and "coding" in value:
        return _of_concept(definition, value, options)
    if isinstance(value, str):
        return _of_text(definition, value, options)
    if options:
        for kind, option in options:
            if same(value, option):
                return {f"value{kind}": option}
    elif isinstance(value, dict) and "code" in value:
        return {"valueCoding": value}
    raise _refusal(f"{_shown(value)} is not one of the answers offered")


def _of_concept(
    definition: Item, concept: dict[str, Any], options: list[tuple[str, Any]]
) -> Answer:
    codings = concept["coding"]
    if not options and len(codings) == 1:
        return {"valueCoding": codings[0]}
    fitting = [(kind, option) for kind, option in options if any(same(c, option) for c in codings)]
    if len(fitting) == 1:
        return {f"value{fitting[0][0]}": fitting[0][1]}
    if not fitting and definition["type"] == "open-choice" and "text" in concept:
        return {"valueString": concept["text"]}
    number = len(fitting) if options else len(codings)
    raise _refusal(f"{number} of the codings of {_shown(concept)} are offered, one is needed")


def _of_text(definition: Item, value: str, options: list[tuple[str, Any]]) -> Answer:
    """Return the option that a code or text names: the only one that it can mean."""
    fitting = [(kind, option) for kind, option in options
               if value in (option, isinstance(option, dict) and option.get("code"))]  # fmt: skip
    if len(fitting) == 1:
        return {f"value{fitting[0][0]}": fitting[0][1]}
    if definition["type"] == "open-choice" and not fitting:
        return {"valueString": value}
    raise _refusal(f"{_shown(value)} names {len(fitting)} of the answers offered, not one")


def _boolean(value: Any) -> Answer | None:
    return {"valueBoolean": value} if isinstance(value, bool) else None


def _decimal(definition: Item, value: Any) -> Answer | None:
    number = _number(definition, value)
    return None if number is None else {"valueDecimal": number}


def _integer(definition: Item, value: Any) -> Answer | None:
    number = _number(definition, value)
    return None if number is None or number % 1 else {"valueInteger": int(number)}


def _number(definition: Item, value: Any) -> int | Decimal | None:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return value
    unit = extension_value(definition, CORE + "questionnaire-unit")
    if unit is None or not isinstance(value, dict) or "value" not in value:
        return None
    if "comparator" in value:
        raise _refusal(f"{_shown(value)} has a comparator, and is no number")
    if value.get("code") == unit.get("code") and value.get("system") == unit.get("system"):
        number: int | Decimal = value["value"]
        return number
    held = Quantity(Decimal(value["value"]), value.get("code") or "1", of_fhir=True)
    converted = convert(held, unit.get("code") or "1", of_fhir=True)
    if converted is None:
        raise _refusal(f"{_shown(value)} cannot be said in {unit.get('code')}")
    return decimal(converted)


def _date(value: Any) -> Answer | None:
    if not isinstance(value, str) or not dates.is_date_time(value):
        return None
    return {"valueDate": value[:_DAY]}


def _date_time(value: Any) -> Answer | None:
    is_moment = isinstance(value, str) and dates.is_date_time(value)
    return {"valueDateTime": value} if is_moment else None


def _time(value: Any) -> Answer | None:
    return {"valueTime": value} if isinstance(value, str) and dates.is_time(value) else None


def _string(value: Any) -> Answer | None:
    text = value.strip() if isinstance(value, str) else ""
    return {"valueString": text} if text else None


def _uri(value: Any) -> Answer | None:
    return {"valueUri": value} if isinstance(value, str) and value.strip() else None


def _quantity(definition: Item, value: Any) -> Answer | None:
    unit = extension_value(definition, CORE + "questionnaire-unit")
    if isinstance(value, dict):
        return {"valueQuantity": value} if "value" in value else None
    if unit is None or isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    coded = {key: unit[key] for key in ("system", "code") if key in unit}
    return {"valueQuantity": {"value": value, "unit": unit.get("display", unit["code"]), **coded}}


def _reference(value: Any) -> Answer | None:
    if not isinstance(value, dict):
        return None
    if "resourceType" in value:
        named = "id" in value
        return (
            {"valueReference": {"reference": f"{value['resourceType']}/{value['id']}"}}
            if named
            else None
        )
    return {"valueReference": value} if {"reference", "identifier"} & value.keys() else None


def _attachment(value: Any) -> Answer | None:
    if not isinstance(value, dict):
        return None
    kind = value.get("resourceType")
    if kind == "Binary":
        kept = {name: value[name] for name in ("contentType", "data") if name in value}
        return {"valueAttachment": kept} if "data" in kept else None
    if kind == "DocumentReference":
        return _attachment((value.get("content") or [{}])[0].get("attachment"))
    return {"valueAttachment": value} if kind is None and {"data", "url"} & value.keys() else None


def initial(definition: Item) -> list[Focus]:
    """Return what a form says that a question's answers are at first: initial, or options selected."""
    first = [found for held in definition.get("initial", ()) if (found := value_of(held))]
    chosen = [found for option in definition.get("answerOption", ())
              if option.get("initialSelected") and (found := value_of(option))]  # fmt: skip
    return [Focus(value) for _, value in first or chosen]


def _shown(value: Any) -> str:
    if not isinstance(value, dict):
        return repr(str(value))
    named = ("text", "display", "code", "reference", "value", "resourceType")
    return repr(str(next((value[name] for name in named if name in value), "an element")))


_OF_TYPE: dict[str, Callable[[Any], Answer | None]] = {
    "boolean": _boolean,
    "date": _date,
    "dateTime": _date_time,
    "time": _time,
    "string": _string,
    "text": _string,
    "url": _uri,
    "reference": _reference,
    "attachment": _attachment,
}
_MEASURED: dict[str, Callable[[Item, Any], Answer | None]] = {
    "decimal": _decimal,
    "integer": _integer,
    "quantity": _quantity,
}
"""What may be said in a unit of the question's own."""
