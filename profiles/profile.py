"""A profile's snapshot compiled to what it adds: the rules that the type itself does not have.

A resource is checked against its type first; what a profile only repeats costs nothing.
https://hl7.org/fhir/R4/profiling.html
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from profiles import bindings, references, values
from profiles.discriminators import Discriminator, Known, compiled
from profiles.findings import Check, Path, Run, listed
from profiles.invariants import of_profile, together
from profiles.items import Address, Field, Item, element_of, fields, items, of_resource
from profiles.slicing import Group, ItemCheck, Slice, Slicing
from profiles.structure import Element, Type, address, json_name, read_type, shape
from profiles.tree import Node, nodes
from r4 import definitions
from r4.definitions import CORE
from r4.json import Resource

ObjectCheck = Callable[[Resource, Path, Run], None]
"""What looks at one element of an object, at the object's path."""

_IMPLICIT: dict[str, Resource] = {
    "extension": {"discriminator": [{"type": "value", "path": "url"}], "rules": "open"},
    "modifierExtension": {"discriminator": [{"type": "value", "path": "url"}], "rules": "open"},
}
_OF_TYPES: Resource = {"discriminator": [{"type": "type", "path": "$this"}], "rules": "open"}


def compile_profile(structure: Resource, known: Known) -> Check:
    """Compile what a profile with a snapshot adds to its type; the check takes a value of the type."""
    by_id = nodes(structure["snapshot"]["element"])
    type_ = structure["type"]
    root = next(iter(by_id.values()))
    itself = Element(type_, type_, 0, "*", (Type(type_),), False, None, None, ())
    check = _Compiler(by_id, known).item(root, itself, None)
    where = address(type_)

    def check_root(value: Any, path: Path, run: Run) -> None:
        if check is None:
            return
        if isinstance(value, dict) and "resourceType" in value:
            check(of_resource(value, path)._replace(is_resource=False), run)
        else:
            held = value if isinstance(value, dict) else {}
            check(Item(value, held, type_, where, path), run)

    return check_root


@dataclass(frozen=True, slots=True)
class _Compiler:
    """Compiles elements; `over` is the same element where it stands without the slice, if any."""

    by_id: dict[str, Node]
    known: Known
    referred: dict[str, tuple[ObjectCheck, ...]] = field(default_factory=dict)

    def item(self, node: Node, element: Element, over: Node | None) -> ItemCheck | None:
        """Compile what a profile adds to each value of an element; None for nothing."""
        own = _added(node, over)
        of_value = tuple(values.checks(own))
        rules = {
            t.code: found for t in _types(node, element) if (found := self._rules(own, element, t))
        }
        parts: list[ItemCheck] = []
        if (narrowed := _narrowed(node, element, over)) is not None:
            parts.append(narrowed)
        if of_value or rules:
            parts.append(_on_values(of_value, rules))
        if (inner := self._below(node, element, over)) is not None:
            parts.append(inner)
        return _together(tuple(parts), element.name == "contained")

    def objects(self, node: Node, where: Address, over: Node | None) -> tuple[ObjectCheck, ...]:
        """Compile what a profile adds to the elements of an object."""
        return tuple(
            check
            for child in node.children.values()
            if (check := self._element(child, where, over and over.children.get(child.name)))
        )

    def _element(self, node: Node, where: Address, over: Node | None) -> ObjectCheck | None:
        element = element_of(where, node.name)
        if element is None:
            return None
        count = _counted(node, element, over)
        check = self.item(node, element, over)
        slices = self._slicing(node, element, over)
        if count is None and check is None and slices is None:
            return None
        ways = fields(where, node.name)
        return _on_element(ways, count, check, slices)

    def _below(self, node: Node, element: Element, over: Node | None) -> ItemCheck | None:
        reference = node.element.get("contentReference")
        if reference is not None:
            return self._referred(reference.rpartition("#")[2], element)
        types = _types(node, element)
        if not node.children or len(types) != 1:
            return None
        is_primitive = types[0].is_primitive
        where = address("Element") if is_primitive else element.shape or address(types[0].code)
        return _on_held(self.objects(node, where, over))

    def _referred(self, identity: str, element: Element) -> ItemCheck | None:
        target = self.by_id.get(identity)
        if target is None or element.shape is None:
            return None
        where = element.shape

        def check(item: Item, run: Run) -> None:
            if identity not in self.referred:
                self.referred[identity] = self.objects(target, where, None)
            for each in self.referred[identity]:
                each(item.held, item.path, run)

        return check

    def _slicing(self, node: Node, element: Element, over: Node | None) -> Group | None:
        slicing = node.element.get("slicing") or _IMPLICIT.get(node.name)
        if slicing is None and element.is_choice:
            slicing = _OF_TYPES
        if slicing is None or _is_repeated(node, over):
            return None
        slices = [self._slice(each, node, element, slicing) for each in node.slices]
        known = tuple(each for each in slices if each is not None)
        rules = str(slicing.get("rules")) if len(known) == len(slices) else "open"
        if not known and rules != "closed":
            return None
        return Slicing(element.name, rules, bool(slicing.get("ordered")), known)

    def _slice(self, node: Node, over: Node, element: Element, slicing: Resource) -> Slice | None:
        check = self.item(node, element, over)
        asked = slicing.get("discriminator", ())
        found = [each for one in asked if (each := compiled(one, node, self.known)) is not None]
        if not found:
            if check is None:
                return None
            found = [_as_a_whole(check)]
        inner = self._slicing(node, element, None) if node.slices else None
        return Slice(node.slice, node.min, node.max, tuple(found), check, inner)

    def _rules(self, own: Resource, element: Element, type_: Type) -> tuple[Check, ...]:
        return tuple(check for check in self._each_rule(own, element, type_) if check is not None)

    def _each_rule(self, own: Resource, element: Element, type_: Type) -> Iterator[Check | None]:
        known, said = self.known, next((t for t in element.types if t.code == type_.code), None)
        if "binding" in own and not _is_bound_likewise(own["binding"], element.binding):
            yield bindings.check(
                type_.code, own["binding"], known.terminology, warnings=known.warnings
            )
        targets = type_.targets if type_.code == "Reference" and "type" in own else ()
        if targets and (said is None or targets != said.targets):
            yield references.check(targets, known.type_of)
            if any(not target.startswith(CORE) for target in targets):
                yield references.conformance(targets, known.conforms)
        if "type" in own and type_.code != "Extension":
            profiles = _profiles(own, type_.code)
            if profiles and profiles != ((said.profile,) if said else ()):
                yield _conforming(profiles, known)
        invariants = of_profile(self._constraints(own, element, type_), _name(element, type_))
        if invariants:
            yield together(invariants)

    def _constraints(self, own: Resource, element: Element, type_: Type) -> list[Resource]:
        known = {each["key"] for each in element.constraints}
        where = element.shape or address(type_.code)
        if definitions.structure(where[0]) is not None:
            known |= {each["key"] for each in shape(*where).constraints}
        return [
            each
            for each in own.get("constraint", ())
            if each["key"] not in known and (self.known.warnings or each.get("severity") == "error")
        ]


def _on_element(
    ways: tuple[Field, ...],
    count: Group | None,
    check: ItemCheck | None,
    slices: Group | None,
) -> ObjectCheck:
    def check_element(held: Resource, path: Path, run: Run) -> None:
        found = items(ways, held, path)
        if count is not None:
            count(found, path, run)
        if check is not None:
            for item in found:
                check(item, run)
        if slices is not None:
            slices(found, path, run)

    return check_element


def _on_values(of_value: tuple[Check, ...], rules: dict[str, tuple[Check, ...]]) -> ItemCheck:
    def check(item: Item, run: Run) -> None:
        for each in of_value:
            each(item.value, item.path, run)
        if item.value is not None and not run.malformed:
            for each in rules.get(item.code, ()):
                each(item.value, item.path, run)

    return check


def _on_held(checks: tuple[ObjectCheck, ...]) -> ItemCheck | None:
    if not checks:
        return None

    def check(item: Item, run: Run) -> None:
        for each in checks:
            each(item.held, item.path, run)

    return check


def _together(parts: tuple[ItemCheck, ...], is_contained: bool) -> ItemCheck | None:
    if not parts:
        return None

    def check(item: Item, run: Run) -> None:
        if item.is_resource:
            malformed = run.malformed
            run = run.inside(item.value, run.root if is_contained else item.value, item.path)
            run.malformed = malformed
        for each in parts:
            each(item, run)

    return check


def _added(node: Node, over: Node | None) -> Resource:
    """Return what an element says beyond the one it is a slice of."""
    if over is None:
        return node.element
    said = over.element
    own = {key: value for key, value in node.element.items() if said.get(key) != value}
    if "constraint" in own:
        keys = {each["key"] for each in said.get("constraint", ())}
        own["constraint"] = [each for each in own["constraint"] if each["key"] not in keys]
    return own


def _types(node: Node, element: Element) -> tuple[Type, ...]:
    types = tuple(read_type(each) for each in node.element.get("type", ()))
    return (
        types
        if element.is_choice or _is_resource(element)
        else element.types and _same(types, element)
    )


def _same(types: tuple[Type, ...], element: Element) -> tuple[Type, ...]:
    """Return the types with the codes of the element's own: a snapshot says System.String for an id."""
    known = {each.code for each in element.types}
    return tuple(each for each in types if each.code in known) or element.types


def _is_resource(element: Element) -> bool:
    return bool(element.types) and element.types[0].code == "Resource"


def _narrowed(node: Node, element: Element, over: Node | None) -> ItemCheck | None:
    if not element.is_choice and not _is_resource(element):
        return None
    codes = {each.code for each in _types(node, element)}
    before = {each.code for each in (_types(over, element) if over else element.types)}
    if not codes or codes >= before or codes & {"Resource", "DomainResource"}:
        return None
    names = (
        sorted(json_name(element, code) for code in codes) if element.is_choice else sorted(codes)
    )

    def check(item: Item, run: Run) -> None:
        if item.code not in codes:
            said = f"{item.code} is not allowed here: write {listed(names)}."
            run.report("error", "structure", said, item.path, "type")

    return check


def _counted(node: Node, element: Element, over: Node | None) -> Group | None:
    least = max(element.min, 0 if over is None else over.min)
    most = min(_most(element.max), _most("*" if over is None else over.max))
    low, high = node.min if node.min > least else 0, _most(node.max)
    name, allowed = element.name, node.max
    if not low and high >= most:
        return None

    def count(found: list[Item], path: Path, run: Run) -> None:
        number = len(found)
        if number < low:
            often = "" if low == 1 else f" {low} times, and stands {number} times"
            said = f"{name} is required{often}: add it."
            run.report("error", "required", said, (path, name, None), "cardinality")
        elif number > high:
            said = f"{name} may stand {allowed} times at most, and stands {number} times."
            if allowed == "0":
                said = f"{name} is not allowed here: leave it out."
            run.report("error", "structure", said, (path, name, None), "cardinality")

    return count


def _most(text: str) -> float:
    return float("inf") if text == "*" else int(text)


def _is_repeated(node: Node, over: Node | None) -> bool:
    return over is not None and [e.element for e in over.slices] == [e.element for e in node.slices]


def _is_bound_likewise(binding: Resource, other: Resource | None) -> bool:
    return other is not None and all(
        binding.get(key) == other.get(key) for key in ("strength", "valueSet")
    )


def _profiles(own: Resource, code: str) -> tuple[str, ...]:
    types = (each for each in own["type"] if each.get("code") == code)
    return tuple(profile for each in types for profile in each.get("profile", ()))


def _name(element: Element, type_: Type) -> str:
    return element.shape[1] if element.shape is not None else type_.code


def _as_a_whole(check: ItemCheck) -> Discriminator:
    def fits(item: Item, run: Run) -> bool:
        trial = run.apart()
        check(item, trial)
        return not any(issue.is_error for issue in trial.issues)

    return Discriminator(fits, "all that the slice says")


def _conforming(profiles: tuple[str, ...], known: Known) -> Check:
    def check(value: Any, path: Path, run: Run) -> None:
        answers = [known.conforms(value, profile, run) for profile in profiles]
        if all(answer is False for answer in answers):
            said = f"This does not conform to {listed(profiles)}: correct it."
            run.report("error", "structure", said, path, "type-profile")
        elif known.warnings and True not in answers:
            said = f"{listed(profiles)} is not known here, so this was not checked against it."
            run.report("warning", "not-found", said, path, "profile-not-loaded")

    return check
