"""Spark gives what DuckDB gives, bit for bit: classes, scores and every other column."""

import pytest

from outcome_engine.batch import spark, tables
from tests.outcome_engine.conftest import CORE
from tests.outcome_engine.flattened import many, numbered
from tests.outcome_engine.signing import TSS
from tests.outcome_engine.simulated import records
from tests.outcome_engine.test_outcome_batch import AS_OF, PARAMETERS, golden

pytest.importorskip("pyspark")
INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
"""For a few rows, evaluating is quicker than compiling; the slow tests compile."""
GASTROSCHISIS = "https://csor.example/fhir/Measure/gastroschisis-survival"


@pytest.fixture(scope="module")
def session():
    """One session of this machine alone, for all of these tests."""
    found = spark.session("local[2]")
    yield found
    found.stop()


@pytest.mark.parametrize(
    ("measure", "compiled"),
    [
        (GASTROSCHISIS, False),
        pytest.param(CORE, True, marks=pytest.mark.slow),
        pytest.param(TSS, True, marks=pytest.mark.slow),
    ],
)
@pytest.mark.filterwarnings("ignore")  # of pyspark's own, about its Python and its Java
def test_spark_and_duckdb_agree_in_every_column(measure, compiled, session, terminology):
    for name, value in ({} if compiled else INTERPRETED).items():
        session.conf.set(name, value)
    those = numbered(golden(measure))
    wanted = many(those, measure, AS_OF, terminology, parameters=PARAMETERS)
    found = many(
        those,
        measure,
        AS_OF,
        terminology,
        parameters=PARAMETERS,
        put=lambda staged: tables.in_spark(staged, session),
        keep=spark.keep(session),
    )
    assert found == wanted
    assert len(found) == len(those)
    session.catalog.clearCache()
    for name in INTERPRETED:
        session.conf.unset(name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_spark_and_duckdb_agree_on_simulated_children(session, terminology):
    those = records("hirschsprung", size=2.0)
    wanted = many(those, CORE, AS_OF, terminology)
    found = many(
        those,
        CORE,
        AS_OF,
        terminology,
        put=lambda staged: tables.in_spark(staged, session),
        keep=spark.keep(session),
    )
    assert found == wanted
    assert len(found) > 900
