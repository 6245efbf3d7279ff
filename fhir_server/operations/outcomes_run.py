"""A run over the whole store: flattened by several processes, computed by a back end, written to a file.

The run has processes and connections of its own, and sees one snapshot. DuckDB computes in a process of
this machine; Spark, where a master is given, wherever that is, from files in a folder that it reads too.
"""

import shutil
import time
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NamedTuple

import outcome_engine
from fhir_server.context import Knowledge
from fhir_server.operations.objections import ATTEMPTS, disturbed
from fhir_server.operations.outcomes_staged import Flattened, stage
from fhir_server.store import objections
from fhir_server.store.database import open_database
from fhir_server.store.scan import Standing
from fhir_server.store.uses import EXTRACTING, MEASURING, Use
from fhir_server.store.write import ObjectedError
from outcome_engine.batch import batch, spark
from outcome_engine.batch.tables import name, of_spark
from outcome_engine.parameter_files import parameter_file
from outcome_engine.parameter_files.parameter_file import ParameterFile
from outcome_engine.views.view import views


class Run(NamedTuple):
    """What is computed: a store, what stood, a measure as of a day; and who computes it.

    folder: where staged rows are written, empty; out: where outcomes are written, by its suffix as
    Parquet or CSV; spark: a master, as `local[2]` or `spark://host:7077`; parameters: the folder of signed
    parameters and the file of signatories; objections: how things stood with them before anything was
    read (`store.objections.changes`).
    """

    where: str
    standing: Standing
    measure: str
    as_of: str
    folder: str
    out: str | None = None
    spark: str | None = None
    parameters: tuple[Path | None, Path | None] = (None, None)
    objections: int = 0

    @property
    def use(self) -> Use:
        """What is read for: a file of outcomes is an extract."""
        return MEASURING if self.out is None else EXTRACTING

    def file(self) -> ParameterFile[Any] | None:
        """Return the parameters of the measure, if it needs any; raises FhirError where refused."""
        known = parameter_file.known(*self.parameters)
        return known.of(outcome_engine.measures()[self.measure], self.as_of)


class Computed(NamedTuple):
    """What the process that computes tells: seconds of each step, and how many children are of each class.

    load: tables of a back end; compute: outcomes; write: the file of outcomes; busy: seconds of
    processor that the three took here.
    """

    load: float
    compute: float
    write: float
    busy: float
    classes: dict[str, int]
    left_out: int


class Split(NamedTuple):
    """What a run came to; stage: seconds until all was flattened."""

    flattened: Flattened
    stage: float
    computed: Computed


def run(asked: Run, executor: Executor) -> Split:
    """Compute the outcomes of all children; raises FhirError for a measure that cannot be computed.

    Where somebody comes to object meanwhile, or no longer does, it begins anew; 503 where that happens
    again and again.
    """
    asked.file()
    for _ in range(ATTEMPTS):
        started = time.perf_counter()
        known = asked._replace(objections=_objections(asked.where))
        found = stage(asked.where, asked.standing, Path(asked.folder), executor, asked.use)
        staged = time.perf_counter() - started
        try:
            computed = executor.submit(compute, known).result()
        except ObjectedError:
            shutil.rmtree(asked.folder)
        else:
            return Split(found, staged, computed)
    raise disturbed()


def _objections(where: str) -> int:
    database = open_database(where, upgraded=False)
    try:
        return objections.changes(database.read)
    finally:
        database.close()


def compute(asked: Run) -> Computed:
    """Compute from what is staged, in whatever process.

    Raises ObjectedError, and writes nothing, where others object now than when it was staged.
    """
    started, worked = time.perf_counter(), time.process_time()
    tables, keep = _in_spark(asked) if asked.spark else _in_duckdb(asked)
    loaded = time.perf_counter()
    database = open_database(asked.where, upgraded=False)
    try:
        terminology = Knowledge(database).terminology
        file = asked.file()
        memberships = batch.memberships(tables, asked.measure, terminology, file)
    finally:
        database.close()
    outcomes = batch.outcomes(
        tables, asked.measure, asked.as_of, memberships, file, keep=keep
    ).to_pyarrow()
    left_out = batch.not_assessable(tables, asked.measure, memberships).count().to_pyarrow().as_py()
    computed = time.perf_counter()
    if _objections(asked.where) != asked.objections:
        raise ObjectedError
    if asked.out is not None:
        _write(outcomes, Path(asked.out))
    counted = outcomes.group_by("class").aggregate([("child", "count")]).to_pylist()
    classes = {str(row["class"]): row["child_count"] for row in counted}
    written = time.perf_counter() - computed
    busy = time.process_time() - worked
    counts = dict(sorted(classes.items()))
    return Computed(loaded - started, computed - loaded, written, busy, counts, left_out)


def _in_duckdb(asked: Run) -> tuple[dict[str, Any], batch.Keep]:
    import duckdb  # noqa: PLC0415 - nothing that a server imports brings it
    import ibis  # noqa: PLC0415

    database = duckdb.connect()
    database.execute("SET enable_progress_bar = false")
    for view_id in views():
        files = str(Path(asked.folder) / view_id / "*.parquet").replace("'", "''")
        database.execute(
            f"CREATE TABLE {name(view_id)} AS SELECT * FROM read_parquet('{files}')"  # noqa: S608 - our own names
        )
    backend = ibis.duckdb.from_connection(database)
    return {view_id: backend.table(name(view_id)) for view_id in views()}, batch.as_it_is


def _in_spark(asked: Run) -> tuple[dict[str, Any], batch.Keep]:
    session = spark.session(asked.spark or "local")
    session.sparkContext.setLogLevel("ERROR")
    for view_id in views():
        read = session.read.parquet(str(Path(asked.folder) / view_id))
        read.createOrReplaceTempView(name(view_id))
    return of_spark(session, views()), spark.keep(session)


def _write(outcomes: Any, out: Path) -> None:
    if out.suffix == ".csv":
        from pyarrow import csv  # noqa: PLC0415

        csv.write_csv(outcomes, out)
        return
    from pyarrow import parquet  # noqa: PLC0415

    parquet.write_table(outcomes, out)
