"""Update-as-create can be switched off: https://hl7.org/fhir/R4/http.html#upsert."""

from pathlib import Path

import pytest

from tests.support.databases import KINDS
from tests.support.server import served

PATIENT = {"resourceType": "Patient", "id": "a", "name": [{"family": "Testchild-Fictitious"}]}


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_creates_only_where_it_is_set_to(tmp_path: Path, kind: str) -> None:
    with served(tmp_path, kind, update_create=False) as server:
        answer = server.http.put("/Patient/a", json=PATIENT)
        assert answer.status_code == 405
        assert answer.json()["issue"][0]["code"] == "not-supported"
        entry = {"resource": PATIENT, "request": {"method": "PUT", "url": "Patient/a"}}
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        refused = server.http.post("/", json=bundle)
        assert refused.status_code == 405
        assert refused.json()["issue"][0]["expression"] == ["Bundle.entry[0]"]
        claimed = server.http.get("/metadata").json()["rest"][0]["resource"]
        assert {each["updateCreate"] for each in claimed} == {False}
        place = server.http.post("/Patient", json=PATIENT).json()["id"]
        assert server.http.put(f"/Patient/{place}", json={**PATIENT, "id": place}).is_success
