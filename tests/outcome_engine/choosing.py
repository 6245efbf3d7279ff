"""Choices for tests: simulated ones with known weights, and published ones written as our CSV."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ATTRIBUTES = (
    "planned-minor", "planned-major", "emergency-minor", "emergency-major", "infections",
    "quality-of-life-25", "quality-of-life-50", "quality-of-life-75", "survival", "palliation",
)  # fmt: skip
SIGNS = dict.fromkeys(ATTRIBUTES[:5], -1) | dict.fromkeys(ATTRIBUTES[5:9], 1)
# Made up, but for the ratio of quality of life to survival, which ISPOR 2023 reports by group (see
# test_choice_estimation): operations and infections matter less, palliation is the worst of all.
WEIGHTS = {
    "planned-minor": -0.1, "planned-major": -0.2, "emergency-minor": -0.15,
    "emergency-major": -0.3, "infections": -0.25, "quality-of-life-25": 0.6,
    "quality-of-life-50": 1.2, "quality-of-life-75": 2.0, "survival": 2.0, "palliation": -1.5,
}  # fmt: skip


def write(file: Path, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write (group, respondent, task, alternative, chosen, values…) as a file of choices."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(["group", "respondent", "task", "alternative", "chosen", *names])
        writer.writerows(rows)
    return file


def simulated(
    group: str,
    weights: Mapping[str, float],
    respondents: int,
    tasks: int,
    spread: Mapping[str, float] | None = None,
    seed: int = 1,
) -> list[list[Any]]:
    """Let people choose between two treatments, and in every third task palliation as well.

    Each respondent has weights of their own where spread gives an sd; the error is Gumbel's.
    """
    rng = np.random.default_rng(seed)
    mean = np.array([weights[name] for name in ATTRIBUTES])
    sd = np.array([(spread or {}).get(name, 0.0) for name in ATTRIBUTES])
    rows: list[list[Any]] = []
    for person in range(respondents):
        own = mean + sd * rng.standard_normal(len(mean))
        for task in range(tasks):
            offered = [("a", _profile(rng)), ("b", _profile(rng))]
            if task % 3 == 0:
                offered.append(("palliation", _palliation()))
            x = np.array([values for _, values in offered])
            best = int(np.argmax(x @ own + rng.gumbel(size=len(x))))
            rows += [
                [group, person, task, name, int(best == each), *values]
                for each, (name, values) in enumerate(offered)
            ]
    return rows


def _profile(rng: np.random.Generator) -> list[float]:
    counts = [float(rng.integers(0, 4)) for _ in range(5)]
    level = int(rng.integers(0, 4))
    return [*counts, *(float(level == each) for each in (1, 2, 3)), rng.integers(0, 5) / 4, 0.0]


def _palliation() -> list[float]:
    return [0.0] * (len(ATTRIBUTES) - 1) + [1.0]
