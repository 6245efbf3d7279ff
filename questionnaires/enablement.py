"""Whether an item is to be answered: enableWhen, enableBehavior, enableWhenExpression.

https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.enableWhen
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from questionnaires.comparison import compare, same
from questionnaires.elements import SDC, Item, answers, expression_of, value_of
from questionnaires.expressions import Focus, Scope

_ORDER: dict[str, Callable[[int], bool]] = {
    ">": lambda order: order > 0,
    "<": lambda order: order < 0,
    ">=": lambda order: order >= 0,
    "<=": lambda order: order <= 0,
}


def is_enabled(definition: Item, containers: Sequence[dict[str, Any]], scope: Scope) -> bool:
    """Tell whether an item is enabled.

    containers: from the response down to the element that holds the item; a question is looked for
    in the nearest of them first, so that each repetition of a group has its own answers.
    """
    if (expression := expression_of(definition, SDC + "enableWhenExpression")) is not None:
        return scope.holds(expression, Focus(containers[-1]))
    conditions = definition.get("enableWhen", [])
    if not conditions:
        return True
    met = (
        _is_met(condition, _given(condition["question"], containers)) for condition in conditions
    )
    return all(met) if definition.get("enableBehavior") == "all" else any(met)


def _given(link_id: str, containers: Sequence[dict[str, Any]]) -> list[tuple[str, Any]]:
    for container in reversed(containers):
        if found := [item for item in _items(container) if item.get("linkId") == link_id]:
            given = (value_of(answer) for item in found for answer in answers(item))
            return [value for value in given if value is not None]
    return []


def _items(container: dict[str, Any]) -> Iterator[Item]:
    for item in container.get("item", ()):
        yield item
        yield from _items(item)
    for answer in container.get("answer", ()):
        yield from _items(answer)


def _is_met(condition: dict[str, Any], given: list[tuple[str, Any]]) -> bool:
    operator = condition["operator"]
    wanted = next(value for key, value in condition.items() if key.startswith("answer"))
    if operator == "exists":
        return bool(given) is wanted
    if operator == "=":
        return any(same(value, wanted) for _, value in given)
    if operator == "!=":
        return any(not same(value, wanted) for _, value in given)
    orders = (compare(value, wanted) for _, value in given)
    return any(order is not None and _ORDER[operator](order) for order in orders)
