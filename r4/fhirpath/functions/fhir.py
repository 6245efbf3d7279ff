"""The functions that FHIR adds: extension, hasValue, resolve, memberOf, conformsTo, htmlChecks.

https://hl7.org/fhir/R4/fhirpath.html#functions
"""

from typing import Any

from r4.definitions import CORE
from r4.fhirpath.errors import EvaluationError
from r4.fhirpath.function import Function, of_collection
from r4.fhirpath.functions.resolve import referenced, resolve
from r4.fhirpath.narrative import is_safe
from r4.fhirpath.scope import Code, Scope, Step
from r4.fhirpath.types import named
from r4.fhirpath.values import EMPTY, FALSE, TRUE, Node, members, plain, singleton, system


def _extension(url: Code) -> Step:
    def step(scope: Scope, items: list[Any]) -> list[Any]:
        wanted = singleton(url.evaluate(scope), "the url of an extension")
        return [
            extension
            for item in items
            if item.__class__ is Node
            for extension in members(item, "extension")
            if isinstance(extension.value, dict) and extension.value.get("url") == wanted
        ]

    return step


def _has_extension(url: Code) -> Step:
    find = _extension(url)
    return lambda scope, items: TRUE if find(scope, items) else FALSE


def _has_value(items: list[Any]) -> list[Any]:
    return TRUE if len(items) == 1 and _get_value(items) else FALSE


def _get_value(items: list[Any]) -> list[Any]:
    if len(items) != 1:
        return EMPTY
    item = items[0]
    if item.__class__ is Node and (item.value is None or isinstance(item.value, dict)):
        return EMPTY
    return [system(item)]


def _member_of(url: Code) -> Step:
    def step(scope: Scope, items: list[Any]) -> list[Any]:
        value_set = singleton(url.evaluate(scope), "the url of a value set")
        if not items or value_set is None:
            return EMPTY
        ask = scope.environment.member_of
        if ask is None:
            raise EvaluationError("memberOf() needs Environment.member_of")
        if len(items) > 1:
            raise EvaluationError(f"memberOf() needs a single item, got {len(items)}")
        answer = ask(plain(items[0]), value_set)
        return EMPTY if answer is None else TRUE if answer else FALSE

    return step


def _conforms_to(profile: Code) -> Step:
    def step(scope: Scope, items: list[Any]) -> list[Any]:
        url = singleton(profile.evaluate(scope), "the url of a profile")
        if len(items) != 1 or not isinstance(url, str):
            return EMPTY
        answer = _conforms(scope, items[0], url)
        return EMPTY if answer is None else TRUE if answer else FALSE

    return step


def _conforms(scope: Scope, item: Any, url: str) -> bool | None:
    name = url.removeprefix(CORE)
    if url.startswith(CORE) and named(name) is not None:
        return isinstance(item, Node) and name in item.type.ancestors
    ask = scope.environment.conforms_to
    if ask is None:
        raise EvaluationError(f"conformsTo() cannot decide on `{url}`: not a type of FHIR R4")
    return ask(plain(item), url)


def _html_checks(items: list[Any]) -> list[Any]:
    return TRUE if all(is_safe(str(plain(item))) for item in items) else FALSE


def _resource_key(items: list[Any]) -> list[Any]:
    return [key for item in items if item.__class__ is Node for key in members(item, "id")]


def reference_key(type_name: str | None = None) -> Step:
    """Compile `getReferenceKey([type])`: the id that a literal reference names.

    It equals what `getResourceKey()` gives for the resource; a reference to another server has none.

    https://sql-on-fhir.org/ig/latest/StructureDefinition-ViewDefinition.html
    """
    wanted = None if type_name is None else type_name.rpartition(".")[2]

    def step(_: Scope, items: list[Any]) -> list[Any]:
        found = (referenced(item) for item in items)
        return [
            each.id for each in found if each and each.base is None and wanted in (None, each.type)
        ]

    return step


FUNCTIONS = {
    "extension": Function(_extension, 1, 1),
    "hasExtension": Function(_has_extension, 1, 1),
    "hasValue": of_collection(_has_value),
    "getValue": of_collection(_get_value),
    "resolve": Function(lambda: resolve),
    "memberOf": Function(_member_of, 1, 1),
    "conformsTo": Function(_conforms_to, 1, 1),
    "htmlChecks": of_collection(_html_checks),
    "getResourceKey": of_collection(_resource_key),
    "getReferenceKey": Function(reference_key),
}
