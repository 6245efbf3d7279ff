"""A message table as a grammar of segments, and a message laid out on it as a tree.

The `Syntax` rows are the grammar: `[{ OBX }]`, and begin and end rows of groups (`[{`, `}]`; blank in
rows named `--- PATIENT begin`), where `[` is optional and `{` repeats. `<`, `|` and `>` enclose a
choice, of which nothing is required. Senders differ from it: a segment out of order goes to its place
in the nearest group that has one, an unknown one (Z-segments) to none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mappings.hl7v2.parse import Message, Segment
from mappings.hl7v2.rows import MessageRow

_BEGINS = frozenset({"[", "{", "[{", "{[", "<"})
_ENDS = frozenset({"]", "}", "}]", "]}", ">"})


@dataclass(eq=False, slots=True)
class Node:
    """A segment or a group in the grammar, with the message rows that say what it becomes."""

    name: str
    repeats: bool
    required: bool
    children: list["Node"] = field(default_factory=list)
    rows: list[MessageRow] = field(default_factory=list)
    is_choice: bool = False
    segments: frozenset[str] = frozenset()

    def seal(self) -> None:
        """Note which segments the group holds, groups within it included."""
        for child in self.children:
            child.seal()
        inner = (child.segments or {child.name} for child in self.children)
        self.segments = frozenset().union(*inner)


class Branch:
    """One repetition of a group in a message: for each child of its node, what was found."""

    __slots__ = ("cursor", "found", "node", "parent")

    def __init__(self, node: Node, parent: "Branch | None") -> None:
        self.node = node
        self.parent = parent
        self.cursor = 0
        self.found: list[list[Segment | Branch]] = [[] for _ in node.children]

    def segment(self, name: str) -> Segment | None:
        """Return the first segment of a name in this group, or in a group that it holds once."""
        for child, found in zip(self.node.children, self.found, strict=True):
            first = found[0] if found else None
            if isinstance(first, Segment):
                if child.name == name:
                    return first
            elif first is not None and not child.repeats and name in child.segments:
                return first.segment(name)
        return None


def grammar(name: str, rows: Sequence[MessageRow]) -> Node:
    """Build the grammar of a message table. Raises ValueError where its groups do not close."""
    root = Node(name, repeats=False, required=True)
    open_groups = [root]
    for row in rows:
        path, syntax = row.identifier, row.syntax.replace(" ", "")
        last = path.rpartition(".")[2]
        if syntax in _ENDS or (path.startswith("/") and not syntax):
            if not open_groups[1:] or open_groups.pop().name != last:
                raise ValueError(f"{name}: {path} closes a group that is not open")
        elif syntax in _BEGINS or (row.name.startswith("---") and not syntax):
            node = _node(open_groups[-1], last, syntax)
            node.is_choice = syntax == "<"
            open_groups.append(node)
        elif syntax != "|":
            _segment_node(open_groups[-1], last, syntax).rows.append(row)
    if len(open_groups) != 1:
        raise ValueError(f"{name}: group {open_groups[-1].name} does not end")
    root.seal()
    return root


def _segment_node(group: Node, name: str, syntax: str) -> Node:
    if group.children and group.children[-1].name == name:
        return group.children[-1]
    return _node(group, name, syntax)


def _node(group: Node, name: str, syntax: str) -> Node:
    required = "[" not in syntax and not group.is_choice
    node = Node(name, repeats="{" in syntax, required=required)
    group.children.append(node)
    return node


def lay_out(root: Node, message: Message) -> Branch:
    """Lay a message out on its grammar."""
    tree = Branch(root, None)
    here = tree
    for segment in message:
        if segment.name in root.segments:
            here = _forward(here, segment) or _anywhere(here, segment)
    return tree


def missing(branch: Branch) -> Iterator[str]:
    """Name the required segments that a message lacks; an absent optional group lacks nothing."""
    for child, found in zip(branch.node.children, branch.found, strict=True):
        if child.required and not found:
            yield from _required(child)
        for part in found:
            if isinstance(part, Branch):
                yield from missing(part)


def _required(node: Node) -> Iterator[str]:
    if not node.children:
        yield node.name
    for child in node.children:
        if child.required:
            yield from _required(child)


def _forward(here: Branch, segment: Segment) -> Branch | None:
    """Find the place at or after the cursor, here or in a group around here."""
    branch: Branch | None = here
    late: Node | None = None
    while branch is not None:
        children = branch.node.children
        for number in range(branch.cursor, len(children)):
            child = children[number]
            taken = child.name == segment.name and branch.found[number] and not child.repeats
            if not taken and child is not late and _holds(child, segment.name):
                return _attach(branch, number, segment)
        if branch.node.repeats and segment.name in branch.node.segments:
            if branch.parent and _begins(branch, segment.name):
                again = _again(branch, branch.parent)
                return _attach(again, _place(again.node, segment.name), segment)
            late = branch.node
        branch = branch.parent
    return None


def _begins(branch: Branch, name: str) -> bool:
    """Tell whether a segment begins a group anew, and does not just come late in this one.

    It does where the group cannot take it any more, or nothing of the group stands before it.
    """
    number = _place(branch.node, name)
    first = next((at for at, found in enumerate(branch.found) if found), number)
    taken = bool(branch.found[number]) and not branch.node.children[number].repeats
    return taken or number <= first


def _anywhere(here: Branch, segment: Segment) -> Branch:
    """Attach a segment out of order to the nearest group around here that has a place for it."""
    branch = here
    while branch.parent and segment.name not in branch.node.segments:
        branch = branch.parent
    number = _place(branch.node, segment.name)
    if branch.node.children[number].children:
        return _attach(branch, number, segment)
    branch.found[number].append(segment)
    return here


def _again(branch: Branch, parent: Branch) -> Branch:
    again = Branch(branch.node, parent)
    parent.found[parent.node.children.index(branch.node)].append(again)
    return again


def _attach(branch: Branch, number: int, segment: Segment) -> Branch:
    child = branch.node.children[number]
    branch.cursor = number
    if not child.children:
        branch.found[number].append(segment)
        return branch
    inner = Branch(child, branch)
    branch.found[number].append(inner)
    return _attach(inner, _place(child, segment.name), segment)


def _place(node: Node, name: str) -> int:
    return next(number for number, child in enumerate(node.children) if _holds(child, name))


def _holds(node: Node, name: str) -> bool:
    return name in node.segments if node.children else node.name == name
