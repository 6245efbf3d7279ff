"""Where the element that an issue is about stands in the text that was sent: its line and column.

https://hl7.org/fhir/R4/operationoutcome-definitions.html#OperationOutcome.issue.location
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from xml.parsers import expat

from r4 import definitions
from r4.issue import Issue

_STEP = re.compile(
    r"`?(?P<name>[A-Za-z_][A-Za-z0-9_]*)`?"
    r"(?:\((?P<argument>'[^'\\]*'|[A-Za-z0-9.]*)\))?"
    r"(?:\[(?P<index>[0-9]{1,9})\])?(?:\.|$)"
)
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_TOKEN = re.compile(_STRING + rb'|[{}\[\],:]|[^\s"{}\[\],:]++', re.DOTALL)
_NESTED = re.compile(_STRING + rb"|[{}\[\]]", re.DOTALL)
_MARK = b"\xef\xbb\xbf"
"""A byte order mark, which is no column."""


def placed(
    raw: bytes, is_xml: bool, issues: Iterable[Issue], *, inside: str | None = None
) -> list[Issue]:
    """Return the issues with line and column, from 1, of the element that each expression names.

    In JSON an element begins at its name, or at its value where it is one of an array; in XML at its
    start tag. Of an element that is not there, the nearest one above it is named. A column counts
    characters. inside: the expression of the resource that the issues are about, where the text holds
    it (`Parameters.parameter[1].resource`). An issue whose expression names no element, and any issue
    of a text that cannot be read, stays as it is; nothing is raised.
    """
    listed = list(issues)
    before = _steps(inside) or []
    ways = [None if (way := _steps(each.expression)) is None else before + way for each in listed]
    names = frozenset(name for way in ways if way for step in way for name in step.names)
    root = None
    if any(way is not None for way in ways):
        root = _Xml(names).read(raw) if is_xml else _Json(raw, names).read()
    if root is None:
        return listed
    offsets = [None if way is None else _offset(root, way) for way in ways]
    where = _lines(raw, {offset for offset in offsets if offset is not None})
    return [
        each if offset is None else replace(each, line=where[offset][0], column=where[offset][1])
        for each, offset in zip(listed, offsets, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Step:
    """One step of an expression: the properties that it may be, which of them, or with which url."""

    names: tuple[str, ...]
    index: int | None = None
    url: str | None = None

    def of(self, listed: Sequence["_Node"]) -> list["_Node"]:
        """Return those of an element's values that this step leads to."""
        if self.url is not None:
            return [each for each in listed if each.url == self.url][:1]
        return list(listed[self.index or 0 : (self.index or 0) + 1])


@dataclass(slots=True)
class _Node:
    """An element of the text: where it begins, and of what is below it, that which is asked for."""

    at: int
    is_null: bool = False
    url: str | None = None
    children: dict[str, list["_Node"]] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)

    def values(self, name: str, at: int) -> list["_Node"]:
        """Return the list of the values that a property has, which begins at an offset."""
        self.starts.setdefault(name, at)
        return self.children.setdefault(name, [])


def _steps(expression: str | None) -> list[_Step] | None:
    """Read the steps below a resource, up to the first that is not understood; None for no element."""
    if expression is None or not expression[:1].isupper():
        return None
    found: list[tuple[str, int | None, str | None]] = []
    position = 0
    while match := _STEP.match(expression, position):
        position = match.end()
        name, argument = match["name"], match["argument"]
        index = None if match["index"] is None else int(match["index"])
        if argument is None:
            found.append((name, index, None))
        elif name == "ofType" and argument and found:
            kind = argument.rpartition(".")[2]
            found[-1] = (f"{found[-1][0]}{kind[:1].upper()}{kind[1:]}", found[-1][1], None)
        elif name == "extension" and argument.startswith("'"):
            found.append((name, index, argument[1:-1]))
        else:
            break
    return [_Step(_spellings(name), index, url) for name, index, url in found[1:]]


@cache
def _types() -> tuple[str, ...]:
    """List the types by which the name of an element of several types may end."""
    extension = definitions.structure("Extension") or {"snapshot": {"element": []}}
    codes = [
        type_["code"]
        for element in extension["snapshot"]["element"]
        if element["path"] == "Extension.value[x]"
        for type_ in element["type"]
    ]
    return tuple(code[0].upper() + code[1:] for code in codes)


def _spellings(name: str) -> tuple[str, ...]:
    """List the properties that an element may be: itself, its sibling, itself with a type."""
    names = (name, *(f"{name}{code}" for code in _types()))
    return tuple(spelt for each in names for spelt in (each, f"_{each}"))


def _offset(root: _Node, way: Iterable[_Step]) -> int:
    """Return where the element at the end of a way begins, or the last one on it that is there."""
    nodes, at = [root], root.at
    for step in way:
        held = [(node, name) for node in nodes for name in step.names if name in node.children]
        found = [each for node, name in held for each in step.of(node.children[name])]
        nodes = [each for each in found if not each.is_null] or found
        if nodes and (step.index is not None or step.url is not None):
            at = nodes[0].at
        elif held and step.url is None:
            at = held[0][0].starts[held[0][1]]
        if not nodes:
            break
    return at


def _lines(raw: bytes, offsets: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Map offsets to line and column, reading the text once."""
    found: dict[int, tuple[int, int]] = {}
    line, column, read = 1, 1, len(_MARK) if raw.startswith(_MARK) else 0
    for offset in sorted(offsets):
        end = raw.rfind(b"\n", read, offset)
        if end >= 0:
            line, column = line + raw.count(b"\n", read, offset), 1
            read = end + 1
        column += len(raw[read:offset].decode("utf-8", "replace"))
        read = max(read, offset)
        found[offset] = (line, column)
    return found


@dataclass(slots=True)
class _Frame:
    """An object or array of JSON that is open: its node, or the list of its items; the last key."""

    node: _Node
    items: list[_Node] | None = None
    key: str | None = None
    key_at: int = 0


class _Json:
    """Reads JSON once, without recursion, and keeps what stands under the names that are asked for."""

    def __init__(self, text: bytes, names: frozenset[str]) -> None:
        self.text, self.names = text, names
        self.root: _Node | None = None
        self.frames: list[_Frame] = []

    def read(self) -> _Node | None:
        """Return the node of the text's object, or None where it is none."""
        position = 0
        while token := _TOKEN.search(self.text, position):
            at, word, position = token.start(), token[0], token.end()
            if word in (b"{", b"["):
                if not self._open(at, is_array=word == b"["):
                    position = self._end(position)
            elif word in (b"}", b"]"):
                if self.frames:
                    self.frames.pop()
            elif self.frames:
                self._say(at, word)
        return self.root

    def _open(self, at: int, *, is_array: bool) -> bool:
        """Begin an object or array; tells whether what is in it is asked for."""
        if not self.frames:
            if self.root is not None or is_array:
                return False
            self.root = _Node(at)
            self.frames.append(_Frame(self.root))
            return True
        frame = self.frames[-1]
        values = self._values(frame)
        if values is None or (is_array and frame.items is not None):
            return False
        if is_array:
            self.frames.append(_Frame(frame.node, items=values))
        else:
            node = _Node(at if frame.items is not None else frame.key_at)
            values.append(node)
            self.frames.append(_Frame(node))
        return True

    def _say(self, at: int, word: bytes) -> None:
        """Take a comma, a colon, a key or a value that is no object and no array."""
        frame = self.frames[-1]
        if word == b",":
            frame.key = None
        elif frame.items is None and frame.key is None:
            frame.key, frame.key_at = _text(word), at
        elif word != b":":
            if frame.items is None and frame.key == "url":
                frame.node.url = _text(word)
            if (values := self._values(frame)) is not None:
                start = at if frame.items is not None else frame.key_at
                values.append(_Node(start, is_null=word == b"null"))

    def _values(self, frame: _Frame) -> list[_Node] | None:
        if frame.items is not None:
            return frame.items
        if frame.key is None or frame.key not in self.names:
            return None
        return frame.node.values(frame.key, frame.key_at)

    def _end(self, position: int) -> int:
        """Return where the object or array ends that is open at a position."""
        depth = 1
        for token in _NESTED.finditer(self.text, position):
            if token[0] in (b"{", b"["):
                depth += 1
            elif token[0] in (b"}", b"]"):
                depth -= 1
                if not depth:
                    return token.end()
        return len(self.text)


def _text(word: bytes) -> str:
    """Return the text of a JSON string; of anything else, its spelling."""
    if b"\\" in word:
        try:
            return str(json.loads(word))
        except ValueError:
            pass
    return word.strip(b'"').decode("utf-8", "replace")


class _Xml:
    """Reads XML once and keeps what stands under the names that are asked for; no document type."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self.root: _Node | None = None
        self.nodes: list[_Node | None] = []
        self.parser = expat.ParserCreate("utf-8")
        self.parser.StartDoctypeDeclHandler = _refuse
        self.parser.StartElementHandler = self._open
        self.parser.EndElementHandler = self._close

    def read(self, text: bytes) -> _Node | None:
        """Return the node of the text's root, or None where it is not well-formed."""
        try:
            self.parser.Parse(text, True)
        except expat.ExpatError:
            return None
        return self.root

    def _open(self, tag: str, attributes: dict[str, str]) -> None:
        name, parent = tag.rpartition(":")[2], self.nodes[-1] if self.nodes else None
        at = self.parser.CurrentByteIndex
        node: _Node | None = None
        if not self.nodes:
            node = self.root = _Node(at)
        elif parent is not None and name[:1].isupper():  # a resource, within the element it is
            node = parent
        elif parent is not None and name in self.names:
            node = _Node(at, url=attributes.get("url"))
            parent.values(name, at).append(node)
        self.nodes.append(node)

    def _close(self, _tag: str) -> None:
        self.nodes.pop()


def _refuse(*_: object) -> None:
    raise expat.ExpatError("A document type declaration is not read.")
