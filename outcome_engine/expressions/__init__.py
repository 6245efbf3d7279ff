"""Expressions of outcome definitions: read and typed once, compiled to Python and to Ibis."""
