"""The tables of loads and of growth."""

from typing import Any

from benchmarks.load.driving import Figures

DRIVER_BOUND = 0.9
"""From this share of a core on, a load measures the load generator."""


def heading() -> str:
    """Return the heading of the table of loads."""
    return (
        f"{'load':<38}{'conn':>5}{'req/s':>9}{'res/s':>9}{'p50 ms':>9}{'p99 ms':>9}"
        f"{'cpu us':>8}{'driver us':>10}{'echo/s':>9}{'ratio':>7}  errors"
    )


def row(figures: Figures) -> str:
    """Return a load's line: ratio is requests/s by those of the echo of the same bytes."""
    rate = figures.requests_per_second
    found: dict[str, Any] = figures.json()
    resources = f"{figures.resources_per_second:,.0f}" if figures.resources else ""
    cpu = found.get("server_cpu_us_per_request")
    echo = figures.notes.get("echo_per_second")
    ratio = figures.notes.get("ratio_to_echo")
    bound = "  driver-bound" if found.get("driver_share_of_a_core", 0) > DRIVER_BOUND else ""
    errors = ", ".join(f"{count} x {kind}" for kind, count in figures.errors.items()) or "0"
    return (
        f"{figures.name:<38}{figures.connections:>5}{rate:>9,.0f}{resources:>9}"
        f"{figures.milliseconds(0.5):>9.2f}{figures.milliseconds(0.99):>9.2f}"
        f"{'' if cpu is None else f'{cpu:,.0f}':>8}"
        f"{found.get('driver_cpu_us_per_request', ''):>10}"
        f"{'' if echo is None else f'{echo:,.0f}':>9}"
        f"{'' if ratio is None else f'{ratio:.3f}':>7}  {errors}{bound}"
    )


def growth(mixes: dict[int, dict[str, Figures]]) -> dict[str, object]:
    """Return the medians of the mix at each size, and how many times the last is the first.

    In the median of the mix every search weighs the same, however often it was asked.
    """
    sizes = list(mixes)
    names = list(mixes[sizes[0]])
    medians = {
        name: [round(mixes[size][name].milliseconds(0.5), 3) for size in sizes] for name in names
    }
    medians["the mix"] = [round(_mixed(mixes[size]), 3) for size in sizes]
    return {
        "children": sizes,
        "p50_ms": medians,
        "ratio_last_to_first": {name: round(row[-1] / row[0], 2) for name, row in medians.items()},
    }


def growth_table(found: dict[str, object]) -> str:
    """Return the growth as lines of a table."""
    sizes, medians, ratios = found["children"], found["p50_ms"], found["ratio_last_to_first"]
    assert isinstance(sizes, list)
    assert isinstance(medians, dict)
    assert isinstance(ratios, dict)
    lines = [f"{'p50 ms, one connection':<38}" + "".join(f"{s:>11,}" for s in sizes) + "  ratio"]
    for name, values in medians.items():
        cells = "".join(f"{value:>11.2f}" for value in values)
        lines.append(f"{name:<38}{cells}{ratios[name]:>7.2f}")
    return "\n".join(lines)


def _mixed(mix: dict[str, Figures]) -> float:
    """Return the median over all searches, each weighing the same whatever it was asked."""
    weighed = sorted(
        (latency, 1 / len(figures.latencies))
        for figures in mix.values()
        for latency in figures.latencies
    )
    half, passed = sum(weight for _, weight in weighed) / 2, 0.0
    for latency, weight in weighed:
        passed += weight
        if passed >= half:
            return latency * 1e3
    return float("nan")
