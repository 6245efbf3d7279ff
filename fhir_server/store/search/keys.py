"""How a search value becomes a 64-bit key: the hash of resource type, parameter and value.

The same text is hashed when a resource is indexed and when it is searched, so each form of a value
that can be asked for (a code with and without its system, …) is a key of its own.
"""

import unicodedata

import xxhash

from r4 import dates

_SIGN = 1 << 63
_RANGE = 1 << 64


def key(resource_type: str, code: str, value: str = "") -> int:
    """Return the signed 64-bit key of a value; without a value, of the parameter itself."""
    unsigned = xxhash.xxh3_64_intdigest(f"{resource_type}\x1f{code}\x1f{value}".encode())
    return unsigned - _RANGE if unsigned >= _SIGN else unsigned


def bounds(text: str) -> tuple[int, int]:
    """Return the first and last microsecond of a date of any precision; ValueError for another text."""
    low, high = dates.interval(text)
    return low, high - 1


def fold(text: str) -> str:
    """Fold case, accents and runs of white space, as string search ignores them."""
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(character for character in decomposed if not unicodedata.combining(character))
    return " ".join(bare.casefold().split())
