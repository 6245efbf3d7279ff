"""What is wrong, as values: an Issue, the one exception that carries them, and its OperationOutcome.

https://hl7.org/fhir/R4/operationoutcome.html
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from r4.json import Resource

Severity = Literal["fatal", "error", "warning", "information"]

RULE = "https://csor.example/fhir/StructureDefinition/issue-rule"
"""Extension on OperationOutcome.issue: the id of the rule that was broken."""

PROFILE = "https://csor.example/fhir/StructureDefinition/issue-profile"
"""Extension on OperationOutcome.issue: the profile (`url|version`) whose rule it is."""

LINE = "https://csor.example/fhir/StructureDefinition/issue-line"
COLUMN = "https://csor.example/fhir/StructureDefinition/issue-column"
"""Extensions on OperationOutcome.issue: where in the text that was sent, counted from 1."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding: FHIR severity and IssueType code, a sentence that says what to do, and where.

    profile: `url|version` of the profile whose rule it is; None for a type's own definition. line and
    column: where its element stands in the text that was sent, counted from 1; None where unknown.
    """

    severity: Severity
    code: str
    diagnostics: str
    expression: str | None = None
    rule: str | None = None
    profile: str | None = None
    line: int | None = None
    column: int | None = None

    @property
    def is_error(self) -> bool:
        """Tell whether this finding refuses the content."""
        return self.severity in ("fatal", "error")


class FhirError(Exception):
    """The one exception that crosses packages: an HTTP status and at least one Issue.

    A door turns it into an OperationOutcome (HTTP) or a NAK (HL7 v2).
    """

    def __init__(self, status: int, issues: Iterable[Issue]) -> None:
        self.status = status
        self.issues = tuple(issues)
        super().__init__("; ".join(issue.diagnostics for issue in self.issues))

    def __reduce__(self) -> tuple[type["FhirError"], tuple[int, tuple[Issue, ...]]]:
        """Let it cross from one process to another."""
        return FhirError, (self.status, self.issues)


def error(
    code: str, diagnostics: str, expression: str | None = None, rule: str | None = None
) -> Issue:
    """Build an Issue of severity error."""
    return Issue("error", code, diagnostics, expression, rule)


def operation_outcome(issues: Iterable[Issue]) -> Resource:
    """Build the OperationOutcome of the issues; without any, one that says all is well."""
    listed = [_issue(issue) for issue in issues]
    all_ok = {"severity": "information", "code": "informational", "diagnostics": "All OK"}
    return {"resourceType": "OperationOutcome", "issue": listed or [all_ok]}


def _issue(issue: Issue) -> Resource:
    entry: Resource = {}
    if extensions := [each for each in _extensions(issue) if None not in each.values()]:
        entry["extension"] = extensions
    entry |= {"severity": issue.severity, "code": issue.code, "diagnostics": issue.diagnostics}
    if issue.line is not None:
        column = "" if issue.column is None else f", column {issue.column}"
        entry["location"] = [f"Line {issue.line}{column}"]
    if issue.expression is not None:
        entry["expression"] = [issue.expression]
    return entry


def _extensions(issue: Issue) -> tuple[Resource, ...]:
    return (
        {"url": RULE, "valueString": issue.rule},
        {"url": PROFILE, "valueCanonical": issue.profile},
        {"url": LINE, "valuePositiveInt": issue.line},
        {"url": COLUMN, "valuePositiveInt": issue.column},
    )
