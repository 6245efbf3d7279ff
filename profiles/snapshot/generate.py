"""Generate a snapshot: walk the base's tree as the differential says, and merge what it says there.

https://hl7.org/fhir/R4/profiling.html#snapshot
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from profiles.snapshot.merge import merged, most, widenings
from profiles.snapshot.tree import CHOICE, Node, Steps, elements, is_choice, placed, tree
from r4.definitions import CORE
from r4.issue import FhirError, Issue, error
from r4.json import Resource

Find = Callable[[str], Resource | None]
_SYSTEM_TYPE = "http://hl7.org/fhirpath/"
_EXTENSIONS = {"extension", "modifierExtension"}
_BY_URL = {"discriminator": [{"type": "value", "path": "url"}], "ordered": False, "rules": "open"}
_BY_TYPE = {"discriminator": [{"type": "type", "path": "$this"}], "ordered": False, "rules": "open"}


def snapshot(structure: Resource, find: Find) -> Resource:
    """Return a StructureDefinition with the snapshot that its differential makes of its base.

    find: the StructureDefinition that a canonical means, or None; one without a snapshot is given one in
    turn. Raises FhirError 422 where a base or a profile is missing or goes in a circle, where an element
    is not one of the base's, a slice is one of nothing sliced, or more is allowed than the base allows.
    https://hl7.org/fhir/R4/profiling.html#snapshot
    """
    return _Generation(find).of(structure)


@dataclass(slots=True)
class _Generation:
    """The snapshots of one call: those made, and those whose making has begun."""

    find: Find
    trees: dict[str, Node] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)

    def of(self, structure: Resource) -> Resource:
        """Return the structure with its snapshot."""
        root = self._generated(structure)
        return {**structure, "snapshot": {"element": list(elements(root))}}

    def tree(self, canonical: str) -> Node:
        """Return the tree of the snapshot of another StructureDefinition: not to be changed."""
        if canonical not in self.trees:
            self.trees[canonical] = self._tree(canonical)
        return self.trees[canonical]

    def root(self, canonical: str) -> Resource | None:
        """Return the first element of a profile's snapshot, the rest not made; None for one not known.

        A profile may so have itself somewhere inside.
        """
        said: list[Resource] = []
        seen: set[str] = set()
        while canonical not in seen and (structure := self.find(canonical)) is not None:
            seen.add(canonical)
            if "snapshot" in structure:
                element: Resource = structure["snapshot"]["element"][0]
                for each in reversed(said):
                    element = merged(element, each)
                return element
            first = structure.get("differential", {}).get("element", [{}])[0]
            if "." not in first.get("path", "."):
                said.append(first)
            canonical = structure.get("baseDefinition", "")
        return None

    def _tree(self, canonical: str) -> Node:
        structure = self.find(canonical)
        if structure is None:
            wanted = f" ({self.begun[-1]} is made from it)" if self.begun else ""
            text = f"The StructureDefinition {canonical} is not known here{wanted}: load it first."
            raise FhirError(422, [error("not-found", text)])
        if "snapshot" not in structure:
            return self._generated(structure)
        made = tree(structure["snapshot"]["element"])
        if made is None:
            text = f"The snapshot of {canonical} has an element before its parent: publish it anew."
            raise FhirError(422, [error("structure", text)])
        return made

    def _generated(self, structure: Resource) -> Node:
        url: str = structure.get("url") or structure.get("id") or "without url"
        if url in self.begun:
            circle = " -> ".join([*self.begun[self.begun.index(url) :], url])
            text = f"A StructureDefinition is made from itself: {circle}."
            raise FhirError(422, [error("business-rule", text)])
        if "baseDefinition" not in structure:
            text = f"{url} has neither a snapshot nor a baseDefinition: give it one."
            raise FhirError(422, [error("required", text, "StructureDefinition.baseDefinition")])
        self.begun.append(url)
        try:
            return _Laying(self, structure).laid()
        finally:
            self.begun.remove(url)


class _Laying:
    """One differential laid over its base."""

    def __init__(self, generation: _Generation, structure: Resource) -> None:
        self._generation = generation
        self._said = structure.get("differential", {}).get("element", [])
        self._adds = structure.get("derivation") == "specialization"
        self._root = generation.tree(structure["baseDefinition"]).copy()
        self._root.name = structure["type"].rpartition("/")[2]
        self._issues: list[Issue] = []
        self._mentioned: dict[Node, set[str | None]] = {}
        self._shortcuts: dict[Node, str] = {}

    def laid(self) -> Node:
        for steps, said in placed(self._said):
            node = self._reached(steps, said)
            if node is not None:
                self._lay(node, said, _id(steps))
        self._narrow_choices()
        if self._issues:
            raise FhirError(422, self._issues)
        return self._root

    def _narrow_choices(self) -> None:
        """Let a choice be of one type where the differential speaks of `valueQuantity` alone.

        Thus do the snapshots that the standard publishes, as those of its vital signs.
        """
        for choice, name in self._shortcuts.items():
            if self._mentioned[choice] == {name} and (types := _type_named(choice, name)):
                closed = {**choice.element.get("slicing", _BY_TYPE), "rules": "closed"}
                choice.element = {**choice.element, "type": types, "slicing": closed}

    def _lay(self, node: Node, said: Resource, id: str) -> None:
        self._issues.extend(widenings(node.element, said, id))
        node.element = merged(node.element, said)
        self._take_profile(node, said)

    def _take_profile(self, node: Node, said: Resource) -> None:
        """Add the rules of the profile on an element; an extension repeats no more than that says."""
        profile = _only_profile(said)
        root = self._generation.root(profile) if profile is not None else None
        if root is None:
            return
        is_extension = node.slice is not None and node.name in _EXTENSIONS
        narrower = is_extension and "max" not in said and most(root) < most(node.element)
        narrowed = {"max": root["max"]} if narrower else {}
        rules = {"constraint": root["constraint"]} if "constraint" in root else {}
        node.element = merged(node.element, narrowed | rules)

    def _reached(self, steps: Steps, said: Resource) -> Node | None:
        """Return the node at a place, made where it has to be; None, and an issue, where there is none."""
        node = self._root
        if steps[0][0] != node.name:
            text = f"{_id(steps)} is no element of {node.name}: its path begins with another type."
            self._refuse("structure", text, _id(steps))
            return None
        for position in range(2, len(steps) + 1):
            is_last = position == len(steps)
            found = self._next(node, steps[:position], said if is_last else {})
            if found is None:
                text = (
                    f"{_id(steps)} is no element of the base: {_id(steps[:position])} is not there."
                )
                self._refuse("structure", text, _id(steps))
                return None
            node = found
        return node

    def _next(self, above: Node, steps: Steps, said: Resource) -> Node | None:
        name, slice_name = steps[-1]
        self._expand(above, _id(steps[:-1]))
        node = above.child(name)
        if node is None and (choice := _choice(above, name)) is not None:
            node = choice
            if slice_name is None:
                slice_name = self._shortcuts[choice] = name
        if node is None and self._adds and said:
            every = self._generation.tree(CORE + "Element").element
            node = Node(name, {"constraint": every.get("constraint", [])})
            above.children.append(node)
        if node is not None and is_choice(node.name):
            self._mentioned.setdefault(node, set()).add(slice_name)
        if node is None or slice_name is None:
            return node
        return node.sliced(slice_name) or self._slice(node, (*steps[:-1], (name, slice_name)), said)

    def _slice(self, node: Node, steps: Steps, said: Resource) -> Node:
        """Add a slice; where nothing says by what, an extension's is by url and a choice's by type."""
        name, id = steps[-1][1] or "", _id(steps)
        if "slicing" not in node.element:
            if node.name in _EXTENSIONS:
                node.element = {**node.element, "slicing": _BY_URL}
            elif is_choice(node.name):
                node.element = {**node.element, "slicing": _BY_TYPE}
            else:
                text = f"{id} is a slice of what is not sliced: say the slicing of {node.name}."
                self._refuse("required", text, id)
        whole = node.sliced(name.rpartition("/")[0]) or node
        element = {key: value for key, value in whole.element.items() if key != "slicing"}
        added = Node(node.name, {**element, "sliceName": name, "min": 0}, name)
        if is_choice(node.name) and "type" not in said:
            added.element["type"] = _type_named(node, name) or element.get("type", [])
        if not _is_typed(whole) or not _changes_type(whole, said):
            added.children = [child.copy() for child in whole.children]
        node.add_slice(added)
        return added

    def _expand(self, node: Node, id: str) -> None:
        """Give a node the children of what it refers to, or of its type or profile."""
        if node.children:
            return
        if "contentReference" in node.element:
            self._expand_reference(node, id)
        elif (types := node.element.get("type")) is not None:
            node.children = self._generation.tree(_structure(types)).copy().children

    def _expand_reference(self, node: Node, id: str) -> None:
        """Take the children that the referred element has in its type's own definition."""
        url, _, place = node.element["contentReference"].partition("#")
        names = place.split(".")
        found: Node | None = self._generation.tree(url or CORE + names[0])
        for name in names[1:]:
            found = found.child(name) if found is not None else None
        if found is None:
            text = f"What {id} refers to, {place}, is not in its definition."
            self._refuse("structure", text, id)
            return
        element = {key: value for key, value in node.element.items() if key != "contentReference"}
        node.element = {**element, "type": found.element.get("type", [])}
        node.children = found.copy().children

    def _refuse(self, code: str, text: str, id: str) -> None:
        self._issues.append(error(code, text, id))


def _choice(above: Node, name: str) -> Node | None:
    """Return the choice of types that a name like `valueQuantity` means one of."""
    for child in above.children:
        if is_choice(child.name) and _type_named(child, name):
            return child
    return None


def _type_named(choice: Node, name: str) -> list[Resource] | None:
    stem = choice.name.removesuffix(CHOICE)
    types = [
        each
        for each in choice.element.get("type", ())
        if name == f"{stem}{each['code'][:1].upper()}{each['code'][1:]}"
    ]
    return types or None


def _is_typed(node: Node) -> bool:
    """Tell whether its children are those of a type with a definition of its own."""
    return _structure(node.element.get("type", [])) not in (
        CORE + "BackboneElement",
        CORE + "Element",
    )


def _changes_type(node: Node, said: Resource) -> bool:
    return "type" in said and _structure(said["type"]) != _structure(node.element.get("type", []))


def _structure(types: list[Resource]) -> str:
    """Return the canonical of what types have in common: one profile, one type, or Element."""
    profiles = [profile for each in types for profile in each.get("profile", ())]
    codes = {each.get("code", "Element") for each in types}
    if len(profiles) == 1 and len(types) == 1:
        return str(profiles[0])
    code = codes.pop() if len(codes) == 1 else "Element"
    if code.startswith(_SYSTEM_TYPE):
        return CORE + "Element"  # an id, or the value of a primitive type
    return code if "/" in code else CORE + code


def _only_profile(said: Resource) -> str | None:
    profiles = [profile for each in said.get("type", ()) for profile in each.get("profile", ())]
    return profiles[0] if len(profiles) == 1 else None


def _id(steps: Steps) -> str:
    return ".".join(
        name if slice_name is None else f"{name}:{slice_name}" for name, slice_name in steps
    )
