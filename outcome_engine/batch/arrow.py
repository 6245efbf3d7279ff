"""Staged rows as columns of Apache Arrow, which every back end reads."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow

from outcome_engine import staging
from outcome_engine.views.view import View

_STORED: Mapping[staging.Kind, pyarrow.DataType] = {
    "text": pyarrow.string(),
    "boolean": pyarrow.bool_(),
    "integer": pyarrow.int64(),
}


def arrow(view: View, rows: Iterable[tuple[Any, ...]]) -> pyarrow.Table:
    """Put a view's staged rows, in the order of `staging.columns`, into columns."""
    columns = staging.columns(view)
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    arrays = [
        pyarrow.array(each, _STORED[column.kind])
        for column, each in zip(columns, values, strict=True)
    ]
    return pyarrow.table(arrays, names=[column.name for column in columns])
