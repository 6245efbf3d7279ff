"""Hospitals compared, each with what its own children led to expect."""
