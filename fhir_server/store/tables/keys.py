"""How the keys of the tables are declared."""

from typing import Any

from sqlalchemy import BigInteger, Column, Integer
from sqlalchemy.types import TypeEngine


def number_key(kind: type[TypeEngine[Any]] = BigInteger) -> Column[object]:
    """Return a part of a key, which the writer gives."""
    return Column(kind, primary_key=True, autoincrement=False)


def row_key() -> Column[object]:
    """Return a key of 64 bits, which is SQLite's own number of the row."""
    kind = BigInteger().with_variant(Integer(), "sqlite")
    return Column(kind, primary_key=True, autoincrement=False)
