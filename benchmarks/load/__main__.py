"""`python -m benchmarks.load`: the options of a run."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.load.running import Options, run

DATABASES = ("sqlite", "postgresql")
QUICK = Options(seconds=1, patients=(200, 1000), out=Path(".build/benchmarks/quick.json"))


def _patients(text: str) -> tuple[int, ...]:
    sizes = tuple(int(part.replace("_", "")) for part in text.split(","))
    if sizes != tuple(sorted(set(sizes))) or sizes[0] < 100:
        raise argparse.ArgumentTypeError("rising numbers of children, the least 100")
    return sizes


def _databases(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(DATABASES):
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(unknown))}: sqlite, postgresql or both"
        )
    return names


def options(arguments: list[str]) -> Options:
    """Read the options of a run; leaves the process where they are wrong, as argparse does."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load",
        description="Drive a FHIR R4 server, this project's or any other, with the same load.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="200 and 1,000 children, 1 s for each load")
    add("--databases", type=_databases, help="sqlite,postgresql (both)")
    add("--patients", type=_patients, help="children, rising (1000,10000,100000)")
    add("--base-url", help="FHIR base URL of a running server, instead of starting this one")
    add("--header", action="append", help="further header of every request to --base-url")
    add("--seconds", type=float, help="for each load (8)")
    add("--out", type=Path, help="results file (benchmarks/results/<date>-<databases>.json)")
    add("--date", help="the date that the results say (today)")
    add("--profile", type=Path, help="folder: profile the server under each load, and slow it down")
    add(
        "--sustain", type=float, help="seconds of HL7 v2 over MLLP beside, with the server's memory"
    )
    given = vars(parser.parse_args(arguments))
    if given["profile"] and given["base_url"]:
        parser.error("--profile is of the server started here, not of --base-url")
    if given["sustain"] and given["base_url"]:
        parser.error("--sustain is of the server started here, not of --base-url")
    if given["header"]:
        given["header"] = tuple(given["header"])
    base = QUICK if given.pop("quick") else Options()
    return replace(base, **{name: value for name, value in given.items() if value is not None})


if __name__ == "__main__":
    sys.exit(run(options(sys.argv[1:])))
