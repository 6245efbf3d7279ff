"""The closures that walk a resource: objects, arrays, primitive values and their `_` siblings.

https://hl7.org/fhir/R4/json.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

from profiles.findings import Check, Path, Run, listed, shown
from profiles.invariants import Invariant, by_need
from profiles.primitives import PRIMITIVES, Accepts, Primitive, Quick, is_text
from r4.json import Resource

_NUL, _LONG = "\x00", 1000
Handler = Callable[[Any, Resource, Path, Run], None]
"""What looks at one property of an object: its value, the object, the object's path, the run."""


class Name(NamedTuple):
    """An element's two names: its JSON property, and its step in a FHIRPath expression."""

    json: str
    step: str


@dataclass(frozen=True, slots=True)
class Choice:
    """An element that JSON writes under one of several names (`value[x]`, or `_value[x]`)."""

    name: str
    is_required: bool
    names: Mapping[str, str]
    """Each JSON name, with and without the underscore, to the one without."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What an object may hold (`handlers`, by property), must hold, and the rules on all of it.

    quick tells of the texts of some properties that they are right, and their handlers not needed.
    """

    type: str
    handlers: Mapping[str, Handler]
    quick: Mapping[str, Quick]
    required: tuple[str, ...]
    choices: tuple[Choice, ...]
    invariants: tuple[Invariant, ...]


def object_check(layout: Layout) -> Check:
    """Compile the check of one object."""
    handlers, complete = layout.handlers, _completeness(layout.required, layout.choices)
    quick = {name: layout.quick.get(name, _never) for name in handlers}
    hold = by_need(layout.invariants)

    def check(value: Any, path: Path, run: Run) -> None:
        if (value.__class__ is not dict or len(value) < 2) and _is_nothing(value, path, run):  # noqa: PLR2004
            return
        malformed = run.malformed
        for name in value:
            child = value[name]
            try:
                if child.__class__ is str:
                    is_right = quick[name]
                    if is_right is is_text:  # as half of them: the call is spared
                        if (
                            child
                            and len(child) < _LONG
                            and not child.isspace()
                            and _NUL not in child
                        ):
                            continue
                    elif is_right(child):
                        continue
                handler = handlers[name]
            except KeyError:
                _unknown(name, layout, path, run)
                continue
            handler(child, value, path, run)
        if complete is not None:
            complete(value, path, run)
        if hold is not None and run.malformed == malformed:
            hold(value, path, run)

    return check


def _never(_: str) -> bool:
    return False


def one(name: Name, check: Check, rules: tuple[Check, ...] = ()) -> Handler:
    """Handle an object that stands alone; the rules look at one that its check found well formed."""
    step = name.step

    def handle(value: Any, _: Resource, path: Path, run: Run) -> None:
        if value.__class__ is list:
            _not_single(path, name, run)
            return
        here: Path = (path, step, None)
        if not rules:
            check(value, here, run)
            return
        malformed = run.malformed
        check(value, here, run)
        if run.malformed == malformed:
            for rule in rules:
                rule(value, here, run)

    return handle


def many(name: Name, check: Check, rules: tuple[Check, ...] = ()) -> Handler:
    """Handle an array of objects, each as `one` does."""
    step, each = name.step, with_rules(check, rules)

    def handle(values: Any, _: Resource, path: Path, run: Run) -> None:
        if values.__class__ is list and len(values) == 1:
            each(values[0], (path, step, 0), run)
        elif _is_array(values, path, name, run):
            for index, value in enumerate(values):
                each(value, (path, step, index), run)

    return handle


def value(name: Name, accepts: Accepts, refuse: Check, then: Check | None) -> Handler:
    """Handle a primitive that stands alone; `then` looks at values that are accepted."""
    step = name.step

    def handle(value: Any, _: Resource, path: Path, run: Run) -> None:
        if not accepts(value):
            if value.__class__ is list:
                _not_single(path, name, run)
            else:
                refuse(value, (path, step, None), run)
        elif then is not None:
            then(value, (path, step, None), run)

    return handle


def values(name: Name, accepts: Accepts, refuse: Check, then: Check | None) -> Handler:
    """Handle an array of primitives; null stands where only the `_name` sibling says something."""
    step, beside = name.step, f"_{name.json}"

    def handle(values: Any, parent: Resource, path: Path, run: Run) -> None:
        if not _is_array(values, path, name, run):
            return
        for index, value in enumerate(values):
            if not accepts(value):
                if value is not None or not _has_entry(parent.get(beside), index):
                    refuse(value, (path, step, index), run)
            elif then is not None:
                then(value, (path, step, index), run)

    return handle


def sibling(name: Name, check: Check) -> Handler:
    """Handle the `_name` of a primitive: an Element with an id or extensions."""
    handle_object = one(name, check)

    def handle(entry: Any, parent: Resource, path: Path, run: Run) -> None:
        if not (name.json in parent and _is_only_an_id(entry)):
            handle_object(entry, parent, path, run)

    return handle


def siblings(name: Name, check: Check) -> Handler:
    """Handle the `_name` of an array of primitives: an Element or null for each of them."""
    step = name.step

    def handle(entries: Any, parent: Resource, path: Path, run: Run) -> None:
        if not _is_array(entries, path, name, run):
            return
        beside = parent.get(name.json)
        if isinstance(beside, list) and len(beside) != len(entries):
            said = f"{name.json} and _{name.json} must be equally long: fill up with null."
            run.refuse("structure", said, (path, step, None), "json-array")
        for index, entry in enumerate(entries):
            if entry is not None:
                if not (_has_entry(beside, index) and _is_only_an_id(entry)):
                    check(entry, (path, step, index), run)
            elif not _has_entry(beside, index):
                said = f"{name.json} and _{name.json} are both null: leave the entry out of both."
                run.refuse("structure", said, (path, step, index), "ele-1")

    return handle


def forbidden(name: str) -> Handler:
    """Handle an element that a profile on the type takes away."""

    def handle(_value: Any, _: Resource, path: Path, run: Run) -> None:
        said = f"{name} is not allowed here: leave it out."
        run.refuse("structure", said, (path, name, None), "cardinality")

    return handle


def ignore(_value: Any, _parent: Resource, _path: Path, _run: Run) -> None:
    """Handle a property that has been looked at already (resourceType)."""


def refusal(type_code: str, primitive: Primitive) -> Check:
    """Compile what says why a value is none of a primitive type."""

    def refuse(value: Any, path: Path, run: Run) -> None:
        if value == "":
            said = "A value must not be empty: leave the element out."
        else:
            said = f"{shown(value)} is not a {type_code}: write {primitive.advice}."
        run.refuse("value", said, path, type_code)

    return refuse


def with_rules(check: Check, rules: tuple[Check, ...]) -> Check:
    """Add rules that look at a value which its own check found well formed."""
    if not rules:
        return check

    def both(value: Any, path: Path, run: Run) -> None:
        malformed = run.malformed
        check(value, path, run)
        if run.malformed == malformed:
            for rule in rules:
                rule(value, path, run)

    return both


def all_of(rules: tuple[Check, ...]) -> Check | None:
    """Join rules into one; None for none."""
    return with_rules(rules[0], rules[1:]) if rules else None


def _is_only_an_id(entry: Any) -> bool:
    """Tell whether an Element has an id and no more, which is enough beside a value."""
    return entry.__class__ is dict and len(entry) == 1 and _is_text(entry.get("id"))


_is_text = PRIMITIVES["string"].accepts


def _has_entry(entries: Any, index: int) -> bool:
    return isinstance(entries, list) and len(entries) > index and entries[index] is not None


def _is_array(values: Any, path: Path, name: Name, run: Run) -> bool:
    if values.__class__ is not list:
        said = f"{name.json} may repeat, so its JSON is an array: write [ … ], even around one."
        run.refuse("structure", said, (path, name.step, None), "json-array")
        return False
    if not values:
        said = f"{name.json} must not be an empty array: leave it out."
        run.refuse("structure", said, (path, name.step, None), "ele-1")
        return False
    return True


def _not_single(path: Path, name: Name, run: Run) -> None:
    said = f"{name.json} may stand only once: write its value, not an array."
    run.refuse("structure", said, (path, name.step, None), "cardinality")


def _is_nothing(value: Any, path: Path, run: Run) -> bool:
    """Tell whether a value is no object, or one of nothing but an id, which is reported."""
    if value.__class__ is not dict:
        said = f"{shown(value)} stands where an object belongs: write {{ … }}."
        run.refuse("structure", said, path, "json-object")
        return True
    if value and "id" not in value:
        return False
    run.refuse("structure", "An object must say something: leave it out.", path, "ele-1")
    return True


def _completeness(required: tuple[str, ...], choices: tuple[Choice, ...]) -> Check | None:
    """Compile what misses elements, and alternatives that stand together; None for nothing."""
    chosen = {name: choice.name for choice in choices for name in choice.names}
    names, is_required = chosen.keys(), any(choice.is_required for choice in choices)

    def check(value: Resource, path: Path, run: Run) -> None:
        for name in required:
            if name not in value and f"_{name}" not in value:
                said = f"{name} is required: add it."
                run.report("error", "required", said, (path, name, None), "cardinality")
        if not chosen:
            return
        found = names & value.keys()
        if is_required or (len(found) > 1 and len({chosen[name] for name in found}) < len(found)):
            for choice in choices:
                _check_choice(choice, value, path, run)

    return check if required or choices else None


def _check_choice(choice: Choice, value: Resource, path: Path, run: Run) -> None:
    names = choice.names
    found = [name for name in value if name in names]
    if len(found) > 1 and len(distinct := {names[name] for name in found}) > 1:
        said = f"Only one of {listed(sorted(distinct))} may stand here: choose one."
        run.refuse("structure", said, (path, choice.name, None), "choice")
    elif not found and choice.is_required:
        said = f"{choice.name}[x] is required: add {_alternatives(choice)}."
        run.report("error", "required", said, (path, choice.name, None), "cardinality")


def _alternatives(choice: Choice) -> str:
    return listed(sorted(set(choice.names.values())))


def _unknown(name: str, layout: Layout, path: Path, run: Run) -> None:
    for choice in layout.choices:
        if name == choice.name:
            said = f"{name} carries its type in its name: write {_alternatives(choice)}."
            run.report("error", "structure", said, (path, name, None), "unknown-element")
            return
    close = get_close_matches(name, layout.handlers, 1)
    advice = f"Did you mean {close[0]}?" if close else "Leave it out, or use an extension."
    said = f"{layout.type} has no element {shown(name)}. {advice}"
    run.report("error", "structure", said, path, "unknown-element")
