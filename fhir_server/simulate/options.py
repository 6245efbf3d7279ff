"""What a simulation is asked to do, from Python or from the command line."""

import argparse
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, get_args

from fhir_server.simulate import tables

Kinds = Literal["classic", "all"]
"""Which messages are sent: without, or with, letters, bills and little stories."""


@dataclass(frozen=True, slots=True)
class Options:
    """A simulation: where to send, which cohort, how fast, and how to go on after a loss.

    The same seed, start, years, until and size give the same bytes in the same order for each
    hospital; hospitals left out change nothing for the others. size 1 is about 550 children a
    year. rate is messages per second over all hospitals, 0 as fast as they are acknowledged.
    patience is how many seconds a lost connection is retried before the simulation gives up. kinds
    `all` adds letters, bills and stories between the messages of `classic`, and changes none of those.
    """

    fhir: str = "http://127.0.0.1:8000/fhir"
    mllp: str = "127.0.0.1:2575"
    seed: int = 1
    start: date = date(2018, 1, 1)
    years: int = 3
    until: date = date(2026, 6, 30)
    size: float = 1.0
    hospitals: tuple[str, ...] = ()
    rate: float = 0.0
    ledger: Path | None = None
    resume: bool = False
    patience: float = 60.0
    kinds: Kinds = "classic"

    @property
    def mllp_address(self) -> tuple[str, int]:
        """Return host and port of the MLLP listener."""
        host, _, port = self.mllp.rpartition(":")
        return host.strip("[]"), int(port)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the simulator's arguments to a parser of the command line."""
    plain = Options()
    parser.add_argument("--fhir", default=plain.fhir, help="base URL of the FHIR endpoint")
    parser.add_argument(
        "--mllp", default=plain.mllp, type=_address, help="host:port of the MLLP listener"
    )
    parser.add_argument("--seed", default=plain.seed, type=_natural, help="seed of the cohort")
    parser.add_argument(
        "--start", default=plain.start, type=date.fromisoformat, help="first day of birth"
    )
    parser.add_argument("--years", default=plain.years, type=_natural, help="years of birth")
    parser.add_argument(
        "--until", default=plain.until, type=date.fromisoformat, help="last day of follow-up"
    )
    parser.add_argument(
        "--size", default=plain.size, type=_amount, help="1 is about 550 children a year"
    )
    parser.add_argument(
        "--hospitals", default=(), type=_hospitals, help="ODS codes, separated by commas"
    )
    parser.add_argument(
        "--rate", default=plain.rate, type=_amount, help="messages a second in total; 0 is no limit"
    )
    parser.add_argument(
        "--ledger", default=None, type=Path, help="file that every answer is written to (NDJSON)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="skip what the ledger says is answered"
    )
    parser.add_argument(
        "--patience", default=plain.patience, type=_amount, help="seconds to retry a lost server"
    )
    parser.add_argument(
        "--kinds",
        default=plain.kinds,
        choices=get_args(Kinds),
        help="classic, or all: with letters, bills and little stories",
    )


def from_arguments(arguments: argparse.Namespace) -> Options:
    """Build the options from parsed arguments."""
    return Options(
        arguments.fhir.rstrip("/"),
        arguments.mllp,
        arguments.seed,
        arguments.start,
        arguments.years,
        arguments.until,
        arguments.size,
        arguments.hospitals,
        arguments.rate,
        arguments.ledger,
        arguments.resume,
        arguments.patience,
        arguments.kinds,
    )


def _hospitals(text: str) -> tuple[str, ...]:
    known = {each.ods for each in tables.hospitals()}
    asked = tuple(part.strip() for part in text.split(",") if part.strip())
    for ods in asked:
        if ods not in known:
            raise argparse.ArgumentTypeError(
                f"no simulated hospital {ods}: choose from {', '.join(sorted(known))}"
            )
    return asked


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text} is not host:port")
    return text


def _natural(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 0 or more")
    return int(text)


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if not 0 <= amount < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of 0 or more")
    return amount
