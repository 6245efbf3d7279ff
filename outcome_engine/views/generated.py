"""Views as generated Python: each path read straight from the JSON, what paths share read once.

Where a resource is not as FHIR's definitions say, or a path finds what plain code cannot tell, the
evaluator is asked: `Odd` says so.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from outcome_engine.views.plain import Extension, First, Get, Key, NotPlain, Plain, Step, plain
from outcome_engine.views.view import Column, Select, View
from r4.fhirpath.types import Type, of_resource
from r4.json import Resource

Row = tuple[Any, ...]
Fallback = Callable[[Column, Type], Callable[[Resource, Any], Any]]
"""What evaluates the column of a focus's type: from the resource and the focus to the value."""

_ID = r"[A-Za-z0-9\-.]{1,64}"
_INDENT = "    "


class Odd(Exception):  # noqa: N818 - no error: the resource is for the evaluator
    """A resource that the generated code leaves to the evaluator."""


def generated(view: View, fallback: Fallback) -> Callable[[Resource], list[Row]]:
    """Return what flattens a resource of the view's type; it may raise Odd, AttributeError, TypeError.

    Raises NotPlain for a view whose rows are not those of plain loops.
    """
    writer = _Writer(fallback)
    source = writer.function(view)
    # Of a definition, only keys that FHIR defines and urls as literals stand in it.
    exec(compile(source, f"<view {view.id}>", "exec"), writer.names)  # noqa: S102
    flatten: Callable[[Resource], list[Row]] = writer.names["flatten"]
    return flatten


def key_of(type_name: str) -> Callable[[str | None], str | None]:
    """Return what reads the id from a reference to a resource of this server; "" for every type."""
    wanted = re.escape(type_name) or "[A-Z][A-Za-z]+"
    match = re.compile(f"{wanted}/({_ID})(?:/_history/{_ID})?").fullmatch

    def key(text: str | None) -> str | None:
        found = None if text is None else match(text)
        return found[1] if found else None

    return key


@dataclass(frozen=True, slots=True)
class _Focus:
    """A variable, the type of the element in it, whether it may be None, and what is read from it."""

    name: str
    type: Type
    may_be_none: bool
    known: dict[tuple[str, tuple[Step, ...]], str]


class _Writer:
    """The source of one view, and the names that it uses."""

    def __init__(self, fallback: Fallback) -> None:
        self.names: dict[str, Any] = {"Odd": Odd, "NULLS": (None,)}
        self._fallback = fallback
        self._lines: list[str] = []
        self._functions: list[str] = []
        self._keys: dict[str, str] = {}
        self._count = 0

    def function(self, view: View) -> str:
        """Write the functions of a view; `flatten` is the one to call."""
        if view.where:
            raise NotPlain
        focus = _Focus("r", of_resource(view.resource), False, {})
        parts = [(select, focus) for select in view.selects]
        self._part(parts, _INDENT, {}, [column.name for column in view.columns])
        body = ["def flatten(r):", f"{_INDENT}rows = []", *self._lines, f"{_INDENT}return rows"]
        return "\n".join([*self._functions, *body]) + "\n"

    def _part(
        self,
        parts: Sequence[tuple[Select, _Focus]],
        indent: str,
        columns: dict[str, str],
        order: list[str],
    ) -> None:
        if not parts:
            values = "".join(f"{columns[name]}, " for name in order)
            self._lines.append(f"{indent}rows.append(({values}))")
            return
        (select, focus), *rest = parts
        if select.unions or select.iteration == "repeat":
            raise NotPlain
        if select.iteration:
            focus, indent = self._loop(select, focus, indent)
        own = {column.name: self._column(column, focus, indent) for column in select.columns}
        nested = [(each, focus) for each in select.selects]
        # What is read within a loop is known within it alone.
        rest = [(each, at) for each, at in rest]
        self._part([*nested, *rest], indent, columns | own, order)

    def _loop(self, select: Select, focus: _Focus, indent: str) -> tuple[_Focus, str]:
        path = plain(select.paths[0], focus.type)
        if len(path.alternatives) > 1:
            raise NotPlain
        items = self._items(path.alternatives[0], focus, indent)
        may_be_none = select.iteration == "forEachOrNull"
        variable = self._name("f")
        otherwise = "NULLS" if may_be_none else "()"
        self._lines.append(f"{indent}for {variable} in {items} or {otherwise}:")
        return _Focus(variable, path.type, may_be_none, {}), indent + _INDENT

    def _items(self, steps: tuple[Step, ...], focus: _Focus, indent: str) -> str:
        *before, last = steps
        before_lists = all(isinstance(step, Get) and not step.many for step in before)
        if isinstance(last, Get) and last.many and not last.shadow and before_lists:
            owner, may_be_none = self._read(tuple(before), focus, indent)
            return _asked(f"{owner}.get({last.key!r})", owner, may_be_none)
        called = f"{self._gathering(steps, 'list')}({focus.name})"
        return _asked(called, focus.name, focus.may_be_none)

    def _column(self, column: Column, focus: _Focus, indent: str) -> str:
        with suppress(NotPlain):
            if not column.collection:
                return self._value(plain(column.path, focus.type), focus, indent)
        name = self._name("e")
        self.names[name] = self._fallback(column, focus.type)
        return self._assigned(f"{name}(r, {focus.name})", indent)

    def _value(self, path: Plain, focus: _Focus, indent: str) -> str:
        if len(path.alternatives) == 1:
            return self._read(path.alternatives[0], focus, indent)[0]
        variables = [
            self._read(steps, focus, indent, strict=True)[0] for steps in path.alternatives
        ]
        value = self._name("u")
        for index, variable in enumerate(variables):
            self._lines.append(f"{indent}{'elif' if index else 'if'} {variable} is not None:")
            self._lines.append(f"{indent}{_INDENT}{value} = {variable}")
            others = [f"{other} is not None" for other in variables[index + 1 :]]
            if others and not path.first:
                self._lines.append(f"{indent}{_INDENT}if {' or '.join(others)}:")
                self._lines.append(f"{indent}{_INDENT}{_INDENT}raise Odd")
        self._lines += [f"{indent}else:", f"{indent}{_INDENT}{value} = None"]
        return value

    def _read(
        self, steps: tuple[Step, ...], focus: _Focus, indent: str, *, strict: bool = False
    ) -> tuple[str, bool]:
        """Read what steps find into a variable; returns it, and whether it may be None.

        strict: a value that is missing and has extensions is Odd, for it would count as one.
        """
        name, may_be_none = focus.name, focus.may_be_none
        rest = [*steps]
        while rest:
            taken, rest = _segment(rest)
            if not taken:
                continue
            last = taken[-1]
            if strict and isinstance(last, Get) and last.shadow:
                guard = f"{name} is not None and " if may_be_none else ""
                self._lines.append(f"{indent}if {guard}{last.shadow!r} in {name}:")
                self._lines.append(f"{indent}{_INDENT}raise Odd")
            known = focus.known.get((name, taken))
            if known is None:
                known = self._assigned(
                    _asked(self._reading(taken, name), name, may_be_none), indent
                )
                focus.known[(name, taken)] = known
            name, may_be_none = known, True
        return name, may_be_none

    def _reading(self, taken: tuple[Step, ...], name: str) -> str:
        match taken:
            case (Get(key, False),):
                return f"{name}.get({key!r})"
            case (Key() as step,):
                return f"{self._key(step)}({name})"
            case (*walked, First()):
                return f"{self._gathering(tuple(walked), 'first')}({name})"
            case _:
                return f"{self._gathering(taken, 'single')}({name})"

    def _key(self, step: Key) -> str:
        if step.type not in self._keys:
            name = self._keys[step.type] = self._name("k")
            self.names[name] = key_of(step.type)
        return self._keys[step.type]

    def _gathering(self, steps: tuple[Step, ...], mode: str) -> str:
        """Write a function that walks lists: to the first value, the single one, or all."""
        name, indent, item = self._name("p"), _INDENT, "a0"
        start = {"first": "None", "single": "None", "list": "[]"}[mode]
        lines = [f"def {name}(a0):", f"{indent}found = {start}"]
        for number, step in enumerate(steps, 1):
            below = f"a{number}"
            opened, indent = _opened(step, item, below, indent)
            lines += opened
            item = below
        lines += _taken(mode, item, indent)
        self._functions += [*lines, f"{_INDENT}return found", ""]
        return name

    def _assigned(self, expression: str, indent: str) -> str:
        name = self._name("v")
        self._lines.append(f"{indent}{name} = {expression}")
        return name

    def _name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"


def _asked(read: str, name: str, may_be_none: bool) -> str:
    return f"({read} if {name} is not None else None)" if may_be_none else read


def _segment(steps: list[Step]) -> tuple[tuple[Step, ...], list[Step]]:
    """Take a step that finds one value at most; or all steps that walk lists, to their First or end."""
    step, *rest = steps
    if isinstance(step, First):
        return (), rest
    if isinstance(step, Key) or (isinstance(step, Get) and not step.many):
        return (step,), rest
    for index, each in enumerate(steps):
        if isinstance(each, First):
            return tuple(steps[: index + 1]), steps[index + 1 :]
    return tuple(steps), []


def _opened(step: Step, item: str, below: str, indent: str) -> tuple[list[str], str]:
    inner = indent + _INDENT
    if isinstance(step, Extension):
        return [
            f"{indent}for {below} in {item}.get('extension') or ():",
            f"{inner}if {below}.get('url') == {step.url!r}:",
        ], inner + _INDENT
    if not isinstance(step, Get):
        raise NotPlain
    odd = [f"{indent}if {step.shadow!r} in {item}:", f"{inner}raise Odd"] if step.shadow else []
    if step.many:
        return [
            *odd,
            f"{indent}for {below} in {item}.get({step.key!r}) or ():",
            f"{inner}if {below} is not None:",
        ], inner + _INDENT
    return [
        *odd,
        f"{indent}{below} = {item}.get({step.key!r})",
        f"{indent}if {below} is not None:",
    ], inner


def _taken(mode: str, item: str, indent: str) -> list[str]:
    if mode == "first":
        return [f"{indent}return {item}"]
    if mode == "list":
        return [f"{indent}found.append({item})"]
    return [
        f"{indent}if found is not None:",
        f"{indent}{_INDENT}raise Odd",
        f"{indent}found = {item}",
    ]
