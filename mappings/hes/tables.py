"""The tables of this folder: what becomes of each column, and which values mean that nothing is known."""

import csv
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import NamedTuple


class Column(NamedTuple):
    """A column of admitted patient care: its kind (date, number, text, key; "" if it is not read)."""

    name: str
    kind: str
    becomes: str
    comment: str


@cache
def columns() -> MappingProxyType[str, Column]:
    """Return the columns by their names."""
    listed = (Column(*row) for row in _rows("columns.csv"))
    return MappingProxyType({each.name: each for each in listed})


@cache
def nulls(name: str) -> frozenset[str]:
    """Return the values of a column that mean that nothing is known; of a date, the dates that do."""
    column = columns().get(name)
    key = "date" if column and column.kind == "date" else _stem(name)
    return frozenset({"", *_nulls().get(key, ())})


def _stem(name: str) -> str:
    """Return what numbered columns share: DIAG of DIAG_01."""
    stem, _, number = name.rpartition("_")
    return stem if number.isdigit() else name


@cache
def _nulls() -> dict[str, list[str]]:
    return {name: values.split(";") for name, values, _ in _rows("nulls.csv")}


def _rows(name: str) -> list[list[str]]:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return list(csv.reader(text.splitlines()))[1:]
