"""Hospital Episode Statistics, admitted patient care: rows to spells, and what followed operations.

Rules and null conventions are in docs/hes.md; `columns.csv` says what becomes of each column.
"""
