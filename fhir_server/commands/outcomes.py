"""`outcomes run`: compute a measure for every child of the store, beside the server or without one."""

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import outcome_engine
from fhir_server.app import clock
from fhir_server.context import microseconds
from fhir_server.settings import Settings
from fhir_server.store.database import open_database, revisions
from fhir_server.store.read import snapshot
from fhir_server.store.scan import Standing

if TYPE_CHECKING:
    from fhir_server.operations.outcomes_run import Split

PROCESSES = 2
_SUFFIXES = (".csv", ".parquet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's one action and what it is given."""
    actions = parser.add_subparsers(required=True, metavar="action")
    text = "Compute a measure for every child, from one snapshot; the server goes on meanwhile."
    ran = actions.add_parser("run", help=text, description=text)
    ran.add_argument("measure", help="its canonical url, or its id")
    ran.add_argument("--at", help="an instant: what was stored by then, as of its day")
    ran.add_argument("--out", type=Path, help="a file of the outcomes: .parquet or .csv")
    ran.add_argument("--processes", type=int, default=PROCESSES, help="that flatten (default 2)")
    ran.add_argument("--spark", help="a Spark master, as spark://host:7077; without it, DuckDB")
    ran.add_argument("--folder", type=Path, help="where rows are staged; Spark must read it too")
    ran.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Compute, write the file and print what it came to.

    Raises ValueError for an instant, a file or a folder that is none, and for a database that is not
    there, or of another schema; FhirError for a measure that cannot be computed.
    """
    from fhir_server.operations import (  # noqa: PLC0415 - what they need is large
        outcomes_run,
        outcomes_staged,
    )

    settings = Settings()
    where, measure = settings.database, _measure(given.measure)
    current, newest = revisions(where)
    if current is None:
        raise ValueError(f"there is no database {Path(where).name}")
    if current != newest:
        raise ValueError(f"the schema is {current}, not {newest}: run migrate first")
    at = _instant(given.at)
    if given.out is not None and given.out.suffix not in _SUFFIXES:
        raise ValueError(f"{given.out}: the outcomes are written as {' or '.join(_SUFFIXES)}")
    if given.folder is not None and given.folder.exists() and any(given.folder.iterdir()):
        raise ValueError(f"{given.folder} is not empty")
    database = open_database(where, upgraded=False)
    try:
        standing = Standing(snapshot(database), None if at is None else microseconds(at))
    finally:
        database.close()
    as_of = (at or clock()).astimezone(UTC).date().isoformat()
    with (
        tempfile.TemporaryDirectory() as made,
        outcomes_staged.processes(max(1, given.processes)) as executor,
    ):
        folder = str(given.folder or Path(made) / "staged")
        out = str(given.out) if given.out else None
        asked = outcomes_run.Run(
            where, standing, measure, as_of, folder, out, given.spark,
            (settings.parameters, settings.signatories),
        )  # fmt: skip
        found = outcomes_run.run(asked, executor)
    _say(asked.measure, as_of, found)
    return 0


def _say(measure: str, as_of: str, found: "Split") -> None:
    print(f"{measure} as of {as_of}")
    told, computed = found.flattened, found.computed
    for name, many in computed.classes.items():
        print(f"{name:<20}{many:>10,}")
    print(f"{'not assessable':<20}{computed.left_out:>10,}")
    print(
        f"{told.resources:,} resources as {told.rows:,} rows in {found.stage:.1f} s, loaded in "
        f"{computed.load:.1f} s, computed in {computed.compute:.1f} s, written in {computed.write:.1f} s"
    )


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ValueError(f"{text} is no instant, as 2026-11-23T09:30:00Z")
    if found > clock():
        raise ValueError(f"{text} has not been yet")
    return found


def _measure(named: str) -> str:
    """Return the url of a measure by its url or id; raises ValueError for neither."""
    known = outcome_engine.measures()
    url = next((url for url, each in known.items() if named in (url, each["id"])), named)
    if url not in known:
        ids = ", ".join(sorted(each["id"] for each in known.values()))
        raise ValueError(f"there is no measure {named}; there are {ids}")
    return url
