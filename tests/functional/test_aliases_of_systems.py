"""Other spellings of a code system's uri become the canonical one on the way in, at every door."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from terminology.systems import ICD_10, ODS_ORGANIZATION, OPCS_4
from tests.support.bulk import ASYNC, manifest
from tests.support.server import Served

ALIAS = "http://fhir.hl7.org.uk/CodeSystem/OPCS-4"
OTHER = "https://fhir.hl7.org.uk/Id/opcs-4"
CODE = "Z99.9"
EXAMPLES = Path(__file__).parents[2] / "profiles/examples"
Resource = dict[str, Any]
Door = Callable[[httpx.Client, Resource], str]


def coded(system: str = ALIAS, **more: Any) -> Resource:
    concept = {"coding": [{"system": system, "code": CODE}]}
    return {"resourceType": "Basic", "code": concept, **more}


def created(http: httpx.Client, resource: Resource) -> str:
    answer = http.post(f"/{resource['resourceType']}", json=resource)
    assert answer.status_code == 201, answer.text
    return f"{resource['resourceType']}/{answer.json()['id']}"


def updated(http: httpx.Client, resource: Resource) -> str:
    place = created(http, {"resourceType": "Basic", "code": {"text": "to be coded"}})
    answer = http.put(f"/{place}", json={**resource, "id": place.rpartition("/")[2]})
    assert answer.status_code == 200, answer.text
    return place


def updated_where(http: httpx.Client, resource: Resource) -> str:
    named = {**resource, "identifier": [{"system": "https://e.org", "value": "where"}]}
    answer = http.put("/Basic?identifier=https://e.org|where", json=named)
    assert answer.status_code in (200, 201), answer.text
    return f"Basic/{answer.json()['id']}"


def patched(http: httpx.Client, resource: Resource) -> str:
    place = created(http, {"resourceType": "Basic", "code": {"text": "to be coded"}})
    operation = {"op": "replace", "path": "/code", "value": resource["code"]}
    headers = {"Content-Type": "application/json-patch+json"}
    answer = http.patch(f"/{place}", content=json.dumps([operation]), headers=headers)
    assert answer.status_code == 200, answer.text
    return place


def bundled(kind: str) -> Door:
    def door(http: httpx.Client, resource: Resource) -> str:
        entry = {"resource": resource, "request": {"method": "POST", "url": "Basic"}}
        answer = http.post("", json={"resourceType": "Bundle", "type": kind, "entry": [entry]})
        assert answer.status_code == 200, answer.text
        location: str = answer.json()["entry"][0]["response"]["location"]
        return location.partition("/_history")[0]

    return door


def imported(http: httpx.Client, resource: Resource) -> str:
    content = json.dumps({**resource, "id": "by-import"})
    headers = {**ASYNC, "Content-Type": "application/fhir+ndjson"}
    answer = http.post("/$import", content=content, headers=headers)
    done = manifest(http, answer.headers["Content-Location"])
    assert done["error"] == []
    return "Basic/by-import"


def sent_as_xml(http: httpx.Client, resource: Resource) -> str:
    (coding,) = resource["code"]["coding"]
    body = (
        '<Basic xmlns="http://hl7.org/fhir"><code><coding>'
        f'<system value="{coding["system"]}"/><code value="{coding["code"]}"/></coding></code></Basic>'
    )
    answer = http.post("/Basic", content=body, headers={"Content-Type": "application/fhir+xml"})
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"].partition("/fhir/")[2].partition("/_history")[0]


DOORS: dict[str, Door] = {
    "create": created,
    "update": updated,
    "conditional update": updated_where,
    "patch": patched,
    "transaction": bundled("transaction"),
    "batch": bundled("batch"),
    "import": imported,
    "xml": sent_as_xml,
}


@pytest.mark.parametrize("name", DOORS)
def test_what_any_door_takes_is_stored_with_the_one_uri(server: Served, name: str) -> None:
    place = DOORS[name](server.http, coded())
    stored = server.http.get(f"/{place}").json()
    assert stored["code"]["coding"] == [{"system": OPCS_4, "code": CODE}]
    for system in (OPCS_4, ALIAS, OTHER):
        found = server.http.get("/Basic", params={"code": f"{system}|{CODE}", "_count": 100})
        assert place in {f"Basic/{e['resource']['id']}" for e in found.json()["entry"]}


def test_identifiers_and_what_is_contained_are_spelt_likewise(server: Served) -> None:
    misspelt = "https://fhir.nhs.uk/Id/ods-organisation-code"
    known_by = {"system": misspelt, "value": "RTH"}
    patient = {
        "resourceType": "Patient",
        "contained": [{"resourceType": "Organization", "id": "o", "identifier": [known_by]}],
        "managingOrganization": {"reference": "#o"},
        "generalPractitioner": [{"identifier": known_by}],
    }
    stored = server.http.get(f"/{created(server.http, patient)}").json()
    assert stored["contained"][0]["identifier"][0]["system"] == ODS_ORGANIZATION
    assert stored["generalPractitioner"][0]["identifier"]["system"] == ODS_ORGANIZATION


def test_the_same_with_another_spelling_is_no_new_version(server: Served) -> None:
    place = created(server.http, coded(OPCS_4))
    answer = server.http.put(f"/{place}", json=coded(ALIAS, id=place.rpartition("/")[2]))
    assert answer.json()["meta"]["versionId"] == "1"


def test_an_identifier_of_another_spelling_is_found_by_a_condition(server: Served) -> None:
    misspelt = "https://fhir.hl7.org.uk/Id/ODS-code"
    known_by = {"system": misspelt, "value": "ZZ9"}
    hospital = {"resourceType": "Organization", "identifier": [known_by], "name": "Fictitious"}
    condition = {"If-None-Exist": f"identifier={misspelt}|ZZ9"}
    first = server.http.post("/Organization", json=hospital, headers=condition)
    again = server.http.post("/Organization", json=hospital, headers=condition)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["identifier"][0]["system"] == ODS_ORGANIZATION


def document() -> Resource:
    composition = {
        "resourceType": "Composition",
        "status": "final",
        "type": {"coding": [{"system": ALIAS, "code": CODE}]},
        "date": "2026-01-05",
        "author": [{"display": "A surgeon"}],
        "title": "Note",
    }
    return {
        "resourceType": "Bundle",
        "type": "document",
        "identifier": {"system": "https://e.org", "value": "1"},
        "timestamp": "2026-01-05T09:30:00Z",
        "entry": [{"fullUrl": "urn:uuid:5b2f2b0f-6c3e-4f0c-9d0a-0d1c1f2e3a4b", "resource": composition}],
    }  # fmt: skip


SIGNATURE = {
    "type": [{"system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.1"}],
    "when": "2026-01-05T09:30:00Z",
    "who": {"identifier": {"system": OTHER, "value": "1"}},
}


def signed_provenance() -> Resource:
    return {
        "resourceType": "Provenance",
        "target": [{"display": "A note"}],
        "recorded": "2026-01-05T09:30:00Z",
        "agent": [{"who": {"display": "A surgeon"}}],
        "reason": [{"coding": [{"system": ALIAS, "code": CODE}]}],
        "signature": [SIGNATURE],
    }


def signed_answers() -> Resource:
    url = "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-signature"
    return {
        "resourceType": "QuestionnaireResponse",
        "extension": [{"url": url, "valueSignature": SIGNATURE}],
        "status": "in-progress",
        "item": [{"linkId": "1", "answer": [{"valueCoding": {"system": ALIAS, "code": CODE}}]}],
    }


def value_set() -> Resource:
    include = [{"system": "http://hl7.org/fhir/sid/icd-10-uk", "concept": [{"code": CODE}]}]
    return {
        "resourceType": "ValueSet",
        "url": "https://e.org/ValueSet/1",
        "status": "active",
        "compose": {"include": include},
    }


@pytest.mark.parametrize("made", [document, signed_provenance, signed_answers, value_set])
def test_what_is_signed_or_published_by_others_stays_word_for_word(
    server: Served, made: Callable[[], Resource]
) -> None:
    sent = made()
    stored = server.http.get(f"/{created(server.http, sent)}").json()
    assert {key: stored[key] for key in sent} == sent


def test_a_definition_with_another_spelling_means_the_same_codes(server: Served) -> None:
    stored = created(server.http, {**value_set(), "url": "https://e.org/ValueSet/2"})
    query = f"/{stored}/$validate-code?system={ICD_10}&code={CODE}"
    parameters = server.http.get(query).json()["parameter"]
    assert {"name": "result", "valueBoolean": True} in parameters


def test_a_profile_holds_every_spelling_to_the_same(server: Served) -> None:
    procedure = (EXAMPLES / "csor-procedure/invalid/opcs-code-without-its-dot.json").read_text()

    def said(system: str) -> list[tuple[str, str, str]]:
        sent = json.loads(procedure.replace(OPCS_4, system))
        issues = server.http.post("/Procedure/$validate", json=sent).json()["issue"]
        return [(each["severity"], each["diagnostics"], each["expression"]) for each in issues]

    assert "error" in [severity for severity, _, _ in said(OPCS_4)]
    assert said(OPCS_4) == said(ALIAS) == said(OTHER)
