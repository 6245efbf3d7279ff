"""What is kept of a release in memory, and the pieces in which the database holds it.

Codes by number, whether each is active, and the hierarchy: read at once, where a query for each
question would be too slow. https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
"""

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from fhir_server.store.concepts import first
from fhir_server.store.concepts.hierarchy import Lists
from fhir_server.store.connection import Row

Read = Callable[..., list[Row]]
"""Runs a query, with its parameters, and returns its rows."""
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


def image(read: Read, system: int) -> Image:
    """Read the image of a release, piece by piece: other threads go on between them."""
    numbers = [_numbers(_pieces(read, system, kind)) for kind in _ARRAYS]
    parents, children, ancestors = map(Lists, numbers[::2], numbers[1::2])
    codes = list(_lines(_pieces(read, system, _CODES)))
    aliases = (line.split("\t") for line in _lines(_pieces(read, system, _ALIASES)))
    return Image(
        codes, b"".join(_pieces(read, system, _ACTIVE)), parents, children, ancestors,
        {alias: int(number) for alias, number in aliases},
        {code: number for number, code in enumerate(codes)},
    )  # fmt: skip


def _pieces(read: Read, system: int, kind: str) -> Iterator[bytes]:
    after = first(system) - 1
    while rows := read(
        "SELECT id, body FROM concept_image"
        " WHERE id > ? AND id < ? AND kind = ? ORDER BY id LIMIT 4",
        (after, first(system + 1), kind),
    ):
        for row_id, body in rows:
            after = row_id
            yield body


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    rest = None
    for body in pieces:
        *whole, rest = ((rest or b"") + body).split(b"\n")
        yield from (line.decode() for line in whole)
    if rest is not None:
        yield rest.decode()


def _bytes(numbers: Sequence[int]) -> bytes:
    """Write numbers with their lowest byte first, on any machine."""
    written = array("I", numbers)
    if sys.byteorder == "big":
        written.byteswap()
    return written.tobytes()


def _numbers(pieces: Iterable[bytes]) -> "array[int]":
    found = array("I")
    for body in pieces:
        found.frombytes(body)
    if sys.byteorder == "big":
        found.byteswap()
    return found
