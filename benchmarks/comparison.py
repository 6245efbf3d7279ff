"""What the statistics of comparison do where the truth is known: tables for docs/statistics.md.

`python -m benchmarks comparison`: coverage of intervals, false alarms, power at the registry's sizes.
"""

from collections.abc import Callable
from math import log, sqrt

import numpy as np

from outcome_engine.comparison.hospitals import Hospital, Policy, compare
from outcome_engine.methods.funnel import overdispersed, prediction_limits, shifted
from outcome_engine.methods.intervals import clopper_pearson, mid_p, wilson
from outcome_engine.methods.overdispersion import (
    leave_one_out,
    log_odds,
    overdispersion,
    truncated,
    untrimmed,
    winsorised,
)
from outcome_engine.methods.power import power_above

Interval = Callable[[int, int], tuple[float, float]]

SIZES = (20, 35, 50, 60, 80, 90, 120, 150, 220, 400)
LIMITS = {0.05: 1.959964, 0.002: 3.090232}


def main() -> None:
    """Print the tables."""
    _coverage()
    _false_alarms()
    _power()
    _shrinkage()


def _coverage() -> None:
    print("\nCoverage of 95% intervals, summed over every count\n")
    print("| children | rate | Wilson | exact | mid-p |\n|---|---|---|---|---|")
    for children in (8, 20, 50, 150, 500):
        for rate in (0.05, 0.2, 0.5):
            chances = overdispersed(np.full(children, rate), 0)
            found = (
                _held(each, children, rate, chances) for each in (wilson, clopper_pearson, mid_p)
            )
            print(f"| {children} | {rate} | " + " | ".join(f"{each:.3f}" for each in found) + " |")


def _held(interval: Interval, children: int, rate: float, chances: np.ndarray) -> float:
    found = (interval(count, children) for count in range(children + 1))
    return float(
        sum(p for p, (low, high) in zip(chances, found, strict=True) if low <= rate <= high)
    )


def _false_alarms() -> None:
    print(
        "\nFalse alarms: hospitals as expected that are beyond the limits (nominal 0.05 and 0.002)\n"
    )
    print("| hospitals | sd between them | how tau2 was had | 95% | 99.8% |\n|---|---|---|---|---|")
    for hospitals in (10, 30):
        for deviation in (0.0, 0.2, 0.4):
            for name, (inner, outer) in _beyond(hospitals, deviation).items():
                print(f"| {hospitals} | {deviation} | {name} | {inner:.3f} | {outer:.4f} |")


def _beyond(hospitals: int, deviation: float, runs: int = 1000) -> dict[str, tuple[float, float]]:
    rng = np.random.default_rng(6)
    trims = {
        "others": untrimmed,
        "others, winsorised": winsorised(),
        "others, truncated": truncated(),
    }
    beyond = {name: np.zeros(2) for name in ("given", *trims, "all together")}
    for _ in range(runs):
        size = rng.integers(60, 400, hospitals)
        seen = rng.binomial(size, shifted(0.2, rng.normal(0, deviation, hospitals)))
        found = log_odds(seen, 0.2 * size, 0.16 * size)
        variances = {
            name: np.array([each.tau2 for each in leave_one_out(found, trim)])
            for name, trim in trims.items()
        }
        variances["given"] = np.full(hospitals, deviation**2)
        variances["all together"] = np.full(hospitals, overdispersion(found, untrimmed).tau2)
        for name, tau2 in variances.items():
            z = np.abs(found.z * found.s) / np.sqrt(found.s**2 + tau2)
            beyond[name] += [np.sum(z > limit) for limit in LIMITS.values()]
    return {
        name: (counts[0] / runs / hospitals, counts[1] / runs / hospitals)
        for name, counts in beyond.items()
    }


def _power() -> None:
    print("\nPower to find doubled odds of a bad outcome; exact limits of children alike\n")
    print("| children | rate | tau2 | 95% | 99.8% |\n|---|---|---|---|---|")
    for children in (10, 25, 50, 100, 200, 500):
        for rate in (0.05, 0.2):
            for tau2 in (0.0, 0.04):
                risk = np.full(children, rate)
                chances, true = overdispersed(risk, tau2), overdispersed(shifted(risk, log(2)), 0)
                found = (
                    power_above(true, prediction_limits(chances, level)) for level in (0.95, 0.998)
                )
                print(
                    f"| {children} | {rate} | {tau2} | "
                    + " | ".join(f"{each:.2f}" for each in found)
                    + " |"
                )


def _shrinkage() -> None:
    rng, runs = np.random.default_rng(9), 30
    print("\nRatios of ten hospitals of 20 to 400 children against the true ones\n")
    print(
        "| sd between hospitals | error of O/E | error shrunken | interval holds |\n|---|---|---|---|"
    )
    for deviation in (0.0, 0.2, 0.4):
        raw, shrunken, held = [], [], []
        for _ in range(runs):
            risks = [rng.beta(2, 8, size) for size in SIZES]
            effects = rng.normal(0, deviation, len(SIZES))
            given, true = [], []
            for at, (risk, effect) in enumerate(zip(risks, effects, strict=True)):
                seen = (rng.random(len(risk)) < shifted(risk, effect)).astype(int).tolist()
                given.append(Hospital(str(at), seen, risk.tolist()))
                true.append(float(shifted(risk, effect).sum() / risk.sum()))
            for each, truth in zip(
                compare(given, Policy(event="bad")).hospitals, true, strict=True
            ):
                raw.append((each.ratio - truth) ** 2)
                shrunken.append((each.shrunken.value - truth) ** 2)
                held.append(each.shrunken.lower <= truth <= each.shrunken.upper)
        print(
            f"| {deviation} | {sqrt(np.mean(raw)):.3f} | {sqrt(np.mean(shrunken)):.3f} "
            f"| {np.mean(held):.3f} |"
        )


if __name__ == "__main__":
    main()
