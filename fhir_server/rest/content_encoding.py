"""Content-Encoding: bodies that are sent gzipped, and answers that are.

https://www.rfc-editor.org/rfc/rfc9110#section-8.4
"""

import asyncio
import gzip
import zlib
from functools import lru_cache

from fhir_server.rest.request import too_large
from r4.issue import FhirError, error

SMALLEST = 2048
"""Fewest bytes of an answer that is compressed: less than that fits in two packets as it is."""
_LEVEL = 5
_LONG = 256 * 1024
"""From this size on, compressing would keep the other callers waiting, and has a thread."""
TOO_LARGE = 413
_MOST_MEMBERS = 16
"""Most files that one gzip body joins: each costs a copy of what follows it."""
_GZIP = 16 + zlib.MAX_WBITS
_NAMES = frozenset({"gzip", "x-gzip"})


@lru_cache(maxsize=256)
def is_accepted(header: bytes | None) -> bool:
    """Tell whether an Accept-Encoding header allows gzip."""
    weights: dict[str, float] = {}
    for part in (header or b"").decode("latin-1").lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weights[name] = float(weight)
        except ValueError:
            weights[name] = 0
    named = [weights[name] for name in _NAMES if name in weights]
    return (max(named) if named else weights.get("*", 0)) > 0


async def compressed(content: bytes) -> bytes:
    """Return content gzipped; the same content always as the same bytes."""
    if len(content) < _LONG:
        return gzip.compress(content, _LEVEL, mtime=0)
    return await asyncio.to_thread(gzip.compress, content, _LEVEL, mtime=0)


def is_encoded(header: bytes | None) -> bool:
    """Tell whether a body is sent gzipped; raises FhirError 415 for any other encoding of it."""
    name = (header or b"identity").decode("latin-1").strip().lower()
    if name in _NAMES:
        return True
    if name in ("identity", ""):
        return False
    text = f"The Content-Encoding {name} is not read here; send gzip, or none."
    raise FhirError(415, [error("not-supported", text, "http.Content-Encoding")])


async def decoded(raw: bytes, largest: int) -> bytes:
    """Return a gzipped body as it was before; at no time is more than `largest` of it made.

    Raises FhirError 413 for one that is larger then, 400 for one that is not gzip or is cut off.
    """
    if len(raw) < _LONG:
        return _inflated(raw, largest)
    return await asyncio.to_thread(_inflated, raw, largest)


def _inflated(raw: bytes, largest: int) -> bytes:
    found = bytearray()
    rest = raw
    for _ in range(_MOST_MEMBERS):
        member = zlib.decompressobj(_GZIP)
        try:
            found += member.decompress(rest, largest + 1 - len(found))
        except zlib.error:
            raise _unreadable("is not gzip") from None
        if len(found) > largest:
            raise too_large(largest)
        if not member.eof:
            raise _unreadable("is cut off")
        rest = member.unused_data
        if not rest:
            return bytes(found)
    raise _unreadable(f"joins more than {_MOST_MEMBERS} files")


def _unreadable(what: str) -> FhirError:
    text = f"The body is said to be gzip, and {what}."
    return FhirError(400, [error("structure", text, "http.body")])
