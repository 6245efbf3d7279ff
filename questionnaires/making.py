"""A resource in the making: values put at element ids, the elements between them made on the way.

https://hl7.org/fhir/uv/sdc/extraction.html#definition-based-extraction
"""

from copy import deepcopy
from typing import Any, NamedTuple

from questionnaires.element_values import as_type
from questionnaires.shapes import Profile, Segment, Shape, normal, root, segment
from r4.issue import FhirError, error
from r4.json import Resource

Value = tuple[str | None, Any]
"""A FHIR type, None where it is not known, and a value of it."""


class Position(NamedTuple):
    """An object of the resource, and where it stands: its element id, and its shape."""

    path: str
    shape: Shape
    target: dict[str, Any]


Positions = tuple[Position, ...]
"""The objects that an item is inside of, the resource first."""


class Making:
    """One resource of the type or profile that a StructureDefinition describes."""

    def __init__(self, structure: Resource, canonical: str) -> None:
        shape = root(structure.get("type", ""))
        if shape is None:
            raise refusal(f"{canonical} is not a type of FHIR R4, nor a profile of one")
        self.type = structure["type"]
        self.resource: Resource = {"resourceType": self.type}
        self._profile = Profile(structure)
        if structure.get("derivation") == "constraint":
            self.resource["meta"] = {"profile": [canonical]}
        self._slices: dict[tuple[int, str], dict[str, Any]] = {}
        self.start: Positions = (Position(self.type, shape, self.resource),)

    def enter(self, positions: Positions, id: str) -> Positions:
        """Make the element of a group, and those above it that are not there, to put values in.

        An element that repeats is made anew; a slice, and what does not repeat, is found again.
        Raises FhirError (422) for an id that leads nowhere.
        """
        at, names = self._from(positions, id)
        for name in names:
            at = (*at, self._inside(at[-1], name))
        return at

    def put(
        self, positions: Positions, id: str, values: list[Value], unit: dict[str, Any]
    ) -> Positions:
        """Put values at an element id; returns the positions with the elements made for them.

        Raises FhirError (422) for an id that leads nowhere, a value of a type that the element cannot
        have, or a second value where there is one.
        """
        at, names = self._from(positions, id)
        if not names:
            raise refusal(f"{id} is the resource itself, which has no value")
        for name in names[:-1]:
            at = (*at, self._inside(at[-1], name))
        return self._set(at, names[-1], values, unit)

    def complete(self) -> Resource:
        """Return the resource, with what its profile fixes in it."""
        self._fix(self.start[0])
        return self.resource

    def _from(self, positions: Positions, id: str) -> tuple[Positions, list[str]]:
        wanted = normal(id)
        for count in range(len(positions), 0, -1):
            path = positions[count - 1].path
            if wanted == path or wanted.startswith(f"{path}."):
                rest = wanted.removeprefix(path).removeprefix(".")
                return positions[:count], rest.split(".") if rest else []
        raise refusal(f"{id} is no element of {self.type}")

    def _inside(self, at: Position, name: str) -> Position:
        step = segment(name)
        shape, path = self._child(at, step), f"{at.path}.{name}"
        if shape.key is None or shape.is_primitive:
            why = "is a value" if shape.is_primitive else "may have several types: name one of them"
            raise refusal(f"{path} has nothing inside it: it {why}")
        if step.slice is not None and (id(at.target), name) in self._slices:
            return Position(path, shape, self._slices[id(at.target), name])
        made: dict[str, Any] = {}
        if shape.many:
            at.target.setdefault(shape.key, []).append(made)
        else:
            made = at.target.setdefault(shape.key, made)
        if step.slice is not None:
            self._slices[id(at.target), name] = made
        return Position(path, shape, made)

    def _set(
        self, at: Positions, name: str, values: list[Value], unit: dict[str, Any]
    ) -> Positions:
        above, step = at[-1], segment(name)
        shape, path = self._child(above, step), f"{above.path}.{name}"
        if not shape.many and len(values) > 1:
            raise refusal(f"{path} holds one value, {len(values)} were found")
        types = self._profile.types(path) or shape.types
        for kind, value in values:
            type, cast = as_type(kind, deepcopy(value), types, unit)
            key = shape.key or shape.name + type[0].upper() + type[1:]
            if shape.many:
                above.target.setdefault(key, []).append(cast)
            elif key in above.target:
                raise refusal(f"{path} holds one value, and has one already")
            else:
                above.target[key] = cast
            if isinstance(cast, dict) and len(values) == 1:
                at = (*at, Position(path, shape, cast))
                if step.slice is not None:
                    self._slices[id(above.target), name] = cast
        return at

    def _child(self, at: Position, step: Segment) -> Shape:
        found = self._known(at, step)
        if found is None:
            raise refusal(f"{at.path} has no element {step.name}")
        return found

    def _known(self, at: Position, step: Segment) -> Shape | None:
        """Return the element of a step; of a choice, the type that the profile leaves to it."""
        found = at.shape.child(step.name)
        left = self._profile.types(f"{at.path}.{step.name}")
        if found is not None and found.key is None and len(left) == 1:
            return at.shape.child(step.name + left[0][0].upper() + left[0][1:])
        return found

    def _fix(self, at: Position) -> None:
        """Put what the profile fixes below an object: in what is there, and in what must be there."""
        for path in self._profile.children(at.path):
            name = path.rpartition(".")[2]
            shape = self._known(at, segment(name))
            if shape is None or shape.key is None:
                continue
            fixed = self._profile.fixed(path)
            if shape.is_primitive:
                if fixed is not None and self._profile.is_required(path):
                    at.target.setdefault(shape.key, [fixed] if shape.many else fixed)
                continue
            for target in self._instances(at, name, shape):
                self._fixed_in(Position(path, shape, target), fixed)
            if self._profile.is_required(path) and not self._instances(at, name, shape):
                made: dict[str, Any] = {}
                self._fixed_in(Position(path, shape, made), fixed)
                if made:
                    self._keep(at, name, shape, made)

    def _fixed_in(self, at: Position, fixed: Any) -> None:
        if isinstance(fixed, dict):
            for key, value in fixed.items():
                at.target.setdefault(key, deepcopy(value))
        self._fix(at)

    def _instances(self, at: Position, name: str, shape: Shape) -> list[dict[str, Any]]:
        """Return the objects that are there: of a slice its own, else all that the key has."""
        if segment(name).slice is not None:
            held = self._slices.get((id(at.target), name))
            return [] if held is None else [held]
        found = at.target.get(shape.key or "", [])
        return [found] if isinstance(found, dict) else list(found)

    def _keep(self, at: Position, name: str, shape: Shape, made: dict[str, Any]) -> None:
        key = shape.key or ""
        if shape.many:
            at.target.setdefault(key, []).append(made)
        else:
            at.target[key] = made
        if segment(name).slice is not None:
            self._slices[id(at.target), name] = made


def refusal(text: str) -> FhirError:
    """Return the refusal of an extraction by definitions: 422, rule `definition-extract`."""
    return FhirError(422, [error("processing", f"Extraction: {text}", rule="definition-extract")])
