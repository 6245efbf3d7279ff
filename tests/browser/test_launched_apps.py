"""npm's fhirclient, in a page of its own in a real browser, is let in by a person: standalone, with PKCE."""

from pathlib import Path

import pytest

from tests.browser.conftest import Run
from tests.support import npm
from tests.support.app_page import app_page
from tests.support.server import free_port, put, served

pytestmark = pytest.mark.slow

SCOPES = "openid fhirUser launch/patient offline_access patient/*.rs"
WHO = "Demonstration steward"
SCRIPT = Path(__file__).with_name("app_page.js")


def test_an_app_by_others_is_let_in_and_sees_the_child(drive: Run, tmp_path: Path) -> None:
    npm.install()
    library = npm.INSTALLED / "node_modules" / "fhirclient" / "build" / "fhir-client.js"
    port = free_port()
    script = SCRIPT.read_text().replace("BASE", f"http://127.0.0.1:{port}/fhir")
    with app_page(library, script) as app:
        clients = tmp_path / "clients.toml"
        clients.write_text(
            f'[[client]]\nname = "growth"\nredirect_uris = ["{app}/"]\nscopes = "{SCOPES}"\n'
        )
        with served(
            tmp_path, demo=True, mllp=False, outcomes=False, fhir_port=port, clients=clients,
            cors_origins=app,
        ) as server:  # fmt: skip
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
            root = server.base_url.removesuffix("/fhir")
            seen = drive("app.mjs", {"root": root, "app": app, "who": WHO, "child": "Wren"})
    assert seen["found"] == {
        "child": "Wren",
        "user": WHO,
        "weights": 1,
        "refreshed": True,
        "again": True,
        "children": 1,
        "write": 403,
    }
    assert "read and search everything of the child that you choose" in seen["asked"]
    assert seen["axe"] == []
    assert seen["errors"] == []
    assert seen["foreign"] == []
