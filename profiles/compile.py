"""From shapes to closures: one check for each type, compiled when it is first met.

https://hl7.org/fhir/R4/profiling.html
"""

from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from profiles import bindings, codings, extensions, known, narrative, nhs, objects, references
from profiles.findings import Check, Path, Run, shown
from profiles.invariants import Invariant, of_element, of_type, together
from profiles.primitives import PRIMITIVES, Quick
from profiles.shelf import Shelf
from profiles.structure import Element, Shape, Type, address, json_name, shape, step
from r4 import definitions
from r4.definitions.catalogue import Catalogue
from r4.issue import Severity
from r4.json import Resource
from terminology import Terminology
from terminology.systems import WELL_KNOWN

_COMPILING: ContextVar[frozenset[tuple[object, tuple[str, str]]]] = ContextVar(
    "compiling", default=frozenset()
)


@dataclass(frozen=True, slots=True, eq=False)
class Checks:
    """The compiled checks under one terminology and catalogue, by the address of their shape.

    structure_only: properties, types, cardinality, choices and the format of primitive values are
    looked at, and nothing else: no binding, invariant, target of a reference, narrative, extension's
    definition or profile.
    """

    shelf: Shelf
    nhs_severity: Severity | None
    structure_only: bool = False
    _compiled: dict[tuple[str, str], Check] = field(default_factory=dict)

    def resource(self, value: Any, path: Path, run: Run) -> None:
        """Check a whole resource, whatever its type; the run is one inside that resource."""
        if value.__class__ is not dict:
            run.refuse("structure", "A resource is a JSON object.", path, "json-object")
            return
        found = value.get("resourceType")
        if not isinstance(found, str) or found not in _known_types():
            run.refuse("structure", _no_such_type(found), path, "resource-type")
            return
        self.at(address(found))(value, path, run)
        meta = value.get("meta")
        if meta.__class__ is dict and "profile" in meta and not self.structure_only:
            for profile in declared(value):
                self.shelf.apply(profile, value, path, run)

    def at(self, where: tuple[str, str]) -> Check:
        """Return the check of a shape by its address, kept once it is compiled.

        Shapes hold one another (an Extension has a value with extensions): one that is met again
        while it is being compiled is looked up when it is used. What is being compiled is each
        request's own: a terminology may let others go on while it reads, in the same thread.
        """
        if (compiled := self._compiled.get(where)) is not None:
            return compiled
        compiling = _COMPILING.get()
        if (self, where) in compiling:
            return self._later(where)
        token = _COMPILING.set(compiling | {(self, where)})
        try:
            made = objects.object_check(self._layout(shape(*where)))
        finally:
            _COMPILING.reset(token)
        return self._compiled.setdefault(where, made)

    def _later(self, where: tuple[str, str]) -> Check:
        def check(value: Any, path: Path, run: Run) -> None:
            self.at(where)(value, path, run)

        return check

    def _layout(self, outline: Shape) -> objects.Layout:
        handlers: dict[str, objects.Handler] = {}
        quick: dict[str, Quick] = {}
        for element in outline.elements:
            handlers.update(self._handlers(element))
            quick.update(self._quick(element))
        if outline.is_resource:
            handlers["resourceType"] = objects.ignore
            quick["resourceType"] = outline.type.__eq__
        needed = [element for element in outline.elements if element.min > 0]
        return objects.Layout(
            type=outline.type,
            handlers=handlers,
            quick=quick,
            required=tuple(e.name for e in needed if not e.is_choice),
            choices=tuple(_choice(e) for e in outline.elements if e.is_choice),
            invariants=(
                *of_type(self._asked(outline.constraints), outline.type),
                *self._of_the_registry(outline.type),
            ),
        )

    def _handlers(self, element: Element) -> Iterator[tuple[str, objects.Handler]]:
        if element.max == "0":
            yield element.name, objects.forbidden(element.name)
            return
        if not element.types:
            yield element.name, self._of_objects(element, Type(element.path))
        for type_ in element.types:
            name = json_name(element, type_.code)
            if type_.is_primitive:
                yield name, self._of_values(element, type_)
                yield f"_{name}", self._of_siblings(element, type_)
            else:
                yield name, self._of_objects(element, type_)

    def _quick(self, element: Element) -> Iterator[tuple[str, Quick]]:
        """Yield what tells quickly that a text is right, where no rule but a binding is on it."""
        for type_ in () if element.repeats or element.max == "0" else element.types:
            if not type_.is_primitive or self._invariants(element, type_) is not None:
                continue
            rules, quick = self._rules(element, type_), PRIMITIVES[type_.code].quick
            if element.path in _OF_CODES:
                quick = _known_systems().__contains__
            if rules:
                quick = bindings.quick(type_.code, element.binding or {}, self.shelf.terminology)
            if quick is not None and len(rules) <= 1:
                yield json_name(element, type_.code), quick

    def _of_objects(self, element: Element, type_: Type) -> objects.Handler:
        handle = objects.many if element.repeats else objects.one
        handler = handle(
            _name(element, type_), self._object(element, type_), self._rules(element, type_)
        )
        if type_.code != "Extension" or not element.repeats or self.structure_only:
            return handler
        return extensions.handler(handler, element.name, self.shelf)

    def _object(self, element: Element, type_: Type) -> Check:
        if type_.code == "Resource":
            return self._contained if element.name == "contained" else self._embedded
        return self.at(element.shape or address(type_.code, type_.profile))

    def _of_values(self, element: Element, type_: Type) -> objects.Handler:
        primitive = PRIMITIVES[type_.code]
        handle = objects.values if element.repeats else objects.value
        return handle(
            _name(element, type_),
            primitive.accepts,
            objects.refusal(type_.code, primitive),
            objects.all_of(self._rules(element, type_)),
        )

    def _of_siblings(self, element: Element, type_: Type) -> objects.Handler:
        handle = objects.siblings if element.repeats else objects.sibling
        return handle(_name(element, type_), self.at(address("Element")))

    def _rules(self, element: Element, type_: Type) -> tuple[Check, ...]:
        rules: list[Check | None] = []
        if self.structure_only:
            return ()
        if element.path == "Meta.profile":
            rules.append(known.check(self.shelf))
        if type_.code == "xhtml":
            rules.append(narrative.check)
        if type_.code == "Reference":
            rules.append(references.check(type_.targets, self.shelf.type_of))
        if element.binding is not None:
            shelf = self.shelf
            found = bindings.check(
                type_.code, element.binding, shelf.terminology, warnings=shelf.warnings
            )
            rules.append(found)
        if self.shelf.warnings:
            rules.append(codings.check(type_.code, self.shelf.terminology))
        if element.shape is None:
            rules.append(self._invariants(element, type_))
        return tuple(rule for rule in rules if rule is not None)

    def _invariants(self, element: Element, type_: Type) -> Check | None:
        invariants = of_element(self._asked(element.constraints), type_.code)
        return together(invariants) if invariants else None

    def _asked(self, constraints: tuple[Resource, ...]) -> tuple[Resource, ...]:
        """Leave out what only warns, where no warnings are asked for."""
        if self.structure_only:
            return ()
        is_asked = self.shelf.warnings
        return tuple(each for each in constraints if is_asked or each["severity"] == "error")

    def _of_the_registry(self, type_code: str) -> tuple[Invariant, ...]:
        if self.structure_only:
            return ()
        return nhs.rules(type_code, self.nhs_severity, warnings=self.shelf.warnings)

    def _contained(self, value: Any, path: Path, run: Run) -> None:
        self._inside(value, run.resource, path, run)

    def _embedded(self, value: Any, path: Path, run: Run) -> None:
        self._inside(value, value, path, run)

    def _inside(self, value: Any, root: Resource, path: Path, run: Run) -> None:
        inner = run.inside(value, root, path)
        self.resource(value, path, inner)
        run.malformed += inner.malformed


@lru_cache(maxsize=16)
def checks(
    terminology: Terminology,
    structures: Catalogue,
    nhs_severity: Severity | None = "error",
    warnings: bool = True,
) -> Checks:
    """Return the checks under a terminology and a catalogue of definitions, compiled once for both."""
    return Checks(Shelf(terminology, structures, warnings), nhs_severity)


def declared(resource: Any) -> tuple[str, ...]:
    """List the profiles that a resource says it meets, each once; what is no text is left out."""
    meta = resource.get("meta") if isinstance(resource, dict) else None
    named = meta.get("profile") if isinstance(meta, dict) else None
    texts = named if isinstance(named, list) else ()
    return tuple(dict.fromkeys(each for each in texts if isinstance(each, str)))


def _name(element: Element, type_: Type) -> objects.Name:
    return objects.Name(json_name(element, type_.code), step(element, type_.code))


def _choice(element: Element) -> objects.Choice:
    names = [json_name(element, type_.code) for type_ in element.types]
    primitive = [json_name(element, t.code) for t in element.types if t.is_primitive]
    both = {name: name for name in names} | {f"_{name}": name for name in primitive}
    return objects.Choice(element.name, element.min > 0, both)


@lru_cache(maxsize=1)
def _known_types() -> frozenset[str]:
    return frozenset(definitions.resource_types())


_OF_CODES = frozenset({"Coding.system", "Quantity.system"})
"""Elements whose values are few, and mostly the same."""


@lru_cache(maxsize=1)
def _known_systems() -> frozenset[str]:
    return frozenset((*definitions.urls("CodeSystem"), *WELL_KNOWN))


def _no_such_type(found: Any) -> str:
    if found is None:
        return "resourceType is missing: it names the type of the resource, such as Patient."
    close = get_close_matches(str(found), definitions.resource_types(), 1)
    advice = f" Did you mean {close[0]}?" if close else ""
    return f"{shown(found)} is not a resource type of FHIR R4.{advice}"
