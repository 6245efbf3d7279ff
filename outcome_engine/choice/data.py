"""Choices in long form: a row an alternative of a task that somebody was asked.

The file is CSV with a header: `group` (of stakeholders), `respondent`, `task`, `alternative` (its
name, as `a`, `b` or `palliation`), `chosen` (1 or 0), and a column of numbers for every coefficient
that is to be estimated (attributes, interactions, constants of alternatives). Where answers and design
stand in two tables: `answers`.
"""

import csv
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

KEYS = ("group", "respondent", "task", "alternative", "chosen")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}\Z", re.ASCII)
_Key = TypeVar("_Key", bound=Hashable)
_LEAST = 2
"""Alternatives of a task."""


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """What one group of stakeholders chose; rows in the order of respondents, and of their tasks.

    `x` is (rows, names). `respondent` and `task` number from 0 in the order of the rows; `task` is
    unique over respondents. One row of each task is chosen.
    """

    group: str
    names: tuple[str, ...]
    x: NDArray[np.float64]
    chosen: NDArray[np.bool_]
    alternative: tuple[str, ...]
    respondent: NDArray[np.intp]
    task: NDArray[np.intp]

    @property
    def tasks(self) -> int:
        """How many tasks there are."""
        return int(self.task[-1]) + 1

    @property
    def respondents(self) -> int:
        """How many people answered."""
        return int(self.respondent[-1]) + 1

    @property
    def starts(self) -> NDArray[np.intp]:
        """The first row of every task."""
        return np.flatnonzero(np.diff(self.task, prepend=-1))

    def probabilities(self, utility: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logit probabilities of the rows, given their utilities (rows, ...)."""
        highest = np.maximum.reduceat(utility, self.starts)[self.task]
        grown = np.exp(utility - highest)
        return np.asarray(grown / np.add.reduceat(grown, self.starts)[self.task])

    def log_likelihood(self, utility: NDArray[np.float64]) -> float:
        """Return the logit log-likelihood of what was chosen, given the utilities of the rows."""
        highest = np.maximum.reduceat(utility, self.starts)
        total = np.add.reduceat(np.exp(utility - highest[self.task]), self.starts)
        return float((utility[self.chosen] - highest - np.log(total)).sum())


def read(file: Path) -> Mapping[str, Choices]:
    """Read a file of choices, as Choices by group.

    Raises OSError, and ValueError that names the line or the task where something is wrong.
    """
    with file.open(newline="", encoding="utf-8-sig") as opened:
        reader = csv.DictReader(opened)
        missing = [name for name in KEYS if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"{file.name} has no column {', '.join(missing)}")
        names = tuple(name for name in reader.fieldnames or () if name not in KEYS)
        rows = [row | {"line": str(reader.line_num)} for row in reader]
    return by_group(file.name, names, rows)


def by_group(
    file: str, names: tuple[str, ...], rows: Sequence[dict[str, str]]
) -> Mapping[str, Choices]:
    """Return rows in long form, with the `line` of each, as Choices by group; raises as `read`."""
    if not names or not rows:
        raise ValueError(f"{file} has no rows, or no column of a coefficient")
    for name in names:
        if not _NAME.match(name):
            text = (
                "a coefficient's name is small letters, digits and hyphens, as a parameter file's"
            )
            raise ValueError(f"{file}: column {name!r}: {text}")
    groups: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(row["group"] or "", []).append(row)
    return {group: _choices(file, group, names, each) for group, each in groups.items()}


def _choices(
    file: str, group: str, names: tuple[str, ...], rows: Sequence[dict[str, str]]
) -> Choices:
    people = _numbered(row["respondent"] for row in rows)
    asked = _numbered((row["respondent"], row["task"]) for row in rows)
    order = sorted(
        range(len(rows)),
        key=lambda each: (
            people[rows[each]["respondent"]],
            asked[rows[each]["respondent"], rows[each]["task"]],
        ),
    )
    ordered = [rows[each] for each in order]
    keys = [(row["respondent"], row["task"]) for row in ordered]
    number = _numbered(keys)
    found = Choices(
        group=group,
        names=names,
        x=np.array([[_number(file, row, name) for name in names] for row in ordered]),
        chosen=np.array([_chosen(file, row) for row in ordered]),
        alternative=tuple(row["alternative"] for row in ordered),
        respondent=np.array([people[row["respondent"]] for row in ordered]),
        task=np.array([number[key] for key in keys]),
    )
    _refuse_faulty(file, keys, found)
    return found


def _numbered(values: Iterable[_Key]) -> dict[_Key, int]:
    return {value: number for number, value in enumerate(dict.fromkeys(values))}


def _refuse_faulty(file: str, keys: Sequence[tuple[str, str]], given: Choices) -> None:
    rows = Counter(keys)
    chosen = Counter(key for key, is_chosen in zip(keys, given.chosen, strict=True) if is_chosen)
    named = Counter(zip(keys, given.alternative, strict=True))
    for (respondent, task), size in rows.items():
        where = f"{file}: respondent {respondent}, task {task}"
        if size < _LEAST:
            raise ValueError(f"{where}: there is one alternative: nothing was to choose")
        if chosen[respondent, task] != 1:
            raise ValueError(f"{where}: {chosen[respondent, task]} are chosen, not 1")
    twice = next((key for key, count in named.items() if count > 1), None)
    if twice:
        (respondent, task), alternative = twice
        raise ValueError(
            f"{file}: respondent {respondent}, task {task}: {alternative} stands twice"
        )


def _number(file: str, row: Mapping[str, str], name: str) -> float:
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value):
        raise ValueError(f"{file}, line {row['line']}: {name} is {row[name]!r}, not a number")
    return value


def _chosen(file: str, row: Mapping[str, str]) -> bool:
    if row["chosen"] not in ("0", "1"):
        raise ValueError(f"{file}, line {row['line']}: chosen is {row['chosen']!r}, not 0 or 1")
    return row["chosen"] == "1"
