"""A narrative's div, carried as it was written: what JSON has as a string, XML has as a subtree.

https://hl7.org/fhir/R4/narrative.html, https://hl7.org/fhir/R4/json.html#xhtml. Whether the XHTML
is allowed is for the validator.
"""

import re
from collections.abc import Iterator
from html.entities import name2codepoint
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

from lxml import etree  # type: ignore[import-untyped, unused-ignore]

from r4.xml import primitives
from r4.xml.shapes import XHTML

_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_XML = "http://www.w3.org/XML/1998/namespace"
_NEVER_CLOSED = {"br", "hr", "img", "col"}
"""What HTML writes without an end; of everything else `<a/>` would stay open in a browser."""

_OF_XML = {"amp", "lt", "gt", "quot", "apos"}
# In well-formed XML a `<` is written for markup alone, so these are all the places of a div's tag.
_MARKUP = re.compile(
    rb"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>"
    rb"|<(?P<close>/?)(?:[^\s<>/:!?]++:)?div(?=[\s/>])(?:[^>\"']++|\"[^\"]*+\"|'[^']*+')*+>",
    re.DOTALL,
)


def divs(text: bytes) -> Iterator[bytes]:
    """Yield the outermost divs of well-formed XML as they are written there, in their order."""
    depth = start = 0
    for found in _MARKUP.finditer(text):
        closes = found["close"]
        if closes is None:
            continue
        if depth == 0:
            start = found.start()
        if not found[0].endswith(b"/>"):
            depth += -1 if closes else 1
        if depth == 0:
            yield text[start : found.end()]


def read(written: bytes, div: Any) -> str:
    """Return the string that JSON has for a div: as written, where that can stand alone.

    A div that leans on namespaces declared around it is written anew, with its own declaration.
    """
    text = written.decode()
    if problem(text) is None:
        return text
    return _anew(div, around="")


def write(div: str) -> str:
    """Return what XML has for a div's string, HTML's named entities resolved.

    Raises ValueError, saying why, where it is not well-formed XHTML in one div.
    """
    text = _ENTITY.sub(_character, div.strip())
    if (found := problem(text)) is not None:
        raise ValueError(found)
    return text


def problem(div: str) -> str | None:
    """Say why a string is not one well-formed div that declares its namespace; None where it is."""
    if "<!DOCTYPE" in div:
        return "the narrative declares a document type"
    roots: list[str] = []
    parser = expat.ParserCreate("utf-8", namespace_separator=" ")

    def start(name: str, _: object) -> None:
        roots.append(name)
        parser.StartElementHandler = None

    parser.StartElementHandler = start
    try:
        parser.Parse(div.encode(), True)
    except (expat.ExpatError, UnicodeEncodeError) as broken:
        return f"the narrative is not well-formed XML ({broken})"
    if roots != [f"{XHTML} div"] or not div.startswith("<div"):
        return f'the narrative does not begin with <div xmlns="{XHTML}">'
    return None


def _character(entity: re.Match[str]) -> str:
    name = entity[1]
    known = name not in _OF_XML and name in name2codepoint
    return f"&#{name2codepoint[name]};" if known else entity[0]


def _anew(element: Any, around: str) -> str:
    """Write an element without prefixes: each namespace is declared where it begins.

    By hand, for lxml would keep the names in the calling thread: see `r4.xml.parse`.
    """
    qualified = etree.QName(element)
    name, space = qualified.localname, qualified.namespace or ""
    start = [f"<{name}", "" if space == around else f' xmlns="{primitives.write(space)}"']
    for number, (attribute, value) in enumerate(element.items()):
        start.append(_attribute(attribute, value, number))
    inside = [_text(element.text)]
    for child in element:
        if isinstance(child.tag, str):  # comments and processing instructions have no name
            inside.append(_anew(child, space))
        inside.append(_text(child.tail))
    content = "".join(inside)
    end = f">{content}</{name}>" if content or name not in _NEVER_CLOSED else "/>"
    return "".join(start) + end


def _attribute(name: str, value: str, number: int) -> str:
    space, _, local = name.removeprefix("{").rpartition("}")
    written = f'{local}="{primitives.write(value)}"'
    if not space:
        return f" {written}"
    if space == _XML:
        return f" xml:{written}"
    return f' xmlns:n{number}="{primitives.write(space)}" n{number}:{written}'


def _text(text: str | None) -> str:
    return escape(text or "", {"\r": "&#13;"})
