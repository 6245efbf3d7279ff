"""XML text to a tree of lxml, hardened: no document type, so no entities; no network; UTF-8 alone.

https://hl7.org/fhir/R4/security.html#narrative, https://lxml.de/FAQ.html#how-do-i-use-lxml-safely
"""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

from lxml import etree  # type: ignore[import-untyped, unused-ignore]

from r4.issue import FhirError, error

BUDGET = 32 * 1024 * 1024
"""Bytes of XML that one thread may parse: see `_Thread`."""

_DOCTYPE = b"<!DOCTYPE"
_DECLARED = re.compile(rb"(?:\xef\xbb\xbf)?<\?xml\s[^>]*?encoding\s*=\s*[\"']([^\"']*)")
_ENCODINGS = {b"utf-8", b"utf8", b"us-ascii", b"ascii"}


class _Thread:
    """A thread that parses until its budget is used up, and then a new one.

    libxml2 keeps every name it has met (of elements, attributes, namespaces) as long as the thread
    lives or a parser that it used, and beyond a few hundred MB it refuses to read on: names made
    up by clients would fill the memory of the process, then end its reading of XML.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._begin()

    def parse(self, text: bytes) -> Any:
        with self._lock:
            if self._left < 0 or self._process != os.getpid():
                self._executor.shutdown(wait=False)
                self._begin()
            self._left -= len(text)
            parsed = self._executor.submit(etree.fromstring, text, self._parser)
        return parsed.result()

    def _begin(self) -> None:
        self._left = BUDGET
        self._process = os.getpid()  # a forked process has the object and not the thread
        self._executor = ThreadPoolExecutor(1, "xml")
        self._parser = etree.XMLParser(
            encoding="utf-8",
            resolve_entities=False,
            load_dtd=False,
            no_network=True,
            huge_tree=False,
        )


_thread = _Thread()


def parse(text: bytes) -> Any:
    """Parse an XML document into its root element; comments are kept, entities do not exist.

    Raises FhirError(400) with the line for what is not well-formed, for a document type declaration
    (even quoted in a comment), for an encoding other than UTF-8, for more than 256 levels.
    """
    if (found := text.find(_DOCTYPE)) >= 0:
        raise _refusal(
            text.count(b"\n", 0, found) + 1,
            "a document type declaration is refused: FHIR has none, and entities are not read",
        )
    declared = _DECLARED.match(text)
    if declared and declared[1].lower() not in _ENCODINGS:
        raise _refusal(1, "FHIR is written in UTF-8: https://hl7.org/fhir/R4/xml.html")
    try:
        return _thread.parse(text)
    except etree.XMLSyntaxError as broken:
        raise _refusal(broken.lineno or 1, f"the XML is not well-formed: {broken.msg}") from None


def _refusal(line: int, diagnostics: str) -> FhirError:
    return FhirError(400, [error("structure", f"Line {line}: {diagnostics}.")])
