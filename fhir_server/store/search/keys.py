"""How a search value becomes a 64-bit key: the hash of resource type, parameter and value.

The same text is hashed when a resource is indexed and when it is searched, so each form of a value
that can be asked for (a code with and without its system, …) is a key of its own. A key is a signed
integer; in SQLite's inverted index it is a word of 16 hexadecimal digits.
"""

import re
import struct
import unicodedata
from collections.abc import Collection
from functools import lru_cache

from xxhash import xxh3_64_intdigest

from r4 import dates

_SIGN = 1 << 63
_RANGE = 1 << 64
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def prefix(resource_type: str, code: str) -> str:
    """Return what stands before every value of a parameter, to be hashed with it."""
    return f"{resource_type}\x1f{code}\x1f"


def key(resource_type: str, code: str, value: str = "") -> int:
    """Return the key of a value; without a value, of the parameter itself."""
    return digest(prefix(resource_type, code) + value)


def digest(text: str) -> int:
    """Hash a text (a prefix and a value that have been put together) to a signed 64-bit integer."""
    try:
        unsigned = xxh3_64_intdigest(text.encode())
    except UnicodeEncodeError:  # half a surrogate pair
        unsigned = xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))
    return unsigned - _RANGE if unsigned >= _SIGN else unsigned


def place(resource_type: str, resource_id: str) -> int:
    """Return the key of a resource's place, by which references find it."""
    return digest(f"{resource_type}/{resource_id}")


def referring(resource_type: str, resource_id: str) -> int:
    """Return the key of whatever refers to a resource, by any element at all."""
    return digest(f"*\x1freference\x1f{resource_type}/{resource_id}")


def link(param: int, target: int) -> int:
    """Return the key by which a reference is found: the parameter's key and the target's, as XOR.

    Databases make the same word of a column, so that a chain needs no table from targets to links.
    """
    return param ^ target


def text(key: int) -> str:
    """Return the word that SQLite's inverted index holds for a key: 16 hexadecimal digits."""
    return texts((key,))


def texts(keys: Collection[int]) -> str:
    """Return the words of keys, with a space between them."""
    return struct.pack(f">{len(keys)}q", *keys).hex(" ", 8)


@lru_cache(maxsize=4096)
def bounds(text: str) -> tuple[int, int]:
    """Return the first and last microsecond of a date of any precision; ValueError for another text."""
    low, high = dates.interval(text)
    return low, high - 1


def fold(text: str) -> str:
    """Fold case, accents and runs of white space, as string search ignores them."""
    if not text.isascii() or "\x00" in text:
        text = storable(text)
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(
            character for character in decomposed if not unicodedata.combining(character)
        )
    return " ".join(text.casefold().split())


def storable(text: str) -> str:
    """Replace what a database refuses in a text: NUL, and halves of surrogate pairs."""
    if "\x00" in text or not text.isascii():
        return _UNSTORABLE.sub("\ufffd", text)
    return text
