"""How long works take that are done in microseconds, side by side."""

import time
from collections.abc import Callable, Mapping

ROUNDS = 40
SECONDS = 0.003
"""Of each run in a round."""
ENOUGH = 5.0
"""Seconds after which no further round begins."""


def fastest(works: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the microseconds of each in the fastest of several short runs, taken in turns."""
    best = {name: spent(work, 1) for name, work in works.items()}
    until = time.perf_counter() + ENOUGH
    for turn in range(ROUNDS):
        if turn and time.perf_counter() > until:
            break
        for name, work in works.items():
            best[name] = min(best[name], spent(work, max(1, int(SECONDS / best[name]))))
    return {name: seconds * 1e6 for name, seconds in best.items()}


def spent(work: Callable[[], object], times: int) -> float:
    """Return the seconds of one call, the first of which is not counted."""
    work()
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times
