"""People sign in and out in a real browser, by the demo's own identity provider."""

from pathlib import Path

import pytest

from fhir_server.access.oidc_development import NOTICE
from tests.browser.conftest import Run
from tests.support.server import served

pytestmark = pytest.mark.slow

STEWARD, LEAD, AUDITOR = (
    f"Demonstration {role}" for role in ("steward", "hospital lead", "auditor")
)


def test_people_sign_in_and_out(drive: Run, tmp_path: Path) -> None:
    with served(tmp_path, demo=True, mllp=False, outcomes=False) as server:
        root = server.base_url.removesuffix("/fhir")
        given = {"root": root, "people": [STEWARD, LEAD, AUDITOR]}
        seen = drive("people.mjs", given)
    people = seen["people"]
    assert people[STEWARD]["said"] == f"You are {STEWARD}: steward."
    assert people[LEAD]["said"] == f"You are {LEAD} of RTH: hospital-lead (RTH)."
    assert people[STEWARD]["may"] == {"read": 200, "forged": 403, "write": 201}
    assert people[LEAD]["may"] == {"read": 200, "forged": 403, "write": 403}
    assert people[AUDITOR]["may"]["write"] == 403
    for each in people.values():
        assert (each["after"], each["cookies"]) == (401, [])
    assert seen["notices"] == [NOTICE]
    assert seen["axe"] == []
    assert seen["foreign"] == []
    assert seen["stored"] == []
    assert seen["errors"] == []
