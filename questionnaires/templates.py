"""Fill a template resource: templateExtractContext and templateExtractValue of SDC 4.0.

A context expression that finds nothing removes its element, one that finds several repeats it; a
value expression replaces its element. A resource whose own extension has a context is itself
removed or repeated. A text put in the place of an object is a Reference's (the guide's examples).
https://hl7.org/fhir/uv/sdc/extraction.html#template-based-extraction
"""

from collections.abc import Iterator
from typing import Any

from questionnaires.elements import SDC
from questionnaires.expressions import Focus, Scope
from r4.issue import FhirError, error

CONTEXT = SDC + "templateExtractContext"
VALUE = SDC + "templateExtractValue"

_Filled = tuple[Any, dict[str, Any] | None]
"""An element as JSON has it: its value, and what stands beside a primitive in `_name`."""


def fill(template: dict[str, Any], focus: Focus, scope: Scope) -> list[dict[str, Any]]:
    """Return the copies of a template, filled in; none where its context finds nothing.

    Raises FhirError (422) for an expression that fails or finds what its element cannot hold.
    """
    return [value for value, _ in _element(template, None, focus, scope)]


def _element(
    value: Any, beside: dict[str, Any] | None, focus: Focus, scope: Scope
) -> Iterator[_Filled]:
    holder = value if isinstance(value, dict) else beside or {}
    rest = [each for each in holder.get("extension", ()) if each.get("url") not in (CONTEXT, VALUE)]
    expressions = {each["url"]: each for each in holder.get("extension", ())}
    for inner, inner_scope in _contexts(expressions.get(CONTEXT), focus, scope):
        if (held := expressions.get(VALUE)) is not None:
            for result in inner_scope.evaluate(held["valueString"], inner):
                yield _replaced(value, beside, result, rest)
        elif isinstance(value, dict):
            if filled := _object({**value, "extension": rest}, inner, inner_scope):
                yield filled, None
        else:
            kept = {**(beside or {}), "extension": rest}
            yield value, _object(kept, inner, inner_scope) or None


def _contexts(
    held: dict[str, Any] | None, focus: Focus, scope: Scope
) -> Iterator[tuple[Focus, Scope]]:
    if held is None:
        yield focus, scope
        return
    declared = held.get("valueExpression") or {"expression": held.get("valueString")}
    for found in scope.foci(declared["expression"], focus):
        name = declared.get("name")
        yield found, scope if name is None else scope.having(**{name: found.value})


def _replaced(
    value: Any, beside: dict[str, Any] | None, result: Any, rest: list[dict[str, Any]]
) -> _Filled:
    is_object = isinstance(value, dict)
    if is_object and isinstance(result, str):
        return {"reference": result}, None
    if is_object != isinstance(result, dict):
        kind = "an object" if is_object else "a primitive"
        raise _refusal(f"{result!r} cannot be the value of an element that is {kind}")
    if is_object:
        return result, None
    kept = {**(beside or {}), "extension": rest}
    return result, {key: each for key, each in kept.items() if each} or None


def _object(template: dict[str, Any], focus: Focus, scope: Scope) -> dict[str, Any]:
    filled: dict[str, Any] = {}
    for name in dict.fromkeys(key.removeprefix("_") for key in template):
        value, beside = template.get(name), template.get(f"_{name}")
        if isinstance(value, list) or isinstance(beside, list):
            _put_list(filled, name, list(_items(value or [], beside or [], focus, scope)))
        else:
            _put_single(filled, name, list(_element(value, beside, focus, scope)))
    return filled


def _items(values: list[Any], beside: list[Any], focus: Focus, scope: Scope) -> Iterator[_Filled]:
    for index in range(max(len(values), len(beside))):
        value = values[index] if index < len(values) else None
        yield from _element(value, beside[index] if index < len(beside) else None, focus, scope)


def _put_list(filled: dict[str, Any], name: str, found: list[_Filled]) -> None:
    kept = [(value, beside) for value, beside in found if value is not None or beside]
    if any(value is not None for value, _ in kept):
        filled[name] = [value for value, _ in kept]
    if any(beside for _, beside in kept):
        filled[f"_{name}"] = [beside for _, beside in kept]


def _put_single(filled: dict[str, Any], name: str, found: list[_Filled]) -> None:
    if len(found) > 1:
        raise _refusal(f"`{name}` holds one value, {len(found)} were found")
    for value, beside in found:
        if value is not None:
            filled[name] = value
        if beside:
            filled[f"_{name}"] = beside


def _refusal(text: str) -> FhirError:
    return FhirError(422, [error("processing", f"Extraction: {text}", rule="template-extract")])
