"""Measures as data, and what is computed from them: one child's outcome, and reports of many.

Pure functions of stored resources. `measures` and `focus` say what there is, `check` whether it can
be reported; `cases` and `may_begin_in` say whether a child is concerned; `assess` gives one child's
outcome, `not_assessable` what stands for it where it refuses; `individual_report`,
`subject_list_report`, `summary_report`, `summary_reports` and `group_report` make MeasureReports of them, and
`provenance` says from what. See docs/outcomes.md.
"""

from outcome_engine.assessment.assess import (
    ChildOutcome,
    Decision,
    Finding,
    NotAssessable,
    assess,
    cases,
    not_assessable,
)
from outcome_engine.definitions.definition import canonical, focus, measures
from outcome_engine.reports.report import (
    Period,
    check,
    check_period,
    group_report,
    in_period,
    individual_report,
    may_begin_in,
    provenance,
    subject_list_report,
    summary_report,
    summary_reports,
)

__all__ = [
    "ChildOutcome",
    "Decision",
    "Finding",
    "NotAssessable",
    "Period",
    "assess",
    "canonical",
    "cases",
    "check",
    "check_period",
    "focus",
    "group_report",
    "in_period",
    "individual_report",
    "may_begin_in",
    "measures",
    "not_assessable",
    "provenance",
    "subject_list_report",
    "summary_report",
    "summary_reports",
]
