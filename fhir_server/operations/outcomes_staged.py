"""Staging a whole store: resources as rows of whole numbers, texts and booleans, in files of Parquet.

Several processes read and flatten, each its part of the rows; what they write, any back end reads. The
server is not asked for anything, and what it stores meanwhile is not seen.
"""

import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet

from fhir_server.operations.children import merged
from fhir_server.operations.past import concerned
from fhir_server.store import scan
from fhir_server.store.connection import Database
from fhir_server.store.database import open_database
from fhir_server.store.scan import Standing
from fhir_server.store.seen import used
from fhir_server.store.uses import MEASURING, Use
from outcome_engine import staging
from outcome_engine.batch.arrow import arrow
from outcome_engine.views.view import View, views
from r4.json import Resource, decode

ROWS = 20_000
"""Rows of one type that one process flattens at a time, about."""


class Part(NamedTuple):
    """The rows of a type behind one and up to another one."""

    type: str
    after: int
    until: int


class Flattened(NamedTuple):
    """What became of a part, or of several: resources, rows, and seconds of processor for each step."""

    resources: int = 0
    rows: int = 0
    read: float = 0.0
    flatten: float = 0.0
    write: float = 0.0


class Job(NamedTuple):
    """A store to stage: where it is, what stood, which Patients are another's, where to write; for what."""

    where: str
    standing: Standing
    survivors: Mapping[str, str]
    folder: str
    use: Use


_OPENED: dict[str, Database] = {}
"""The store that a process reads, opened once."""


def stage(
    where: str, standing: Standing, folder: Path, executor: Executor, use: Use = MEASURING
) -> Flattened:
    """Flatten what stood into `folder/<view>/*.parquet`, one file at least for each view.

    What somebody objects to is left out, by what it is staged for.
    """
    database = open_database(where, upgraded=False)
    try:
        job = Job(where, standing, survivors(database, standing), str(folder), use)
        parts = list(_parts(database, standing))
    finally:
        database.close()
    for view in views().values():
        (folder / view_folder(view)).mkdir(parents=True)
        _written(folder, view, 0, [])
    done: list[Future[Flattened]] = [executor.submit(flattened, job, part) for part in parts]
    found = [each.result() for each in done]
    return Flattened(*map(sum, zip(*found, strict=True))) if found else Flattened()


def survivors(database: Database, standing: Standing) -> dict[str, str]:
    """Map the id of each Patient that is merged into another to that of the one who survives."""
    listed: list[Resource] = [decode(each) for each in scan.linked_patients(database, standing)]
    patients: dict[str, Resource] = {each["id"]: each for each in listed}
    named = {id for each in listed for id in concerned(each)} - patients.keys()
    for id in scan.standing_patients(database, standing, named):
        patients[id] = {"resourceType": "Patient", "id": id}
    return {
        id: survivor
        for survivor, members in merged(patients, patients).items()
        for id in members
        if id != survivor
    }


def _parts(database: Database, standing: Standing) -> Iterator[Part]:
    """Yield parts of about equal size; a type's rows lie among those of others."""
    for resource_type in dict.fromkeys(view.resource for view in views().values()):
        first, last, many = scan.extent(database, resource_type, standing)
        wide = -(-(last - first + 1) // max(1, -(-many // ROWS)))
        for after in range(first - 1, last, wide) if many else ():
            yield Part(resource_type, after, min(after + wide, last))


def flattened(job: Job, part: Part) -> Flattened:
    """Flatten a part, in whatever process: as a file for each view of its type."""
    started = time.process_time()
    if job.where not in _OPENED:
        _OPENED[job.where] = open_database(job.where, upgraded=False)
    found = scan.bodies(
        used(_OPENED[job.where], job.use), part.type, job.standing, (part.after, part.until)
    )
    read = time.process_time()
    listed = [each for each in map(decode, found) if not _is_none(each)]
    of_child = partial(_child, job.survivors)
    rows = {
        view.name: [row for each in listed for row in staging.stage(view, of_child(each), [each])]
        for view in views().values()
        if view.resource == part.type
    }
    flat = time.process_time()
    for view in views().values():
        if view.resource == part.type:
            _written(Path(job.folder), view, part.until, rows[view.name])
    return Flattened(
        len(found),
        sum(map(len, rows.values())),
        read - started,
        flat - read,
        time.process_time() - flat,
    )


def _is_none(resource: Resource) -> bool:
    """Tell whether a case was opened in error: it is none."""
    opened_in_error: bool = resource.get("status") == "entered-in-error"
    return resource["resourceType"] == "EpisodeOfCare" and opened_in_error


def _child(survivors: Mapping[str, str], resource: Resource) -> str:
    """Return the child whom a resource is about; nobody's id where it names none."""
    if resource["resourceType"] == "Patient":
        own: str = resource["id"]
        return survivors.get(own, own)
    named = next(iter(concerned(resource)), "")
    return survivors.get(named, named)


def _written(folder: Path, view: View, number: int, rows: Sequence[tuple[Any, ...]]) -> None:
    table = arrow(view, rows)
    pyarrow.parquet.write_table(table, folder / view_folder(view) / f"{number:012}.parquet")


def view_folder(view: View) -> str:
    """Return the name of the folder of a view's files: the id of its ViewDefinition."""
    return next(id for id, each in views().items() if each is view)


@contextmanager
def processes(many: int) -> Iterator[Executor]:
    """Lend processes that are started anew: a server's threads and connections are not theirs."""
    with ProcessPoolExecutor(many, multiprocessing.get_context("spawn")) as executor:
        yield executor
