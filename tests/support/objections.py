"""What tests of objections store and ask."""

from typing import Any

from fhir_server.store.objections import STREAM

Resource = dict[str, Any]


def consent(id: str, patient: str, stream: str = "health-record", **more: Any) -> Resource:
    """Return a Consent that denies a stream of a child's data."""
    told: Resource = {
        "resourceType": "Consent", "id": id, "status": "active", "dateTime": "2026-01-01",
        "scope": {"text": "Research"}, "category": [{"text": "Research"}],
        "patient": {"reference": f"Patient/{patient}"}, "policyRule": {"text": "A notice"},
        "provision": {"type": "deny", "code": [{"coding": [{"system": STREAM, "code": stream}]}]},
    }  # fmt: skip
    return {**told, **more}


def permit(found: Resource) -> Resource:
    """Return the same decision the other way."""
    return {**found, "provision": {**found["provision"], "type": "permit"}}
