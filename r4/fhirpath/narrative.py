"""FHIR's rules for narrative XHTML (txt-1, txt-2): allowed markup, and some content.

https://hl7.org/fhir/R4/narrative.html#xhtml
"""

import re
from html.entities import html5
from xml.parsers import expat

XHTML = "http://www.w3.org/1999/xhtml"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ELEMENTS = _words(
    "div p span br hr h1 h2 h3 h4 h5 h6 a img b i em strong small big tt code pre samp kbd var cite"
    " dfn abbr acronym q blockquote sub sup ins del address bdo ul ol li dl dt dd table caption"
    " thead tbody tfoot tr th td col colgroup font u s strike center"
)
_ATTRIBUTES = _words(
    "id class style title lang dir xml:lang xmlns name href src alt width height align valign"
    " border cellpadding cellspacing colspan rowspan abbr axis headers scope summary char charoff"
    " frame rules span cite datetime start type value compact nowrap bgcolor color size face clear"
    " longdesc usemap ismap hspace vspace rel rev target hreflang tabindex accesskey"
)
_LINKS = ("href", "src", "cite", "longdesc", "usemap")
_ACTIVE = re.compile(r"^(?:javascript|vbscript|data:text)", re.IGNORECASE)
_ACTIVE_STYLE = re.compile(r"expression\s*\(|javascript:|@import|behaviou?r\s*:", re.IGNORECASE)
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_XML_ENTITIES = {"amp", "lt", "gt", "quot", "apos"}


class _RefusedError(Exception):
    """The narrative breaks a rule; never leaves this module."""


def is_safe(xhtml: str) -> bool:
    """Tell whether a narrative is one well-formed `div` of allowed markup that is not empty.

    Scripts, event handlers, forms, frames, active links and document type declarations are refused.
    """
    checker = _Checker()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = checker.start
    parser.CharacterDataHandler = checker.text
    parser.StartDoctypeDeclHandler = checker.refuse
    parser.ProcessingInstructionHandler = checker.refuse
    try:
        parser.Parse(_ENTITY.sub(_numeric, xhtml), True)
    except (expat.ExpatError, _RefusedError):
        return False
    return checker.has_content


class _Checker:
    def __init__(self) -> None:
        self.has_content = False
        self._is_root = True

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Check an element and its attributes."""
        namespace, _, tag = name.rpartition(" ")
        if namespace not in ("", XHTML) or tag not in _ELEMENTS or (self._is_root and tag != "div"):
            raise _RefusedError(name)
        self._is_root = False
        self.has_content |= tag == "img"
        for key, value in attributes.items():
            _check_attribute(key.rpartition(" ")[2], value)

    def text(self, content: str) -> None:
        """Note that the narrative says something."""
        self.has_content |= not content.isspace()

    def refuse(self, *_: object) -> None:
        """Refuse what no narrative may carry."""
        raise _RefusedError


def _check_attribute(name: str, value: str) -> None:
    compact = re.sub(r"[\s\x00-\x1f]", "", value)
    if name not in _ATTRIBUTES:
        raise _RefusedError(name)
    if (name in _LINKS and _ACTIVE.match(compact)) or (
        name == "style" and _ACTIVE_STYLE.search(compact)
    ):
        raise _RefusedError(value)


def _numeric(match: re.Match[str]) -> str:
    name = match[1]
    if name in _XML_ENTITIES or f"{name};" not in html5:
        return match[0]
    return "".join(f"&#{ord(character)};" for character in html5[f"{name};"])
