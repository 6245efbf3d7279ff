"""HL7's test cases for responses, as an integrator runs them: the form stored, the response validated."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.__main__ import main
from r4.json import decode, encode
from tests.support.countries import code_systems
from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow

JSON = {"Content-Type": "application/fhir+json"}
DIFFERENT = {
    "quantity-min-max-qr": "The form has no status: it is no valid Questionnaire and is not stored.",
    "choice-invalid-value-set-async-qr": "What cannot be looked in is a warning: no answer is wrong by it.",
    "questionnaire-not-resolved-qr": "A form that is not known here is a warning, not an error.",
}
"""Cases of which $validate says invalid, or valid, where HL7 says otherwise; and why."""


@pytest.fixture(scope="module")
def cases(library: Path) -> Path:
    folder = library / "sdc" / "fhir-test-cases"
    if not folder.is_dir():
        pytest.skip("HL7's questionnaire cases are not on this machine")
    return folder


@pytest.fixture(scope="module")
def _countries(server: Served, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What an operator would load: three of the cases draw on the codes of countries."""
    folder = tmp_path_factory.mktemp("countries")
    for resource in code_systems():
        (folder / f"{resource['id']}.json").write_bytes(encode(resource))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CSOR_DATABASE", server.context.settings.database)
        assert main(["load", str(folder)]) == 0
    asked, until = {"system": "urn:iso:std:iso:3166", "code": "AU"}, time.monotonic() + 20
    while not server.context.terminology.check(None, asked).result:
        assert time.monotonic() < until
        time.sleep(0.05)


def refuses(outcome: Any) -> bool:
    return any(issue["severity"] in ("error", "fatal") for issue in outcome.get("issue", []))


def validated(server: Served, cases: Path, name: str) -> httpx.Response:
    """Store the form of a case, where it has one that is valid, and validate its response."""
    form = cases / f"{name.removesuffix('-qr')}-q.json"
    if form.exists():
        status = server.http.post(
            "/Questionnaire", content=form.read_bytes(), headers=JSON
        ).status_code
        assert (status == 201) == (name != "quantity-min-max-qr")
    response = (cases / f"{name}.json").read_bytes()
    return server.http.post("/QuestionnaireResponse/$validate", content=response, headers=JSON)


@pytest.mark.usefixtures("_countries")
def test_at_least_seventy_of_the_cases_are_judged_as_hl7_judges_them(
    server: Served, cases: Path
) -> None:
    names = [case["name"] for case in decode((cases / "manifest.json").read_bytes())["test-cases"]]
    different = set()
    for name in names:
        expected = cases / "outcomes" / f"R4.{name}-base.json"
        outcome = decode(expected.read_bytes()) if expected.exists() else {}
        answer = validated(server, cases, name)
        assert answer.status_code == 200
        if refuses(outcome) != refuses(answer.json()):
            different.add(name)
    assert different == DIFFERENT.keys()
    assert (len(names), len(names) - len(different)) == (74, 71)
