"""The figures that the project is held to, each beside its target, the databases side by side."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.load import codes, loads, messages

Found = dict[str, Any]
"""What was measured on one database, as the results file says it."""


@dataclass(frozen=True)
class Figure:
    """A figure: its name, how it is read from what was found, and what it is to be, if anything.

    `per_database` holds the targets that differ from the usual one.
    """

    name: str
    read: Callable[[Found], float | None]
    sign: str = ""
    target: float | None = None
    per_database: tuple[tuple[str, float], ...] = ()

    def wanted(self, database: str) -> float | None:
        return dict(self.per_database).get(database, self.target)


_SIGNS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "<": operator.lt,
}


def _load(name: str, key: str) -> Callable[[Found], float | None]:
    return lambda found: found["loads"].get(name, {}).get(key)


def _alone(name: str) -> Callable[[Found], float | None]:
    return lambda found: found["growth"]["p50_ms"][name][-1]


def _grown(found: Found) -> float | None:
    ratio: float = found["growth"]["ratio_last_to_first"]["the mix"]
    return ratio


def _ingest(key: str) -> Callable[[Found], float | None]:
    return lambda found: found["ingest"][key]


def _race_errors(found: Found) -> float | None:
    return float(sum(found["loads"][loads.RACE]["errors"].values()))


_RATE, _CPU = "requests_per_second", "server_cpu_us_per_request"

FIGURES = (
    Figure("creates/s, 32 connections", _load(loads.CREATE, _RATE), ">=", 3000),
    Figure(
        "Bundle resources/s, 8 connections",
        _load(loads.TRANSACTION, "resources_per_second"), ">=", 6000,
    ),
    Figure("reads/s, 32 connections", _load(loads.READ, _RATE), ">=", 6000, (("sqlite", 12000),)),
    Figure("patient + code + date searches/s", _load(loads.SEARCH, _RATE), ">=", 2000),
    Figure("patient + code + date, p50 ms alone", _alone(loads.SEARCH), "<", 5),
    Figure("count by code, p50 ms alone", _alone(loads.COUNT), "<", 5),
    Figure("$validate-code/s, GET, 32 connections", _load(codes.CHECK_GET, _RATE), ">=", 3000),
    Figure("$validate-code/s, POST, 32 connections", _load(codes.CHECK_POST, _RATE), ">=", 3000),
    Figure("$validate-code/s GET, by reads/s", _load(codes.CHECK_GET, "ratio_to_read")),
    Figure("ingest/s, first 10 s", _ingest("first_10_s")),
    Figure("ingest/s, last 10 s", _ingest("last_10_s")),
    Figure("ingest, last / first", _ingest("ratio_last_to_first"), ">=", 0.6),
    Figure("search mix p50, largest / smallest size", _grown, "<=", 1.35),
    Figure("conditional-create race, errors", _race_errors, "<=", 0),
    *(
        Figure(f"{messages.named(connections)}, messages/s", _load(messages.named(connections), _RATE),
               ">=", 300)
        for connections in messages.CONNECTIONS
    ),
    Figure("ADT sustained, least tenth, messages/s",
           _load(messages.SUSTAINED, "least_tenth_per_second"), ">=", 300),
    Figure("ADT sustained, MiB before", _load(messages.SUSTAINED, "mebibytes_before")),
    Figure("ADT sustained, MiB after", _load(messages.SUSTAINED, "mebibytes_after")),
    Figure("download resources/s", _load(loads.DOWNLOAD, "resources_per_second")),
    Figure("server cpu us, create", _load(loads.CREATE, _CPU)),
    Figure("server cpu us, transaction of 100", _load(loads.TRANSACTION, _CPU)),
    Figure("server cpu us, ADT over MLLP, 32", _load(messages.named(32), _CPU)),
    Figure("server cpu us, read", _load(loads.READ, _CPU)),
    Figure("server cpu us, $validate-code, GET", _load(codes.CHECK_GET, _CPU)),
    Figure("server cpu us, patient + code + date", _load(loads.SEARCH, _CPU)),
)  # fmt: skip


def beside(found: dict[str, Found]) -> list[dict[str, Any]]:
    """Return each figure with its target, its value and whether that is met, by database."""
    return [
        {
            "figure": figure.name,
            **{name: _judged(figure, name, each) for name, each in found.items()},
        }
        for figure in FIGURES
    ]


def _judged(figure: Figure, database: str, found: Found) -> dict[str, Any]:
    value, wanted = figure.read(found), figure.wanted(database)
    if wanted is None:
        return {"value": value}
    met = None if value is None else _SIGNS[figure.sign](value, wanted)
    return {"value": value, "target": f"{figure.sign} {wanted:,g}", "met": met}


def table(figures: list[dict[str, Any]], names: tuple[str, ...]) -> str:
    """Return the figures as lines: for each database the value, the target, and what is missed."""
    lines = [f"{'figure':<42}" + "".join(f"{name:>12}{'target':>12}{'':<8}" for name in names)]
    for row in figures:
        lines.append(f"{row['figure']:<42}" + "".join(_cell(row[name]) for name in names))
    return "\n".join(lines)


def _cell(judged: dict[str, Any]) -> str:
    value = judged["value"]
    shown = "-" if value is None else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
    missed = " MISSED" if judged.get("met") is False else ""
    return f"{shown:>12}{judged.get('target', ''):>12}{missed:<8}"
