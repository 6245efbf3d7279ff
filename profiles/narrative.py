"""What a narrative may hold: text and layout (txt-1), something to see (txt-2), nothing that acts.

https://hl7.org/fhir/R4/narrative.html#xhtml
"""

import re
from html.entities import name2codepoint
from xml.parsers import expat

from profiles.findings import Path, Run

XHTML = "http://www.w3.org/1999/xhtml"

_ELEMENTS = {
    "a", "abbr", "acronym", "b", "big", "blockquote", "br", "caption", "cite", "code", "col",
    "colgroup", "dd", "dfn", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
    "i", "img", "li", "ol", "p", "pre", "q", "samp", "small", "span", "strong", "sub", "sup",
    "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "ul", "var",
}  # fmt: skip
_ATTRIBUTES = {
    "abbr", "accesskey", "align", "alt", "axis", "border", "bgcolor", "cellhalign",
    "cellpadding", "cellspacing", "cellvalign", "char", "charoff", "cite", "class", "colspan",
    "compact", "coords", "dir", "frame", "headers", "height", "href", "hreflang", "hspace",
    "id", "lang", "longdesc", "name", "nowrap", "rel", "rev", "rowspan", "rules", "scope",
    "shape", "span", "src", "start", "style", "summary", "tabindex", "title", "type", "valign",
    "value", "vspace", "width", "xml:lang", "xmlns",
}  # fmt: skip
_EMPTY = "it has neither text nor an image"
_ACTING = re.compile(r"\s*(?:javascript|vbscript)\s*:", re.IGNORECASE)
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_OF_XML = {"amp", "lt", "gt", "quot", "apos"}


def check(div: str, path: Path, run: Run) -> None:
    """Report a narrative that is not well formed, holds what it may not, or shows nothing."""
    if (found := _problem(div)) is not None:
        rule = "txt-2" if found is _EMPTY else "txt-1"
        run.report("error", "invariant", f"The narrative cannot be shown: {found}.", path, rule)


def _problem(div: str) -> str | None:
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(_ENTITY.sub(_character, div), True)
    except _DoctypeError:
        return "a document type declaration is not allowed in it"
    except expat.ExpatError as broken:
        return f"it is not well-formed XML ({broken})"
    if reader.problem is None and not reader.has_content:
        return _EMPTY
    return reader.problem


class _DoctypeError(Exception):
    """The narrative declares a document type."""


class _Reader:
    def __init__(self) -> None:
        self.problem: str | None = None
        self.has_content = False
        self._is_first = True

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._is_first and (name != "div" or attributes.get("xmlns") != XHTML):
            self.problem = f'it must begin with <div xmlns="{XHTML}">'
        self._is_first = False
        if name not in _ELEMENTS:
            self.problem = f"<{name}> is not allowed in it"
        for attribute, value in attributes.items():
            if attribute not in _ATTRIBUTES or _ACTING.match(value):
                self.problem = f"the attribute {attribute} of <{name}> is not allowed in it"
        self.has_content = self.has_content or name == "img"

    def text(self, text: str) -> None:
        self.has_content = self.has_content or not text.isspace()

    def doctype(self, *_: object) -> None:
        raise _DoctypeError  # nothing of it is read: its entities could be endless


def _character(entity: re.Match[str]) -> str:
    name = entity[1]
    known = name not in _OF_XML and name in name2codepoint
    return f"&#{name2codepoint[name]};" if known else entity[0]
