"""What `$evaluate` returned: the resources of its Bundles, and its OperationOutcome last."""

from typing import Any

Resource = dict[str, Any]


def returned(answer: Any) -> list[Resource]:
    """List the resources of every Bundle in the order in which they stand, then the outcome."""
    assert answer.status_code == 200, answer.text
    parameters = answer.json().get("parameter", [])
    found = [each["resource"] for each in parameters]
    bundles = [each for each in found if each["resourceType"] == "Bundle"]
    outcomes = [each for each in found if each["resourceType"] == "OperationOutcome"]
    return [entry["resource"] for each in bundles for entry in each.get("entry", [])] + outcomes


def reports(answer: Any) -> list[Resource]:
    """List the MeasureReports alone."""
    return [each for each in returned(answer) if each["resourceType"] == "MeasureReport"]
