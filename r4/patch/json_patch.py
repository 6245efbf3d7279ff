"""JSON Patch on FHIR JSON: add, remove, replace, move, copy and test, decimals kept.

Own code and not a library's, for errors that name the operation and the pointer, and so that
numbers stay Decimals and the arguments stay unchanged.

https://www.rfc-editor.org/rfc/rfc6902, https://www.rfc-editor.org/rfc/rfc6901
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from r4.json import Resource
from r4.patch.errors import failed, malformed

MAX_COPIED = 100_000
"""How many values the `copy` operations of one patch may add: copies of copies grow without end."""

Pointer = tuple[str, ...]

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_BAD_ESCAPE = re.compile(r"~(?![01])")
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class _Operation:
    """One operation, read; at: where it stands in the patch, for errors."""

    at: str
    name: str
    path: Pointer
    source: Pointer
    value: Any


def apply(resource: Resource, operations: Any) -> Resource:
    """Apply the operations in order, all or none, to a copy of the resource.

    operations: the decoded patch, a list of `{"op", "path", "value" | "from"}`; members that RFC 6902
    does not define are ignored. Arrays and objects left empty stay, as the RFC wants.
    Raises FhirError: 400 where the patch is not well-formed; 422 where a pointer leads nowhere, a
    test fails, or the outcome is no object.
    """
    if not isinstance(operations, list):
        raise malformed("operation", "A JSON Patch is an array of operations")
    try:
        read = [_read(f"operation[{index}]", each) for index, each in enumerate(operations)]
        return _applied(resource, read)
    except RecursionError:
        raise failed("operation", "The resource or the patch is too deeply nested") from None


def _applied(resource: Resource, operations: list[_Operation]) -> Resource:
    document: Any = _copied(resource)
    budget = MAX_COPIED
    for operation in operations:
        if operation.name == "copy":
            budget -= _size(_get(document, operation.source, operation.at))
        if budget < 0:
            problem = f"The copies of this patch add more than {MAX_COPIED} values"
            raise failed(operation.at, problem, "too-costly")
        document = _PERFORM[operation.name](document, operation)
    if not isinstance(document, dict):
        raise failed("operation", "The outcome of the patch is not an object, so no resource")
    return document


def _read(at: str, given: Any) -> _Operation:
    if not isinstance(given, dict):
        raise malformed(at, "An operation of a JSON Patch is an object")
    name = given.get("op")
    if not isinstance(name, str) or name not in _PERFORM:
        raise malformed(at, f"`op` must be one of {', '.join(_PERFORM)}")
    if name in ("add", "replace", "test") and "value" not in given:
        raise malformed(at, f"`{name}` needs a `value`")
    source = _pointer(given, "from", at) if name in ("move", "copy") else ()
    return _Operation(at, name, _pointer(given, "path", at), source, given.get("value"))


def _pointer(given: dict[str, Any], member: str, at: str) -> Pointer:
    text = given.get(member)
    if not isinstance(text, str):
        raise malformed(at, f"`{given['op']}` needs a `{member}`, a JSON Pointer")
    if text and not text.startswith("/"):
        raise malformed(at, f"the JSON Pointer `{text}` in `{member}` must start with `/`")
    if _BAD_ESCAPE.search(text):
        raise malformed(at, f"`~` must be written `~0` in the JSON Pointer `{text}`")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:])


def _add(document: Any, operation: _Operation) -> Any:
    return _put(document, operation, _copied(operation.value))


def _copy(document: Any, operation: _Operation) -> Any:
    return _put(document, operation, _copied(_get(document, operation.source, operation.at)))


def _move(document: Any, operation: _Operation) -> Any:
    source, path = operation.source, operation.path
    value = _get(document, source, operation.at)
    if source == path:
        return document
    if path[: len(source)] == source:
        raise failed(operation.at, f"`{_text(source)}` cannot move into itself, to `{_text(path)}`")
    _take(document, source, operation.at)
    return _put(document, operation, value)


def _remove(document: Any, operation: _Operation) -> Any:
    if not operation.path:
        return None
    _take(document, operation.path, operation.at)
    return document


def _replace(document: Any, operation: _Operation) -> Any:
    _get(document, operation.path, operation.at)
    if not operation.path:
        return _copied(operation.value)
    parent = _get(document, operation.path[:-1], operation.at)
    step = operation.path[-1]
    parent[int(step) if isinstance(parent, list) else step] = _copied(operation.value)
    return document


def _test(document: Any, operation: _Operation) -> Any:
    if not _equal(_get(document, operation.path, operation.at), operation.value):
        where = _text(operation.path)
        raise failed(operation.at, f"the test failed: `{where}` has another value", "conflict")
    return document


_PERFORM: dict[str, Callable[[Any, _Operation], Any]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


def _put(document: Any, operation: _Operation, value: Any) -> Any:
    """Set a member or insert before an index; `-` and the length append."""
    if not operation.path:
        return value
    parent = _get(document, operation.path[:-1], operation.at)
    step = operation.path[-1]
    if isinstance(parent, dict):
        parent[step] = value
    elif isinstance(parent, list) and step == "-":
        parent.append(value)
    elif isinstance(parent, list) and _INDEX.fullmatch(step) and int(step) <= len(parent):
        parent.insert(int(step), value)
    else:
        raise failed(operation.at, f"nothing can be added at `{_text(operation.path)}`")
    return document


def _take(document: Any, pointer: Pointer, at: str) -> None:
    _get(document, pointer, at)
    parent = _get(document, pointer[:-1], at)
    del parent[int(pointer[-1]) if isinstance(parent, list) else pointer[-1]]


def _get(document: Any, pointer: Pointer, at: str) -> Any:
    for depth, step in enumerate(pointer, 1):
        document = _child(document, step)
        if document is _ABSENT:
            raise failed(at, f"the resource has no `{_text(pointer[:depth])}`", "not-found")
    return document


def _child(node: Any, step: str) -> Any:
    if isinstance(node, dict):
        return node.get(step, _ABSENT)
    if isinstance(node, list) and _INDEX.fullmatch(step) and int(step) < len(node):
        return node[int(step)]
    return _ABSENT


def _equal(left: Any, right: Any) -> bool:
    """Compare by value: 1 equals 1.0, but Python's True must not equal 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    if _is_number(left) and _is_number(right):
        return bool(left == right)
    return left.__class__ is right.__class__ and bool(left == right)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_copied(each) for each in value]
    return value


def _size(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value
    return 1 + sum(map(_size, children)) if isinstance(value, dict | list) else 1


def _text(pointer: Pointer) -> str:
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in pointer)
