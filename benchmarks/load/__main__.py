"""`python -m benchmarks.load`: the options of a run."""

import argparse
import sys
from pathlib import Path

from benchmarks.load.running import Options, run


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(int(part.replace("_", "")) for part in text.split(","))
    if sizes != tuple(sorted(set(sizes))) or sizes[0] < 100:
        raise argparse.ArgumentTypeError("rising numbers of children, the least 100")
    return sizes


def main() -> int:
    """Read the options and run."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load",
        description="Drive a FHIR R4 server, this project's or any other, with the same load.",
    )
    parser.add_argument("--url", help="FHIR base URL of a running server; none: start this one")
    parser.add_argument(
        "--header", action="append", default=[], help="further header of every request"
    )
    parser.add_argument("--database", help="CSOR_DATABASE of the server started; none: a new file")
    parser.add_argument("--seconds", type=float, default=8, help="for each load (8)")
    parser.add_argument(
        "--sizes", type=_sizes, default=(1000, 10000), help="children, rising (1000,10000)"
    )
    parser.add_argument("--out", type=Path, help="results file, JSON")
    parser.add_argument("--date", help="the date that the results file says, as 2026-11-22")
    parser.add_argument(
        "--profile", type=Path, help="folder: profile the server under each load, and slow it down"
    )
    given = parser.parse_args()
    if given.profile and given.url:
        parser.error("--profile is of the server started here, not of --url")
    return run(Options(**{**vars(given), "header": tuple(given.header)}))


if __name__ == "__main__":
    sys.exit(main())
