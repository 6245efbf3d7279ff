"""Measures as data, and what is computed from them: one child's outcome, and reports of many.

Pure functions of stored resources. `measures` and `focus` say what there is; `assess` gives one
child's outcome; `individual_report` and `summary_report` make MeasureReports of outcomes.
See docs/outcomes.md.
"""

from outcome_engine.assess import ChildOutcome, Decision, Finding, assess
from outcome_engine.definition import focus, measures
from outcome_engine.report import Period, in_period, individual_report, summary_report

__all__ = [
    "ChildOutcome",
    "Decision",
    "Finding",
    "Period",
    "assess",
    "focus",
    "in_period",
    "individual_report",
    "measures",
    "summary_report",
]
