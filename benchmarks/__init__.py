"""What the parts cost, measured side by side in one run; `python -m benchmarks` runs them all.

Absolute figures belong to one machine on one day. Ratios between rows of one table travel better.
"""
