"""XML Patch on FHIR XML: add, replace and remove what a selector finds.

https://www.rfc-editor.org/rfc/rfc5261, https://hl7.org/fhir/R4/http.html#patch
"""

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from lxml import etree  # type: ignore[import-untyped, unused-ignore]

from r4.issue import FhirError
from r4.patch.errors import failed, malformed
from r4.patch.selector import select
from r4.xml.parse import parse

FHIR = "http://hl7.org/fhir"
XML = "http://www.w3.org/XML/1998/namespace"

_ROOTS = ("diff", "patch")
_POSITIONS = (None, "prepend", "before", "after")
_SPACES = (None, "before", "after", "both")
_TYPE = re.compile(r"@(?:(?P<prefix>[^\W\d][\w.\-]*):)?(?P<name>[^\W\d][\w.\-]*)|"
                   r"namespace::(?P<declared>[^\W\d][\w.\-]*)")  # fmt: skip

Node = Any
"""An element, comment or processing instruction of lxml, which has no types of its own."""


@dataclass(frozen=True, slots=True)
class _Operation:
    """One operation; at: where it stands; node: its element, whose content is what to add."""

    at: str
    node: Node
    namespaces: dict[str | None, str]
    selector: str

    @property
    def text(self) -> str:
        """Return the content as text."""
        return self.node.text or ""


def apply(resource_xml: bytes, patch_xml: bytes) -> bytes:
    """Apply the operations of a diff document in order, all or none; return the patched XML.

    patch_xml: a `diff` (or, as in HL7's tests, `patch`) of `add`, `replace` and `remove`. In
    selectors the prefix `f` means FHIR's namespace unless declared otherwise, and a name without
    prefix the patch's default namespace. Document types, and so entities, are refused.
    Raises FhirError: 400 for a patch that is not well-formed, 422 for one that cannot be applied.
    """
    root = _parsed(resource_xml, "the resource", failed)
    for operation in _read(_parsed(patch_xml, "the patch", malformed)):
        name = etree.QName(operation.node).localname
        root = _PERFORM[name](root, operation)
    patched: bytes = etree.tostring(root.getroottree(), encoding="UTF-8", xml_declaration=True)
    return patched


def _parsed(text: bytes, what: str, problem: Callable[[str, str], FhirError]) -> Node:
    try:
        return parse(text)
    except FhirError as refusal:
        raise problem("diff", f"{what} cannot be read: {refusal}") from None


def _read(diff: Node) -> list[_Operation]:
    if etree.QName(diff).localname not in _ROOTS:
        raise malformed("diff", "the root of an XML Patch must be `diff`")
    nodes = [node for node in diff if isinstance(node.tag, str)]
    if not nodes:
        raise malformed("diff", "no patch operations found")
    return [_operation(f"operation[{index}]", node) for index, node in enumerate(nodes)]


def _operation(at: str, node: Node) -> _Operation:
    name = etree.QName(node).localname
    if name not in _PERFORM:
        raise malformed(at, f"an operation must be one of {', '.join(_PERFORM)}, not `{name}`")
    if not node.get("sel"):
        raise malformed(at, f"`{name}` needs a selector in `sel`")
    if node.get("pos") not in _POSITIONS or node.get("ws") not in _SPACES:
        raise malformed(at, f"`{name}` has a `pos` or `ws` that RFC 5261 does not know")
    return _Operation(at, node, {"f": FHIR, "xml": XML, **node.nsmap}, node.get("sel"))


def _selected(root: Node, operation: _Operation) -> Any:
    return select(root.getroottree(), operation.selector, operation.namespaces, operation.at)


def _add(root: Node, operation: _Operation) -> Node:
    found = _selected(root, operation)
    kind = operation.node.get("type")
    if kind is not None:
        return _add_named(root, operation, _element(found, operation), kind)
    if not len(operation.node) and not operation.text:
        raise malformed(operation.at, "`add` holds nothing to add")
    parent, index, is_start = _point(found, operation)
    _insert(parent, index, operation.node, is_start=is_start)
    return root


def _point(found: Any, operation: _Operation) -> tuple[Node, int, bool]:
    """Find where to add: the parent, the index, and on which side of the text that stands there."""
    position = operation.node.get("pos")
    if position in (None, "prepend"):
        element = _element(found, operation)
        return element, 0 if position else len(element), position == "prepend"
    if etree.iselement(found):
        parent = _parent(found, operation)
        return parent, parent.index(found) + (position == "after"), position == "after"
    if found.is_attribute:
        raise failed(operation.at, f"nothing can be added {position} an attribute")
    if found.is_text:
        return found.getparent(), 0, position == "before"
    sibling = found.getparent()
    return sibling.getparent(), sibling.getparent().index(sibling) + 1, position == "before"


def _insert(parent: Node, index: int, content: Node, *, is_start: bool) -> None:
    """Put copies of the content's text and nodes into a parent, at one side of a text."""
    standing = _text_before(parent, index)
    lead, rest = ("", standing) if is_start else (standing, "")
    nodes = [deepcopy(node) for node in content]
    _set_text_before(parent, index, lead + (content.text or "") + ("" if nodes else rest))
    for offset, node in enumerate(nodes):
        parent.insert(index + offset, node)
    if nodes:
        nodes[-1].tail = (nodes[-1].tail or "") + rest


def _add_named(root: Node, operation: _Operation, element: Node, kind: str) -> Node:
    """Add an attribute, or a namespace declaration, for which lxml needs a new element."""
    match = _TYPE.fullmatch(kind)
    if match is None or len(operation.node):
        raise malformed(operation.at, "`type` must be `@name` or `namespace::prefix`, with a text")
    if match["declared"] and not operation.text.strip():
        raise malformed(operation.at, "a namespace must have a URI")
    if match["declared"]:
        return _declare(root, operation, element, match["declared"])
    name = match["name"]
    if match["prefix"]:
        if match["prefix"] not in operation.namespaces:
            raise malformed(operation.at, f"the prefix `{match['prefix']}` is not declared")
        name = f"{{{operation.namespaces[match['prefix']]}}}{name}"
    if name in element.attrib:
        raise failed(operation.at, f"`{operation.selector}` has `{kind}` already", "conflict")
    element.set(name, operation.text)
    return root


def _declare(root: Node, operation: _Operation, element: Node, prefix: str) -> Node:
    if prefix in element.nsmap or prefix in ("xml", "xmlns"):
        raise failed(operation.at, f"the prefix `{prefix}` is declared already", "conflict")
    try:
        made = etree.Element(
            element.tag, element.attrib, nsmap=element.nsmap | {prefix: operation.text.strip()}
        )
    except ValueError as problem:
        raise malformed(operation.at, f"no namespace: {problem}") from None
    made.text = element.text
    made.extend(list(element))
    return _swap(root, element, made, operation)


def _replace(root: Node, operation: _Operation) -> Node:
    found = _selected(root, operation)
    if etree.iselement(found):
        return _swap(root, found, _only_node(operation, found), operation)
    if len(operation.node):
        raise failed(operation.at, f"`{operation.selector}` can be replaced by a text only")
    _set_string(found, operation.text)
    return root


def _only_node(operation: _Operation, replaced: Node) -> Node:
    """Copy the one node of the content, which must be of the kind of what it replaces."""
    nodes = [deepcopy(node) for node in operation.node]
    around = operation.text + "".join(node.tail or "" for node in nodes)
    kinds = {_kind(node) for node in nodes}
    if len(nodes) != 1 or around.strip() or kinds != {_kind(replaced)}:
        problem = f"`{operation.selector}` must be replaced by one node of its own kind"
        raise failed(operation.at, problem)
    return nodes[0]


def _kind(node: Node) -> Any:
    return "element" if isinstance(node.tag, str) else node.tag


def _swap(root: Node, old: Node, new: Node, operation: _Operation) -> Node:
    new.tail = old.tail
    if old is root:
        return new
    _parent(old, operation).replace(old, new)
    return root


def _remove(root: Node, operation: _Operation) -> Node:
    found = _selected(root, operation)
    if not etree.iselement(found):
        _set_string(found, None)
        return root
    parent = _parent(found, operation)
    index = parent.index(found)
    lead, rest = _text_before(parent, index), found.tail or ""
    for side, text in (("before", lead), ("after", rest)):
        if operation.node.get("ws") in (side, "both") and (text.strip() or not text):
            raise failed(operation.at, f"there is no white space {side} `{operation.selector}`")
    lead = "" if operation.node.get("ws") in ("before", "both") else lead
    rest = "" if operation.node.get("ws") in ("after", "both") else rest
    parent.remove(found)
    _set_text_before(parent, index, lead + rest)
    return root


_PERFORM: dict[str, Callable[[Node, _Operation], Node]] = {
    "add": _add,
    "replace": _replace,
    "remove": _remove,
}


def _element(found: Any, operation: _Operation) -> Node:
    if not etree.iselement(found) or not isinstance(found.tag, str):
        raise failed(operation.at, f"`{operation.selector}` selects no element to add to")
    return found


def _parent(node: Node, operation: _Operation) -> Node:
    parent = node.getparent()
    if parent is None:
        problem = f"`{operation.selector}` selects the root, which must stay, and stay alone"
        raise failed(operation.at, problem)
    return parent


def _set_string(found: Any, text: str | None) -> None:
    """Set, or with None remove, an attribute or a text that a selector found."""
    parent = found.getparent()
    if found.is_tail:
        parent.tail = text
    elif found.is_text:
        parent.text = text
    elif text is None:
        del parent.attrib[found.attrname]
    else:
        parent.set(found.attrname, text)


def _text_before(parent: Node, index: int) -> str:
    text: str | None = parent[index - 1].tail if index else parent.text
    return text or ""


def _set_text_before(parent: Node, index: int, text: str) -> None:
    if index:
        parent[index - 1].tail = text or None
    else:
        parent.text = text or None
