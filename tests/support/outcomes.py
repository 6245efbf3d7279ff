"""What tests of $validate send, and what they read in its answer."""

from typing import Any

import httpx

from r4.issue import RULE


def parameters(resource: Any = None, **values: str | list[str]) -> dict[str, Any]:
    """Return Parameters with a resource and with modes and profiles, each of which may be several."""
    listed: list[dict[str, Any]] = []
    for name, given in values.items():
        each = given if isinstance(given, list) else [given]
        key = "valueUri" if name == "profile" else "valueCode"
        listed += [{"name": name, key: value} for value in each]
    if resource is not None:
        listed.append({"name": "resource", "resource": resource})
    return {"resourceType": "Parameters", "parameter": listed}


def issues(answer: httpx.Response) -> list[dict[str, Any]]:
    """Return the issues of a validation, which is answered with 200 whatever it finds."""
    assert answer.status_code == 200, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    found: list[dict[str, Any]] = answer.json()["issue"]
    return found


def rule(issue: dict[str, Any]) -> str | None:
    """Return the id of the rule that an issue names."""
    extensions = issue.get("extension", [])
    return next((each["valueString"] for each in extensions if each["url"] == RULE), None)
