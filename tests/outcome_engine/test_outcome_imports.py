"""The server starts without the libraries that only batches and statistics need."""

import subprocess
import sys

HEAVY = (
    "ibis",
    "duckdb",
    "pandas",
    "pyarrow",
    "pyspark",
    "scipy",
    "numpy",
    "statsmodels",
    "xlogit",
)


def test_the_server_starts_without_what_only_batches_and_statistics_need():
    check = (
        "import sys, outcome_engine, fhir_server.app\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=120
    )
    assert found.stdout.split() == []


def test_the_batch_needs_them():
    check = "import sys, outcome_engine.batch.batch\nprint('ibis' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=120
    )
    assert found.stdout.split() == ["True"]
