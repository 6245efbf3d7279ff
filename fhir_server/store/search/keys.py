"""How a search value becomes a 64-bit key: the hash of resource type, parameter and value.

The same text is hashed when a resource is indexed and when it is searched, so each form of a value
that can be asked for (a code with and without its system, …) is a key of its own. In the inverted
index a key is called a word.
"""

import unicodedata
from functools import lru_cache

import xxhash

from r4 import dates

_SIGN = 1 << 63
_RANGE = 1 << 64


def prefix(resource_type: str, code: str) -> str:
    """Return what stands before every value of a parameter, to be hashed with it."""
    return f"{resource_type}\x1f{code}\x1f"


def key(resource_type: str, code: str, value: str = "") -> int:
    """Return the signed 64-bit key of a value; without a value, of the parameter itself."""
    return number(prefix(resource_type, code) + value)


def number(text: str) -> int:
    """Hash a text to a signed 64-bit integer."""
    unsigned = xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))
    return unsigned - _RANGE if unsigned >= _SIGN else unsigned


def place(resource_type: str, resource_id: str) -> int:
    """Return the key of a resource's place, by which references find it."""
    return number(f"{resource_type}/{resource_id}")


def referring(resource_type: str, resource_id: str) -> int:
    """Return the word of whatever refers to a resource, by any element at all."""
    return number(f"*\x1freference\x1f{resource_type}/{resource_id}")


def link(param: int, target: int) -> int:
    """Return the word by which a reference is found: the parameter's key and the target's, as XOR.

    Databases make the same word of a column, so that a chain needs no table from targets to links.
    """
    return param ^ target


def text(key: int) -> str:
    """Write a key as SQLite's inverted index holds it: 16 hexadecimal digits."""
    return f"{key % _RANGE:016x}"


@lru_cache(maxsize=4096)
def bounds(text: str) -> tuple[int, int]:
    """Return the first and last microsecond of a date of any precision; ValueError for another text."""
    low, high = dates.interval(text)
    return low, high - 1


def fold(text: str) -> str:
    """Fold case, accents and runs of white space, as string search ignores them."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(
            character for character in decomposed if not unicodedata.combining(character)
        )
    return " ".join(text.casefold().split())
