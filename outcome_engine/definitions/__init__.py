"""Outcome definitions: Measures and their Libraries, read into values."""
