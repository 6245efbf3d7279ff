"""The narrative of a CDA section as FHIR's XHTML: text and layout are kept, nothing that acts is.

https://hl7.org/fhir/R4/narrative.html#xhtml; CDA R2, chapter 4.3.5 (StrucDoc.Text).
"""

import re
from html import escape
from typing import Any

XHTML = "http://www.w3.org/1999/xhtml"
_SAME = {
    "br", "caption", "col", "colgroup", "sub", "sup", "table", "tbody", "td", "tfoot", "th",
    "thead", "tr",
}  # fmt: skip
_OTHER = {"paragraph": "p", "item": "li", "content": "span", "footnote": "span"}
_STYLES = {"bold": "b", "italics": "i", "emphasis": "em"}
_KEPT = ("colspan", "rowspan")
_NUMBER = re.compile(r"[0-9]{1,3}\Z", re.ASCII)
_EMPTY = {"br", "col"}
_PICTURE = "[picture: see the original document]"


def xhtml(text: Any) -> str | None:
    """Return a CDA `text` element as a div; None where it shows nothing.

    Links lose their targets, styles are bold and italics alone, pictures are named, not shown.
    """
    inside = _inside(text)
    if not re.sub(r"<[^>]*>", "", inside).strip():
        return None
    return f'<div xmlns="{XHTML}">{inside}</div>'


def _inside(node: Any) -> str:
    parts = [escape(node.text or "", quote=False)]
    for child in node:
        if isinstance(child.tag, str):  # a comment's and an instruction's is a function
            parts.append(_element(child))
        parts.append(escape(child.tail or "", quote=False))
    return "".join(parts)


def _element(node: Any) -> str:
    name = node.tag.rpartition("}")[2]
    if name == "renderMultiMedia":
        return _PICTURE
    tag = _tag(name, node)
    attributes = "".join(
        f' {key}="{value}"' for key in _KEPT if _NUMBER.match(value := node.get(key, ""))
    )
    if tag in _EMPTY:
        return f"<{tag}/>"
    return f"<{tag}{attributes}>{_inside(node)}</{tag}>"


def _tag(name: str, node: Any) -> str:
    if name == "list":
        return "ol" if node.get("listType") == "ordered" else "ul"
    if name == "caption" and not node.getparent().tag.endswith("}table"):
        return "b"
    if name == "content":
        styles = node.get("styleCode", "").lower().split()
        return next((_STYLES[style] for style in styles if style in _STYLES), "span")
    return name if name in _SAME else _OTHER.get(name, "span")
