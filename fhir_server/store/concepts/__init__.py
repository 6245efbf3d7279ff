"""Code systems too large for memory: loaded in slices beside what is in use, then switched to.

`loading` stores a release, `image` makes what is kept of it in memory, `reading` answers questions.
"""

SHIFT = 32
"""A row's id is its release's id times 2^32, plus its number within the release."""


def first(system: int) -> int:
    """Return the id of a release's row number 0."""
    return system << SHIFT


def number(row: int) -> int:
    """Return the number that a row has within its release."""
    return row & ((1 << SHIFT) - 1)


NAMES = 24
"""Bits of a name's number; the rest of a row's number in the index of words is the term's length."""
_LONGEST = (1 << (SHIFT - NAMES)) - 1


def text_row(name: int, term: str) -> int:
    """Return the id of a name in the index of words: there names stand by the length of their terms."""
    return first(name >> SHIFT) + (min(len(term), _LONGEST) << NAMES) + number(name)
