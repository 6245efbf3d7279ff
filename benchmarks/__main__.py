"""Run the benchmarks of this folder's parts, or those that are named, and write what they print.

`python -m benchmarks`, `python -m benchmarks store xml`, `python -m benchmarks --quick validate`
"""

import argparse
import contextlib
import importlib
import io
import json
import os
import pkgutil
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import benchmarks
from benchmarks.load import machine

MATERIAL = {"outcome_children", "outcome_scores", "records", "snomed_shaped", "timing"}
"""Modules of what others measure."""
RESULTS, QUICK = Path("benchmarks/results"), Path(".build/benchmarks/quick-parts.json")
FEW_CONCEPTS, FEW_CHILDREN = "2000", "500"
"""What --quick loads, unless CONCEPTS and CHILDREN in the environment say otherwise."""


def main(arguments: Sequence[str]) -> int:
    """Run the benchmarks one after the other; leaves the process where a name is none of theirs."""
    known = sorted(
        found.name
        for found in pkgutil.iter_modules(benchmarks.__path__)
        if not found.name.startswith("_") and not found.ispkg and found.name not in MATERIAL
    )
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("named", nargs="*", metavar="part", help=f"of {', '.join(known)}")
    parser.add_argument("--quick", action="store_true", help="a small terminology, few children")
    given = parser.parse_args(arguments)
    if unknown := set(given.named) - set(known):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; of {', '.join(known)}")
    if given.quick:
        os.environ.setdefault("CONCEPTS", FEW_CONCEPTS)
        os.environ.setdefault("CHILDREN", FEW_CHILDREN)
    print(f"Python {platform.python_version()}, {platform.machine()}, one process")
    date, before = time.strftime("%Y-%m-%d", time.gmtime()), machine.load_average()
    found = {name: _run(name) for name in given.named or known}
    _write(
        QUICK if given.quick else RESULTS / f"{date}-{'-'.join(found)}.json",
        {"date": date, **machine.described(), "load_average": before, "parts": found},
    )
    return 0


def _run(name: str) -> dict[str, Any]:
    """Run one; returns how long it took, and the lines that it printed."""
    print(f"\n== {name}", flush=True)
    started, printed = time.perf_counter(), _Printed(sys.stdout)
    with contextlib.redirect_stdout(printed):
        importlib.import_module(f"benchmarks.{name}").main()
    seconds = round(time.perf_counter() - started, 1)
    print(f"({seconds} s)", flush=True)
    return {"seconds": seconds, "printed": printed.getvalue().splitlines()}


class _Printed(io.StringIO):
    """What is printed, kept and shown."""

    def __init__(self, shown: Any) -> None:
        super().__init__()
        self._shown = shown

    def write(self, text: str) -> int:
        self._shown.write(text)
        return super().write(text)

    def flush(self) -> None:
        self._shown.flush()


def _write(out: Path, results: dict[str, Any]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    print(f"\nwritten: {out}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
