"""An app in the browser of a steward, in a registry with two children of two hospitals."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import App, app_in_browser
from tests.support.identity import ROOT

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"


@pytest.fixture
async def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    """An app in the browser of a steward, in a registry with two children."""
    async with app_in_browser(tmp_path, monkeypatch) as found:
        told = await found.browser.signed_in("csor-steward")
        for family in ("Testchild-Wren", "Testchild-Heron"):
            await stored(found, told, family)
        yield found


async def stored(app: App, told: dict[str, Any], family: str) -> None:
    """Store a child of a hospital of its own, and a weight."""
    headers = {"X-CSRF-Token": told["csrf"], "Origin": ROOT}
    code = "RA1" if "Wren" in family else "RB2"
    entries = [
        {"resourceType": "Organization", "identifier": [{"system": ODS, "value": code}]},
        {
            "resourceType": "Patient",
            "name": [{"family": family}],
            "birthDate": "2025-02-03",
            "managingOrganization": {"reference": "urn:uuid:0"},
        },
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "weight"},
            "subject": {"reference": "urn:uuid:1"},
        },
    ]
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": f"urn:uuid:{number}",
                "resource": each,
                "request": {"method": "POST", "url": each["resourceType"]},
            }
            for number, each in enumerate(entries)
        ],
    }
    answer = await app.http.post("/fhir", json=bundle, headers=headers)
    assert answer.status_code == 200, answer.text
