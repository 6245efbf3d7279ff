"""OPCS-4 as TRUD distributes its codes and titles: a code, a tab and a title in each line; no header.

https://isd.digital.nhs.uk/trud
"""

import re
from collections.abc import Iterator

from terminology.loaders.rows import Concept, Lines, Name, Parent, decoded, unreadable

_CODE = re.compile(r"[A-Z][0-9]{2}(\.[0-9])?")


def concepts(name: str, lines: Lines) -> Iterator[Concept | Name]:
    """Yield each code, with and without a dot, and its title; raises UnreadableError for another line."""
    seen: set[str] = set()
    for number, code, title in _read(name, lines):
        if code in seen:
            raise unreadable(name, number, f"{code} stands here a second time")
        seen.add(code)
        yield Concept(code, alias=code.replace(".", "") if "." in code else None)
        yield Name(code, title, "en")


def parents(name: str, lines: Lines) -> Iterator[Parent]:
    """Yield, for each code of four characters, the category of three."""
    for _, code, _ in _read(name, lines):
        category, dot, _ = code.partition(".")
        if dot:
            yield Parent(code, category)


def _read(name: str, lines: Lines) -> Iterator[tuple[int, str, str]]:
    for number, text in decoded(name, lines):
        if not text:
            continue
        code, tab, title = text.removeprefix("\ufeff").partition("\t")
        if not (tab and _CODE.fullmatch(code) and title.strip()):
            raise unreadable(name, number, "is not a code of OPCS-4, a tab and a title")
        yield number, code, title.strip()
