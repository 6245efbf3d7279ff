"""What is kept of a release in memory, and the pieces in which the database holds it.

Codes by number, whether each is active, and the hierarchy: read at once, where a query for each
question would be too slow. https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
"""

import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fhir_server.store.concepts import first
from fhir_server.store.concepts.hierarchy import Lists
from fhir_server.store.connection import Database, Row

PIECE = 1 << 20
"""Bytes of a piece: one commit each."""
_ARRAYS = ("parent ends", "parents", "child ends", "children", "ancestor ends", "ancestors")
_CODES, _ALIASES, _ACTIVE = "codes", "aliases", "active"


@dataclass(frozen=True, slots=True)
class Image:
    """A release in memory; codes have no tab or line feed in them."""

    codes: Sequence[str]
    active: bytes
    parents: Lists
    children: Lists
    ancestors: Lists
    aliases: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, code: str) -> int | None:
        """Return the number of a code, or of one that is another way to write it."""
        found = self.numbers.get(code)
        return self.aliases.get(code) if found is None else found


def pieces(image: Image) -> Iterator[tuple[str, bytes]]:
    """Yield what is stored of an image, as (kind, bytes), in order."""
    texts = {
        _CODES: "\n".join(image.codes).encode(),
        _ALIASES: "\n".join(
            f"{alias}\t{number}" for alias, number in image.aliases.items()
        ).encode(),
        _ACTIVE: image.active,
    }
    hierarchy = (image.parents, image.children, image.ancestors)
    numbers = [numbers for listed in hierarchy for numbers in (listed.ends, listed.items)]
    texts.update(zip(_ARRAYS, map(_bytes, numbers), strict=True))
    for kind, body in texts.items():
        for start in range(0, len(body), PIECE):
            yield kind, body[start : start + PIECE]


def read(database: Database, system: int) -> Image:
    """Read the image of a release."""
    found: dict[str, bytearray] = {}
    for kind, body in _rows(database, system):
        found.setdefault(kind, bytearray()).extend(body)
    parents, children, ancestors = (
        Lists(_numbers(found.get(ends, b"")), _numbers(found.get(items, b"")))
        for ends, items in zip(_ARRAYS[::2], _ARRAYS[1::2], strict=True)
    )
    codes = found[_CODES].decode().split("\n") if _CODES in found else []
    aliases = (line.split("\t") for line in found.get(_ALIASES, b"").decode().split("\n") if line)
    return Image(
        codes, bytes(found.get(_ACTIVE, b"")), parents, children, ancestors,
        {alias: int(number) for alias, number in aliases},
        {code: number for number, code in enumerate(codes)},
    )  # fmt: skip


def _rows(database: Database, system: int) -> Iterator[Row]:
    after = first(system) - 1
    while rows := database.read(
        "SELECT id, kind, body FROM concept_image WHERE id > ? AND id < ? ORDER BY id LIMIT 16",
        (after, first(system + 1)),
    ):
        for row_id, kind, body in rows:
            after = row_id
            yield kind, body


def _bytes(numbers: Sequence[int]) -> bytes:
    """Write numbers with their lowest byte first, on any machine."""
    written = array("I", numbers)
    if sys.byteorder == "big":
        written.byteswap()
    return written.tobytes()


def _numbers(body: bytes | bytearray) -> "array[int]":
    found = array("I")
    found.frombytes(bytes(body))
    if sys.byteorder == "big":
        found.byteswap()
    return found
