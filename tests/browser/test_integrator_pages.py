"""A vendor registers a client by itself in a sandbox, and sees its scorecard; elsewhere it gets a request."""

from pathlib import Path
from typing import Any

import pytest

from fhir_server.access import clients
from fhir_server.commands.sandbox import claimed
from tests.browser.conftest import Run
from tests.support.databases import new_database
from tests.support.mllp import register
from tests.support.server import served

pytestmark = pytest.mark.slow

NHS = "https://fhir.nhs.uk/Id/nhs-number"
FIRST = '[[client]]\nname = "sandbox"\nrevoked = true\n'


def child(number: str) -> dict[str, Any]:
    """A request that creates a child of the hospital's."""
    patient = {
        "resourceType": "Patient",
        "identifier": [{"system": NHS, "value": number}],
        "name": [{"family": "Testchild-Wren"}],
        "birthDate": "2025-02-03",
        "managingOrganization": {
            "reference": "Organization?identifier=https://fhir.nhs.uk/Id/ods-organization-code|RTH"
        },
    }
    return {"method": "POST", "path": "Patient", "body": patient}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "clients.toml"
    found.write_text(FIRST)
    return found


def clean(seen: dict[str, Any]) -> None:
    assert seen["axe"] == []
    assert seen["errors"] == []
    assert seen["foreign"] == []
    assert seen["stored"] == []


@pytest.mark.parametrize("width", [1280, 390])
def test_a_vendor_registers_and_sees_what_it_has_shown(
    drive: Run, tmp_path: Path, file: Path, width: int
) -> None:
    claimed(Path(new_database("sqlite", tmp_path)))
    with served(tmp_path, clients=file, sandbox=True) as server:
        register(server, "RTH")
        seen = drive(
            "integrator.mjs",
            {
                "kind": "sandbox",
                "button": "Register",
                "width": width,
                **({} if width > 1000 else {"screenshots": None}),
                "origins": [server.base_url.removesuffix("/fhir")],
                "traffic": [
                    child("9990000018"),
                    child("9990000019"),
                    {"method": "GET", "path": "Patient"},
                ],
                "counts": "2 passed, 1 failed, 23 not yet tried",
            },
        )
    assert "This is a sandbox." in seen["opened"]
    assert "The name has 3 to 40 small letters" in seen["refused"]
    assert "shown this once" in seen["done"]
    assert "0 passed, 0 failed, 26 not yet tried" in seen["first"]
    assert "correct the number" in seen["after"]
    assert seen["address"].endswith("/scorecard")
    assert [each.name for each in clients(file)] == ["sandbox", "wren-epr"]
    clean(seen)


def test_elsewhere_the_page_registers_nobody(drive: Run, tmp_path: Path, file: Path) -> None:
    with served(tmp_path, clients=file, mllp=False) as server:
        seen = drive(
            "integrator.mjs",
            {
                "kind": "request",
                "button": "Write the request",
                "width": 1280,
                "origins": [server.base_url.removesuffix("/fhir")],
            },
        )
    assert "This page registers nobody." in seen["opened"]
    assert "client add wren-epr --hospital RTH --scopes 'system/*.cruds'" in seen["done"]
    assert file.read_text() == FIRST
    clean(seen)
