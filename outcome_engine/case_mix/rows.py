"""Outcome rows, as the batch writes them (CSV or Parquet): what models are fitted to and compare by."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from outcome_engine import civil
from outcome_engine.case_mix.model import Value

_NOT_KNOWN = (None, "not-yet-known")
_NEEDED = ("child", "hospital", "case_day", "due")
_FACTOR = "factor_"


@dataclass(frozen=True, slots=True)
class Rows:
    """Children whose outcome is due, one at each position of every sequence.

    day: that on which the case began, counted from 1970-01-01. event is None where the outcome is not
    known.
    """

    child: tuple[str, ...]
    hospital: tuple[str, ...]
    day: tuple[int, ...]
    event: tuple[bool | None, ...]
    factors: Mapping[str, tuple[Value, ...]]

    def of(self, position: int) -> dict[str, Value]:
        """Return the factors of one child."""
        return {name: values[position] for name, values in self.factors.items()}

    def each(self) -> Iterator[dict[str, Value]]:
        """Yield the factors of every child."""
        return (self.of(position) for position in range(len(self.child)))

    def taken(self, positions: Sequence[int]) -> "Rows":
        """Return some of the children."""
        return Rows(
            child=tuple(self.child[each] for each in positions),
            hospital=tuple(self.hospital[each] for each in positions),
            day=tuple(self.day[each] for each in positions),
            event=tuple(self.event[each] for each in positions),
            factors=MappingProxyType(
                {
                    name: tuple(values[each] for each in positions)
                    for name, values in self.factors.items()
                }
            ),
        )

    def known(self) -> "Rows":
        """Return the children whose outcome is known."""
        return self.taken([at for at, event in enumerate(self.event) if event is not None])


def read(file: Path, event: str, start: date, until: date) -> Rows:
    """Read the rows of cases that began from start to until, both included.

    Only children whose outcome is due count: of the others, those with an early adverse outcome alone
    would be known. Raises OSError, and ValueError for a file that is no table of outcomes.
    """
    columns = columns_due(file, ("class",), start, until)
    return Rows(
        child=tuple(map(str, columns["child"])),
        hospital=tuple(map(str, columns["hospital"])),
        day=tuple(columns["case_day"]),
        event=tuple(None if each in _NOT_KNOWN else each == event for each in columns["class"]),
        factors=MappingProxyType(
            {
                name.removeprefix(_FACTOR): tuple(values)
                for name, values in columns.items()
                if name.startswith(_FACTOR)
            }
        ),
    )


def columns_due(
    file: Path, needed: Sequence[str], start: date, until: date
) -> dict[str, list[Any]]:
    """Return the columns of a table, of cases alone that began in the period and are due.

    Raises OSError, and ValueError for a file that lacks a column that is needed.
    """
    columns = _columns(file)
    missing = [name for name in (*_NEEDED, *needed) if name not in columns]
    if missing:
        raise ValueError(
            f"{file.name} is no table of outcomes: it has no column {', '.join(missing)}"
        )
    first, last = (each.toordinal() - civil.EPOCH for each in (start, until))
    due = [
        position
        for position, (day, is_due) in enumerate(
            zip(columns["case_day"], columns["due"], strict=True)
        )
        if is_due is True and day is not None and first <= day <= last
    ]
    return {name: [values[each] for each in due] for name, values in columns.items()}


def _columns(file: Path) -> dict[str, list[Any]]:
    from pyarrow import csv, lib, parquet  # noqa: PLC0415 - large, and only this reads tables

    try:
        if file.suffix == ".parquet":
            table = parquet.read_table(file)
        else:
            options = csv.ConvertOptions(strings_can_be_null=True)
            table = csv.read_csv(file, convert_options=options)
    except lib.ArrowInvalid as failure:
        raise ValueError(f"{file.name} cannot be read: {failure}") from failure
    return {name: table.column(name).to_pylist() for name in table.column_names}
