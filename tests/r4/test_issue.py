"""An OperationOutcome says of each issue what is known of it, and no more."""

from r4.issue import Issue, operation_outcome

BASE = "https://csor.example/fhir/StructureDefinition"


def test_an_issue_is_written_with_its_rule_its_profile_and_its_place() -> None:
    profile = "https://csor.example/fhir/StructureDefinition/x|1.0.0"
    issue = Issue("error", "value", "Correct it.", "Patient.name", "fixed", profile, 3, 5)
    assert operation_outcome([issue])["issue"] == [
        {
            "extension": [
                {"url": f"{BASE}/issue-rule", "valueString": "fixed"},
                {"url": f"{BASE}/issue-profile", "valueCanonical": profile},
                {"url": f"{BASE}/issue-line", "valuePositiveInt": 3},
                {"url": f"{BASE}/issue-column", "valuePositiveInt": 5},
            ],
            "severity": "error",
            "code": "value",
            "diagnostics": "Correct it.",
            "location": ["Line 3, column 5"],
            "expression": ["Patient.name"],
        }
    ]


def test_a_line_without_a_column_is_a_location() -> None:
    issue = Issue("error", "value", "Correct it.", line=3)
    assert operation_outcome([issue])["issue"][0]["location"] == ["Line 3"]


def test_what_is_not_known_is_left_out() -> None:
    assert operation_outcome([Issue("error", "value", "Correct it.")])["issue"] == [
        {"severity": "error", "code": "value", "diagnostics": "Correct it."}
    ]
