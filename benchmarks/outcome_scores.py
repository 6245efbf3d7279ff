"""Flattened children in DuckDB, a row each with seven attributes: score, class and hospitals' aggregates.

The score is that of the engine's illustrative parameters, by the expressions of the definition that it
computes every child with. Some children's scores are compared with those of one child at a time.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import ibis

import outcome_engine
from fhir_server.app import clock
from fhir_server.commands.parameters import illustrate
from outcome_engine.definitions.definition import definition
from outcome_engine.expressions.ibis import Scope, compiled, literal
from outcome_engine.methods.treatment_success import IntegerTerm
from outcome_engine.parameter_files import parameter_file
from outcome_engine.parameter_files.parameter_file import ParameterFile

MEASURE = "https://csor.example/fhir/Measure/treatment-success-score"
HOSPITALS = 60
THREADS = 2
TIMES = 5
COMPARED = 500


def aggregates(many: int) -> None:
    """Print how long so many rows of a Parquet file take to each hospital's aggregates."""
    with tempfile.TemporaryDirectory() as folder:
        file, rows = illustrated(Path(folder)), Path(folder) / "children.parquet"
        write(rows, many, file)
        database = duckdb.connect()
        database.execute(f"SET threads TO {THREADS}")
        children = scored(ibis.duckdb.from_connection(database).read_parquet(rows), file)
        compare(children, file)
        started = time.perf_counter()
        query = str(ibis.to_sql(by_hospital(children)))
        compiling, taken = time.perf_counter() - started, []
        for _ in range(TIMES):
            started = time.perf_counter()
            found = database.execute(query).fetchall()
            taken.append(time.perf_counter() - started)
    print(
        f"{many:,} flattened children of {len(terms(file))} attributes, in Parquet, to score, class and "
        f"{len(found)} hospitals' aggregates: {compiling:.3f} s to compile the query, first run "
        f"{taken[0]:.3f} s, fastest of {TIMES} {min(taken):.3f} s"
    )


def illustrated(folder: Path) -> ParameterFile[Any]:
    """Return the illustrative parameters, signed for the moment."""
    today = clock().date()
    known = parameter_file.known(*illustrate(folder, today))
    found = known.of(outcome_engine.measures()[MEASURE], today.isoformat())
    if found is None:
        raise ValueError("the measure needs no parameters")
    return found


def terms(file: ParameterFile[Any]) -> tuple[IntegerTerm, ...]:
    """Return the attributes, as the score weighs them."""
    found: tuple[IntegerTerm, ...] = file.content.compiled().terms
    return found


def write(out: Path, many: int, file: ParameterFile[Any]) -> None:
    """Write children with made-up attributes, the same each time: of each, one of twenty is not known."""
    columns = ", ".join(
        f"CASE WHEN hash(child, '{term.id}?') % 20 > 0 THEN {_level(term)} END AS \"{term.id}\""
        for term in terms(file)
    )
    with duckdb.connect() as database:
        database.execute(
            f"COPY (SELECT child, child % {HOSPITALS} AS hospital, {columns}"
            f" FROM range({many}) AS made(child)) TO '{out}' (FORMAT parquet)"
        )


def _level(term: IntegerTerm) -> str:
    """Return the SQL of a level: seldom the worst, at times beyond the range that counts."""
    most = term.steps[-1][0] * 2 if term.steps else term.maximum + 1
    worse = f"({most} * power(hash(child, '{term.id}') % 1000 / 1000, 4))::BIGINT"
    return f"{most} - {worse}" if term.steps or term.slope > 0 else worse


def scored(children: Any, file: ParameterFile[Any]) -> Any:
    """Return the children with `score` (millionths) and `class`, by the measure's definition."""
    rules = definition(MEASURE, file)
    facts = {term.id: term.id for term in terms(file)}
    own = {name for name, _ in file.content.scoring_facts()}

    def scope() -> Scope:
        columns = {name: children[column] for name, column in facts.items()}
        return Scope(None, {"due": literal(True, "boolean"), **columns}, {})

    for step in rules.facts:
        if step.id in own and step.expression is not None:
            children = children.mutate(**{step.id: compiled(step.expression, scope())})
            facts[step.id] = step.id
    *chosen, last = rules.class_rules
    branches = [
        (compiled(step.criteria, scope()).fill_null(False), step.outcome_class) for step in chosen
    ]
    return children.mutate(**{"class": ibis.cases(*branches, else_=last.outcome_class)})


def by_hospital(children: Any) -> Any:
    """Return each hospital's children, how many are of each class, and the sum of their scores."""
    classes = {
        name: (children["class"] == name).cast("int64").sum()
        for name in ("good", "bad", "not-yet-known")
    }
    return children.group_by("hospital").aggregate(
        children=children.count(), **classes, score=children.score.sum()
    )


def compare(children: Any, file: ParameterFile[Any]) -> None:
    """Raise ValueError where the first children's scores or classes are others than one at a time."""
    sample = children.filter(children.child < COMPARED).to_pyarrow().to_pylist()
    for row in sample:
        one = file.content.scored({term.id: row[term.id] for term in terms(file)})
        expected = (one and one.micro, _class(one and one.good))
        if (row["score"], row["class"]) != expected:
            raise ValueError(f"{row}: {expected} by itself")


def _class(is_good: bool | None) -> str:
    return {True: "good", False: "bad", None: "not-yet-known"}[is_good]
