"""The rows of a file of deaths, and of the bridge from its records to persons of HES."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import BinaryIO, NamedTuple

import msgspec

from mappings.hes import lines
from mappings.hes.layout import Layout
from mappings.hes.lines import RefusalError
from terminology import nhs_number


class Death(msgspec.Struct, frozen=True, gc=False, tag="death"):
    """A death: its record, the number of its row, the day; number, birth and person, where told."""

    record: str
    number: int
    died: date
    nhs_number: str = ""
    birth: date | None = None
    person: str = ""


class Bridge(msgspec.Struct, frozen=True, gc=False, tag="bridge"):
    """What a row of the bridge says: the record of a death is a person's of HES."""

    record: str
    person: str


Told = Death | Bridge
encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Death | Bridge).decode


class Row(NamedTuple):
    """A row: its number (the heading is 1), the offset after it, and what it says or why it is refused."""

    number: int
    end: int
    told: Told | None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Heading:
    """Where the data of a file stand, by their names; how many columns there are; the offset after it."""

    width: int
    places: Mapping[str, int]
    names: Mapping[str, str]
    end: int


def heading(file: BinaryIO, layout: Layout, *, bridge: bool = False) -> Heading:
    """Read the first line of a file of deaths, or of a bridge.

    Raises FhirError 422 where it lacks a heading that the layout names.
    """
    names = layout.bridge if bridge else layout.death
    listed, end = lines.heading(file, layout.delimiter)
    if lacking := [name for name in names.values() if name not in listed]:
        text = f"The heading lacks {', '.join(lacking)}, which the layout names."
        raise lines.bad(f"{text} It parts columns by {layout.delimiter!r}.")
    places = {datum: listed.index(name) for datum, name in names.items()}
    return Heading(len(listed), places, names, end)


def read(
    file: BinaryIO, layout: Layout, head: Heading, number: int = 1, end: int = 0
) -> Iterator[Row]:
    """Yield the rows that follow a row, by its number and the offset after it."""
    makes = _death if "died" in head.places else _bridge
    for row in lines.read(file, head.width, number, end or head.end, layout.delimiter):
        if row.refusal:
            yield Row(row.number, row.end, None, row.refusal)
            continue
        values = {datum: row.values[at].strip() for datum, at in head.places.items()}
        known = {datum: each for datum, each in values.items() if each not in layout.unknown}
        try:
            yield Row(row.number, row.end, makes(row.number, known, layout, head))
        except RefusalError as refusal:
            yield Row(row.number, row.end, None, str(refusal))


def _death(number: int, known: Mapping[str, str], layout: Layout, head: Heading) -> Death:
    _refuse_lacking(known, ("record", "died"), head)
    names = head.names
    ten = known.get("nhs_number", "").replace(" ", "").replace("-", "")
    if ten and not nhs_number.is_valid(ten):
        raise RefusalError(f"has something in {names['nhs_number']} that is no NHS number")
    birth = known.get("birth")
    return Death(
        known["record"], number, layout.day(known["died"], names["died"]), ten,
        layout.day(birth, names["birth"]) if birth else None, known.get("person", ""),
    )  # fmt: skip


def _bridge(_: int, known: Mapping[str, str], __: Layout, head: Heading) -> Bridge:
    _refuse_lacking(known, ("record", "person"), head)
    return Bridge(known["record"], known["person"])


def _refuse_lacking(known: Mapping[str, str], wanted: tuple[str, ...], head: Heading) -> None:
    for datum in wanted:
        if datum not in known:
            raise RefusalError(f"has nothing in {head.names[datum]}")
