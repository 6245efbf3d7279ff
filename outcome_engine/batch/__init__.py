"""Many children's outcomes at once, on DuckDB or Spark."""
