"""The elements of a snapshot as a tree: each with its children and its slices.

Ids and paths are read on the way in and written on the way out; in between, a place in the tree says both.
https://hl7.org/fhir/R4/elementdefinition.html#id
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from r4.json import Resource

Step = tuple[str, str | None]
"""One part of an element's id: its name, and the slice's name if it is one."""
Steps = tuple[Step, ...]
CHOICE = "[x]"


@dataclass(slots=True, eq=False)
class Node:
    """One element or slice; an element without children has those of its type."""

    name: str
    element: Resource
    slice: str | None = None
    children: list["Node"] = field(default_factory=list)
    slices: list["Node"] = field(default_factory=list)

    def child(self, name: str) -> "Node | None":
        """Return the child of a name, or None."""
        return next((child for child in self.children if child.name == name), None)

    def sliced(self, name: str) -> "Node | None":
        """Return the slice of a name, or None."""
        return next((each for each in self.slices if each.slice == name), None)

    def add_slice(self, added: "Node") -> None:
        """Put a slice after the others; a slice of a slice ("a/b") after that and its other slices."""
        whole = (added.slice or "").rpartition("/")[0]
        place = len(self.slices)
        if whole:
            family = [
                position
                for position, each in enumerate(self.slices)
                if each.slice == whole or (each.slice or "").startswith(f"{whole}/")
            ]
            place = family[-1] + 1 if family else place
        self.slices.insert(place, added)

    def copy(self) -> "Node":
        """Return a tree of its own; the values of its elements are shared, for nobody changes them."""
        return Node(
            self.name,
            dict(self.element),
            self.slice,
            [child.copy() for child in self.children],
            [each.copy() for each in self.slices],
        )


def tree(elements: Iterable[Resource]) -> Node | None:
    """Return the tree of a snapshot's elements; None without any, or where one comes before its parent."""
    root: Node | None = None
    for steps, element in placed(elements):
        own = {key: value for key, value in element.items() if key not in ("id", "path")}
        if root is None:
            root = Node(steps[0][0], own)
            continue
        above = _at(root, steps[1:-1])
        if above is None or len(steps) == 1:
            return None
        _attach(above, steps[-1], own)
    return root


def elements(root: Node) -> Iterator[Resource]:
    """Yield the elements of a tree in a snapshot's order, with their ids and paths."""
    yield from _elements(root, root.name, root.name)


def placed(listed: Iterable[Resource]) -> Iterator[tuple[Steps, Resource]]:
    """Yield each element with its place: by its id or, where that is none, by its path and the order."""
    latest: dict[str, Steps] = {}
    for element in listed:
        steps = _by_id(element) or _by_order(element, latest)
        latest[element["path"]] = steps
        yield steps, element


def is_choice(name: str) -> bool:
    """Tell whether an element's name is one of a choice of types, as `value[x]`."""
    return name.endswith(CHOICE)


def _at(root: Node, steps: Iterable[Step]) -> Node | None:
    found: Node | None = root
    for name, slice_name in steps:
        found = found.child(name) if found is not None else None
        if found is not None and slice_name is not None:
            found = found.sliced(slice_name)
    return found


def _attach(above: Node, step: Step, element: Resource) -> None:
    name, slice_name = step
    known = above.child(name)
    if known is not None and slice_name is not None:
        known.add_slice(Node(name, element, slice_name))
    elif known is None:
        above.children.append(Node(name, element, slice_name))


def _elements(node: Node, id: str, path: str) -> Iterator[Resource]:
    yield {"id": id, "path": path, **node.element}
    for child in node.children:
        yield from _elements(child, f"{id}.{child.name}", f"{path}.{child.name}")
    whole = id if node.slice is None else id[: -len(node.slice) - 1]
    for each in node.slices:
        yield from _elements(each, f"{whole}:{each.slice}", path)


def _by_id(element: Resource) -> Steps | None:
    """Read the id, if it has as many parts as the path; the slice's name of the element itself wins."""
    parts = element.get("id", "").split(".")
    names = element["path"].split(".")
    if len(parts) != len(names):
        return None
    steps = [_step(part) for part in parts]
    if any(
        name != step[0] and not _is_choice_of(step[0], name)
        for name, step in zip(names, steps, strict=True)
    ):
        return None
    if "sliceName" in element:
        steps[-1] = (steps[-1][0], element["sliceName"])
    return tuple(steps)


def _is_choice_of(choice: str, name: str) -> bool:
    return is_choice(choice) and name.startswith(choice.removesuffix(CHOICE))


def _step(part: str) -> Step:
    name, _, slice_name = part.partition(":")
    return name, slice_name or None


def _by_order(element: Resource, latest: dict[str, Steps]) -> Steps:
    names = element["path"].split(".")
    for length in range(len(names) - 1, 0, -1):
        above = latest.get(".".join(names[:length]))
        if above is not None:
            between: Steps = tuple((name, None) for name in names[length:-1])
            return (*above, *between, (names[-1], element.get("sliceName")))
    return (*((name, None) for name in names[:-1]), (names[-1], element.get("sliceName")))
