"""Run every benchmark of this folder, or those that are named: `python -m benchmarks store`."""

import importlib
import pkgutil
import platform
import sys
import time
from collections.abc import Sequence

import benchmarks

MATERIAL = {"snomed_shaped"}
"""Modules that make what others measure."""


def main(named: Sequence[str]) -> int:
    """Run the benchmarks one after the other; returns 1 where a name is none of theirs."""
    known = sorted(
        found.name
        for found in pkgutil.iter_modules(benchmarks.__path__)
        if not found.name.startswith("_") and found.name not in MATERIAL
    )
    if unknown := set(named) - set(known):
        print(f"no such benchmark: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
        return 1
    print(f"Python {platform.python_version()}, {platform.machine()}, one process")
    for name in named or known:
        print(f"\n== {name}", flush=True)
        started = time.perf_counter()
        importlib.import_module(f"benchmarks.{name}").main()
        print(f"({time.perf_counter() - started:.1f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
