"""A child's outcome as it stands beside an example record: a Parameters that a reviewer can read."""

from outcome_engine import ChildOutcome
from r4.json import Resource

POPULATIONS = (
    "initial-population",
    "denominator",
    "denominator-exclusion",
    "denominator-exception",
    "numerator",
)


def told(outcome: ChildOutcome) -> Resource:
    """Return class, what decided it, the sentence, populations, and each finding with its evidence."""
    findings = [
        {
            "name": "finding",
            "part": [
                {"name": "rule", "valueCode": finding.rule.id},
                {"name": "status", "valueCode": finding.status},
                *([{"name": "date", "valueDateTime": finding.date}] if finding.date else []),
                *({"name": "evidence", "valueString": each.reference} for each in finding.evidence),
            ],
        }
        for finding in outcome.findings
    ]
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "asOf", "valueDate": outcome.as_of},
            {"name": "class", "valueCode": outcome.outcome_class},
            {"name": "decidedBy", "valueCode": outcome.decided_by.id},
            {"name": "statement", "valueString": outcome.statement},
            *(
                {"name": "population", "valueCode": code}
                for code in POPULATIONS
                if code in outcome.populations
            ),
            *findings,
        ],
    }
