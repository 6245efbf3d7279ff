"""The scored rows of the benchmark are the engine's scores, of children of every class."""

from collections import Counter
from pathlib import Path

import duckdb
import ibis
import pytest

from benchmarks import outcome_scores


def test_the_rows_are_scored_as_one_child_is_and_each_class_occurs(tmp_path: Path) -> None:
    file = outcome_scores.illustrated(tmp_path)
    rows = tmp_path / "children.parquet"
    outcome_scores.write(rows, 2000, file)
    database = ibis.duckdb.from_connection(duckdb.connect())
    children = outcome_scores.scored(database.read_parquet(rows), file)
    outcome_scores.compare(children, file)
    aggregates = outcome_scores.by_hospital(children).to_pyarrow().to_pylist()
    assert len(aggregates) == outcome_scores.HOSPITALS
    classes = Counter(children.select("class").to_pyarrow().column("class").to_pylist())
    assert set(classes) == {"good", "bad", "not-yet-known"}
    for name, count in classes.items():
        assert sum(row[name] for row in aggregates) == count
    with pytest.raises(ValueError, match="by itself"):
        outcome_scores.compare(children.mutate(score=children.score + 1), file)
