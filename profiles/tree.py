"""A profile's snapshot as a tree: elements below elements, and slices beside what they slice.

https://hl7.org/fhir/R4/elementdefinition.html#id
"""

from dataclasses import dataclass, field

from r4.json import Resource


@dataclass(slots=True, eq=False)
class Node:
    """One element of a snapshot; `name` is without `[x]`, `slice` its slice's name or ""."""

    element: Resource
    name: str
    slice: str = ""
    children: dict[str, "Node"] = field(default_factory=dict)
    slices: list["Node"] = field(default_factory=list)

    @property
    def min(self) -> int:
        """Tell how often it must stand."""
        return int(self.element.get("min", 0))

    @property
    def max(self) -> str:
        """Tell how often it may stand: a number or `*`."""
        return str(self.element.get("max", "*"))

    @property
    def profiles(self) -> tuple[str, ...]:
        """List the profiles that its types name."""
        types = self.element.get("type", ())
        return tuple(profile for each in types for profile in each.get("profile", ()))

    @property
    def targets(self) -> tuple[str, ...]:
        """List the profiles that its references lead to."""
        types = self.element.get("type", ())
        return tuple(target for each in types for target in each.get("targetProfile", ()))


def nodes(snapshot: list[Resource]) -> dict[str, Node]:
    """Build the tree of a snapshot's elements, by their ids; the first is the root."""
    by_id: dict[str, Node] = {}
    for element in snapshot:
        identity: str = element.get("id") or element["path"]
        above, _, last = identity.rpartition(".")
        name, _, slice_name = last.partition(":")
        node = Node(element, name.removesuffix("[x]"), slice_name)
        if not slice_name:
            if (parent := by_id.get(above)) is not None:
                parent.children[node.name] = node
        elif (sliced := by_id.get(_sliced(identity, slice_name))) is not None:
            sliced.slices.append(node)
        by_id[identity] = node
    return by_id


def _sliced(identity: str, slice_name: str) -> str:
    """Return the id of what a slice is a part of: for a re-slice `a/b` the slice `a`."""
    outer, _, _ = slice_name.rpartition("/")
    whole = identity[: -len(slice_name) - 1]
    return f"{whole}:{outer}" if outer else whole
