"""ICD-10, 5th edition, as TRUD distributes its codes, titles and metadata: a table with a header.

https://isd.digital.nhs.uk/trud. `ALT_CODE` is the form without a
dot, in which a category of three characters is padded with X.
"""

import re
from collections.abc import Iterator

from terminology.loaders.rows import Concept, Lines, Name, Parent, tabbed, unreadable

_CODE = re.compile(r"[A-Z][0-9]{2}(\.[0-9]{1,2})?")
_COLUMNS = ("CODE", "ALT_CODE", "DESCRIPTION", "MODIFIER_4", "MODIFIER_5")
_SHORTEST = 3


def concepts(name: str, lines: Lines) -> Iterator[Concept | Name]:
    """Yield each code, its form without a dot, and its title with what the modifiers add to it."""
    seen: set[str] = set()
    for number, (code, other, title, *modifiers) in tabbed(name, lines, _COLUMNS):
        if not _CODE.fullmatch(code):
            raise unreadable(name, number, f"{code!r} is no code of ICD-10")
        if code in seen:
            raise unreadable(name, number, f"{code} stands here a second time")
        seen.add(code)
        yield Concept(code, alias=other if other and other != code else None)
        yield Name(code, " ".join(filter(None, [title, *modifiers])), "en")


def parents(name: str, lines: Lines) -> Iterator[Parent]:
    """Yield, for each code, the longest code that it begins with."""
    codes = [code for _, (code, *_) in tabbed(name, lines, _COLUMNS)]
    known = set(codes)
    for code in codes:
        above = code[:-1].rstrip(".")
        while len(above) >= _SHORTEST and above not in known:
            above = above[:-1].rstrip(".")
        if above in known:
            yield Parent(code, above)
