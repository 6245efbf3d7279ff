"""The assignment cells of HL7's tables: a literal, or parts and literals joined to one text."""

import re
from collections.abc import Callable
from functools import partial

from mappings.hl7v2.conditions import Source

Assignment = Callable[[Source], str]

_PIECE = re.compile(
    r'\s*(?:"(?P<text>[^"]*)"|(?P<part>[A-Z][A-Z0-9]{1,2}(?:[-.]\d+)+))\s*(?P<plus>\+)?'
)


def assignment(cell: str) -> Assignment:
    """Compile an assignment. Raises ValueError where it is neither a literal nor a joining.

    A `+` may be missing. Parts that are empty leave nothing, and if all are, the text is "".
    """
    pieces: list[str | tuple[str, tuple[int, ...]]] = []
    place, plus = 0, None
    while place < len(cell.rstrip()):
        match = _PIECE.match(cell, place)
        if match is None:
            raise ValueError(f"`{cell}` is no value in quotation marks, nor parts joined by `+`")
        pieces.append(_part(match["part"]) if match["part"] else match["text"])
        place, plus = match.end(), match["plus"]
    if plus or not pieces:
        raise ValueError(f"`{cell}` ends where a value should follow")
    if all(isinstance(piece, str) for piece in pieces):
        text = "".join(piece for piece in pieces if isinstance(piece, str))
        return lambda _: text
    return partial(_joined, tuple(pieces))


def _part(text: str) -> tuple[str, tuple[int, ...]]:
    name, *numbers = re.split(r"[-.]", text)
    return name, tuple(int(number) for number in numbers)


def _joined(pieces: tuple[str | tuple[str, tuple[int, ...]], ...], source: Source) -> str:
    texts, found = [], False
    for piece in pieces:
        if isinstance(piece, str):
            texts.append(piece)
            continue
        values = source.values(*piece)
        texts.append(values[0] if values else "")
        found = found or bool(texts[-1])
    return "".join(texts) if found else ""
