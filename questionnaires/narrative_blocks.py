"""A section's XHTML narrative as plain blocks: headings, rows of a label and its lines, paragraphs.

What a print or a message shows of it is text alone: no element, entity or script of it is followed.
https://hl7.org/fhir/R4/narrative.html
"""

from typing import Any

from lxml import etree

from r4.issue import FhirError, error
from r4.json import Resource

Block = dict[str, Any]
"""`kind`: heading (`text`), rows (`rows`: pairs of a label and its lines), or text (`lines`)."""

_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_CONTAINERS = frozenset({"div", "table", "tbody", "thead", "tfoot", "ul", "ol", "dl", "blockquote"})


def blocks(narrative: Resource | None) -> list[Block]:
    """Return the blocks of a Narrative, in order; none of an empty one.

    Raises FhirError (422) where its div is not well-formed.
    """
    div = (narrative or {}).get("div")
    if not div:
        return []
    if "<!DOCTYPE" in div:
        text = "A section's narrative declares a document type."
        raise FhirError(422, [error("structure", text, "Composition.section.text.div")])
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(div, parser)
    except etree.XMLSyntaxError as wrong:
        text = f"A section's narrative is not well-formed XHTML: {wrong}"
        raise FhirError(422, [error("structure", text, "Composition.section.text.div")]) from None
    found: list[Block] = []
    _collect(root, found)
    return found


def _collect(element: Any, found: list[Block]) -> None:
    _put_text(element.text, found)
    for child in element:
        name = etree.QName(child).localname if isinstance(child.tag, str) else ""
        if name in _HEADINGS:
            found.append({"kind": "heading", "text": " ".join(_lines(child))})
        elif name == "tr":
            _put_row(child, found)
        elif name in _CONTAINERS:
            _collect(child, found)
        elif name and (lines := _lines(child)):
            found.append({"kind": "text", "lines": lines})
        _put_text(child.tail, found)


def _put_text(text: str | None, found: list[Block]) -> None:
    if text and text.strip():
        found.append({"kind": "text", "lines": [" ".join(text.split())]})


def _put_row(row: Any, found: list[Block]) -> None:
    """Add a row to the rows before it; of more than two cells, all after the first are its lines."""
    cells = [_lines(cell) for cell in row]
    if not cells:
        return
    label, *rest = cells
    if not found or found[-1]["kind"] != "rows":
        found.append({"kind": "rows", "rows": []})
    found[-1]["rows"].append([" ".join(label), [line for cell in rest for line in cell]])


def _lines(element: Any) -> list[str]:
    """Return the text of an element, a new line at each `br`; blank lines are left out."""
    parts: list[str] = []

    def walk(node: Any) -> None:
        parts.append(node.text or "")
        for child in node:
            if isinstance(child.tag, str):
                if etree.QName(child).localname == "br":
                    parts.append("\n")
                walk(child)
            parts.append(child.tail or "")

    walk(element)
    lines = (" ".join(line.split()) for line in "".join(parts).split("\n"))
    return [line for line in lines if line]
