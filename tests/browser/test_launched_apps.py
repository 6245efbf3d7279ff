"""npm's fhirclient, in a page of its own in a real browser, is let in by a person, with PKCE.

Standalone, and opened for a child from the registry's page of apps (EHR launch).
"""

from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Run
from tests.support import npm
from tests.support.app_page import app_page
from tests.support.server import Served, free_port, put, served

pytestmark = pytest.mark.slow

SCOPES = "openid fhirUser launch/patient offline_access patient/*.rs"
OPENED = SCOPES.replace("launch/patient", "launch")
WHO = "Demonstration steward"
SCRIPT = Path(__file__).with_name("app_page.js")
FOUND = {
    "child": "Wren",
    "user": WHO,
    "weights": 1,
    "refreshed": True,
    "again": True,
    "children": 1,
    "write": 403,
}


def test_an_app_by_others_is_let_in_and_sees_the_child(drive: Run, tmp_path: Path) -> None:
    seen = _driven(drive, tmp_path, "app.mjs", f'scopes = "{SCOPES}"')
    assert "read and search everything of the child that you choose" in seen["asked"]
    assert seen["found"] == FOUND


def test_an_app_by_others_is_opened_for_a_child(drive: Run, tmp_path: Path) -> None:
    seen = _driven(drive, tmp_path, "opened_app.mjs", f'scopes = "{OPENED}"\nlaunch_url = "APP/"')
    assert {"launch", "openid", "fhirUser", "patient/*.rs"} <= set(seen["scope"].split())
    assert (seen["pkce"], seen["chooses"]) == ("S256", 0)
    assert "The child is Wren" in seen["words"]
    assert "read and search everything of this child" in seen["words"]
    assert seen["found"] == FOUND


def _driven(drive: Run, folder: Path, script: str, entry: str) -> dict[str, Any]:
    """Have a browser let the app in, registered by an entry where APP is its origin; returns what it saw.

    Nothing that it saw was against accessibility, an error of a page's, or asked of anybody else.
    """
    npm.install()
    library = npm.INSTALLED / "node_modules" / "fhirclient" / "build" / "fhir-client.js"
    port = free_port()
    page = SCRIPT.read_text().replace("BASE", f"http://127.0.0.1:{port}/fhir")
    with app_page(library, page) as app:
        clients = folder / "clients.toml"
        known = f'[[client]]\nname = "growth"\nredirect_uris = ["{app}/"]\n'
        clients.write_text(known + entry.replace("APP", app) + "\n")
        with served(
            folder, demo=True, mllp=False, outcomes=False, fhir_port=port, clients=clients,
            cors_origins=app,
        ) as server:  # fmt: skip
            _store(server)
            root = server.base_url.removesuffix("/fhir")
            seen = drive(script, {"root": root, "app": app, "who": WHO, "child": "Wren"})
    assert (seen["axe"], seen["errors"], seen["foreign"]) == ([], [], [])
    return seen


def _store(server: Served) -> None:
    """Store two children, each with a weight."""
    for family in ("Wren", "Heron"):
        child = {"resourceType": "Patient", "id": family, "name": [{"family": family}]}
        weight = {
            "resourceType": "Observation",
            "id": family,
            "status": "final",
            "code": {"text": "weight"},
            "subject": {"reference": f"Patient/{family}"},
        }
        put(server, child, weight)
