"""AuditEvents are the audit's rows, for the registry and auditors: who, what, for whom, why; no content."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_server.access import AUDITOR, LOCAL, admit
from fhir_server.access.auditor import may
from fhir_server.context import Principal
from fhir_server.interactions.audit_search import PARAMETERS
from fhir_server.rest.routes import TABLE
from fhir_server.store import audit
from profiles import Options, validate
from r4 import definitions
from r4.issue import FhirError
from tests.support.databases import KINDS
from tests.support.server import Served, put, served

BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit"
TOKENS = {"auditor": "an auditor's token", "rn1": "a hospital's token", "research": "a token"}
CLIENTS = """
[[client]]
name = "auditor"
role = "auditor"
token_sha256 = "{auditor}"

[[client]]
name = "rn1"
hospitals = ["RN1"]
token_sha256 = "{rn1}"
purpose = "TREAT"

[[client]]
name = "research"
token_sha256 = "{research}"
purpose = "HRESCH"
"""
FAMILY = "Wrenfield"
"""A family name that stands in each child's record."""


def child(name: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": name, "name": [{"family": FAMILY}], **more}


def weight(name: str, subject: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": name, "status": "final", "code": {"text": FAMILY},
        "subject": {"reference": f"Patient/{subject}"},
    }  # fmt: skip


def settle() -> None:
    time.sleep(3 * audit.DELAY)


@pytest.fixture(scope="module", params=KINDS)
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A registry in which ada, bea and cleo have been read, searched and changed, and something refused."""
    folder = tmp_path_factory.mktemp("events")
    hashes = {name: hashlib.sha256(token.encode()).hexdigest() for name, token in TOKENS.items()}
    clients = folder / "clients.toml"
    clients.write_text(CLIENTS.format(**hashes))
    with served(folder, request.param, clients=clients) as server:
        put(server, *map(child, ("ada", "bea", "cleo")), weight("w", "ada"))
        server.http.get("/Observation/w")
        server.http.get("/Patient", params={"family": FAMILY})
        server.http.get("/Patient/nobody")
        server.http.put("/Patient/cleo", json=child("cleo", gender="female"))
        server.http.delete("/Patient/none")
        server.http.get("/Patient/bea", headers=bearer("research"))
        server.http.get("/Patient/bea", headers=bearer("rn1"))
        server.http.get(
            "/Patient/bea", headers={**bearer("research"), "X-Purpose-Of-Use": "PATSFTY"}
        )
        settle()
        yield server


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[name]}"}


def asked(server: Served, query: str = "", who: str = "auditor") -> list[dict[str, Any]]:
    answer = server.http.get(f"/AuditEvent?{query}", headers=bearer(who))
    assert answer.status_code == 200, answer.text
    return [each["resource"] for each in answer.json().get("entry", ())]


def of(server: Served, query: str) -> dict[str, Any]:
    return asked(server, query)[0]


def children(event: dict[str, Any]) -> set[str]:
    return {
        each["what"]["reference"] for each in event.get("entity", ()) if each["role"]["code"] == "1"
    }


def test_a_read_is_an_event_after_the_pattern(registry: Served) -> None:
    found = of(registry, "entity=Observation/w&action=R")
    assert found["type"]["code"] == "rest"
    assert found["subtype"] == [
        {"system": "http://hl7.org/fhir/restful-interaction", "code": "read", "display": "read"}
    ]
    assert (found["action"], found["outcome"], found["outcomeDesc"]) == ("R", "0", "HTTP 200")
    assert found["meta"]["profile"] == [f"{BALP}.PatientRead"]
    client, server = found["agent"]
    assert client["type"]["coding"][0]["code"] == "110152"
    assert server["type"]["coding"][0]["code"] == "110153"
    assert client["who"]["identifier"]["value"] == "local"
    assert client["role"][0]["coding"][0]["code"] == "registry"
    assert client["network"] == {"address": "127.0.0.1", "type": "2"}
    assert server["network"]["address"] == registry.base_url
    data, patient = found["entity"]
    assert data["what"] == {"reference": "Observation/w"}
    assert patient["what"] == {"reference": "Patient/ada"}


def test_a_search_is_an_event_with_the_children_and_without_the_values(registry: Served) -> None:
    found = of(registry, "subtype=search-type&agent=local&patient=cleo")
    assert children(found) == {"Patient/ada", "Patient/bea", "Patient/cleo"}
    assert found["meta"]["profile"] == [f"{BALP}.Query"]
    query = found["entity"][0]
    assert base64.b64decode(query["query"]) == b"Patient?family"
    assert found["action"] == "E"


def test_writes_and_refusals_are_events(registry: Served) -> None:
    changed = of(registry, "patient=Patient/cleo&action=U")
    assert changed["entity"][0]["what"] == {"reference": "Patient/cleo/_history/2"}
    assert changed["meta"]["profile"] == [f"{BALP}.PatientUpdate"]
    refused = of(registry, "entity=Patient/nobody")
    assert (refused["outcome"], refused["outcomeDesc"]) == ("4", "HTTP 404")
    assert "profile" not in refused["meta"]
    deleted = of(registry, "action=D")
    assert deleted["entity"][0]["what"]["reference"] == "Patient/none"


def test_why_and_for_which_hospital_is_said(registry: Served) -> None:
    own, usual = asked(registry, "agent=research&patient=bea")
    assert own["purposeOfEvent"][0]["coding"][0]["code"] == "PATSFTY"
    assert usual["agent"][0]["purposeOfUse"][0]["coding"][0]["code"] == "HRESCH"
    hospital = of(registry, "agent=rn1")
    assert hospital["agent"][1]["who"]["identifier"]["value"] == "RN1"
    assert hospital["purposeOfEvent"][0]["coding"][0]["code"] == "TREAT"


def test_a_purpose_that_is_none_is_refused(registry: Served) -> None:
    for said in ("CURIOSITY", "PurposeOfUse", "urn:x|TREAT"):
        answer = registry.http.get("/Patient/ada", headers={"X-Purpose-Of-Use": said})
        assert answer.status_code == 400
        assert "v3-ActReason" in answer.text
    system = "http://terminology.hl7.org/CodeSystem/v3-ActReason|BTG"
    answer = registry.http.get("/Patient/ada", headers={"X-Purpose-Of-Use": system})
    assert answer.status_code == 200


def test_every_event_is_valid_and_holds_nothing_of_anybodys_record(registry: Served) -> None:
    found = asked(registry, "_count=1000")
    assert len(found) > 10
    for each in found:
        issues = validate(each, registry.context.terminology, options=Options(warnings=False))
        assert [issue for issue in issues if issue.is_error] == [], each
    assert FAMILY not in json.dumps(found)


def test_the_patterns_of_balp_are_kept(registry: Served) -> None:
    """What each pattern requires beside R4, as its profiles say."""
    roles = {"Create": ("110153", "110152"), "Update": ("110153", "110152"),
             "Read": ("110152", "110153"), "Query": ("110153", "110152"),
             "Delete": ("110150", "custodian")}  # fmt: skip
    actions = {"Create": "C", "Read": "R", "Update": "U", "Delete": "D", "Query": "E"}
    seen = set()
    for each in asked(registry, "_count=1000"):
        for profile in each["meta"].get("profile", ()):
            name = profile.rpartition(".")[2]
            kind = name.removeprefix("Patient")
            seen.add(name)
            assert (each["action"], each["outcome"]) == (actions[kind], "0")
            agents = {a["type"]["coding"][0]["code"]: a for a in each["agent"]}
            for role in roles[kind]:
                assert {"who", "network"} <= set(agents[role])
            said = [e["role"]["code"] for e in each["entity"]]
            assert ("24" if kind == "Query" else "4") in said
            assert (said.count("1") == 1) == name.startswith("Patient")
            if kind == "Query":
                assert "query" in each["entity"][0]
                assert "what" not in each["entity"][0]
    assert {"Create", "PatientCreate", "PatientRead", "Query", "PatientUpdate"} - seen <= {"Create"}


def test_pages_stand_still_while_others_are_recorded(registry: Served) -> None:
    first = [each["id"] for each in asked(registry, "_count=1000&agent=local")]
    url, seen = "/AuditEvent?_count=3&agent=local", list[str]()
    while url:
        answer = registry.http.get(url, headers=bearer("auditor")).json()
        seen += [each["resource"]["id"] for each in answer.get("entry", ())]
        registry.http.get("/Patient/ada")  # which is recorded meanwhile
        url = next((each["url"] for each in answer["link"] if each["relation"] == "next"), "")
    assert [each for each in seen if each in first] == first
    assert len(set(seen)) == len(seen)


def test_each_parameter_asks_what_it_says(registry: Served) -> None:
    every = {each["id"] for each in asked(registry, "_count=1000")}
    for query in ("date=ge2020-01-01", "date=lt2020-01-01", "action=R", "outcome=4", "agent-role=hospital",
                  "address=127.0.0.1", "subtype=read", "subtype=operation", "_lastUpdated=gt2020",
                  "agent-name=research", "patient=Patient/ada,Patient/bea"):  # fmt: skip
        found = {each["id"] for each in asked(registry, f"{query}&_count=1000")}
        assert found <= {each["id"] for each in asked(registry, "_count=1000")}, query
        assert found or query in ("date=lt2020-01-01", "subtype=operation"), query
    assert asked(registry, "date=lt2020-01-01") == []
    total = registry.http.get("/AuditEvent?_summary=count").json()
    assert total["total"] >= len(every)
    assert "entry" not in total
    for wrong in ("code=x", "patient=Observation/1", "date=yesterday", "_sort=agent", "_count=x"):
        assert registry.http.get(f"/AuditEvent?{wrong}").status_code == 400, wrong


def test_one_event_is_read_by_its_id(registry: Served) -> None:
    known = of(registry, "patient=ada")
    answer = registry.http.get(f"/AuditEvent/{known['id']}", headers=bearer("auditor"))
    assert answer.json() == known
    assert registry.http.get(f"/AuditEvent/{10**9}").status_code == 404
    assert registry.http.get("/AuditEvent/x").status_code == 404
    compartment = registry.http.get("/Patient/ada/AuditEvent?_count=1000").json()
    assert known["id"] in {each["resource"]["id"] for each in compartment["entry"]}
    assert all("Patient/ada" in children(each["resource"]) for each in compartment["entry"])
    entry = {"request": {"method": "GET", "url": f"AuditEvent/{known['id']}"}}
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    assert registry.http.post("", json=bundle).json()["entry"][0]["resource"] == known


def test_an_auditor_reads_events_and_nothing_else(registry: Served) -> None:
    allowed = {(row.code, kind) for row in TABLE for kind in (None, *definitions.resource_types())
               if may(row.code, kind)}  # fmt: skip
    assert allowed == {
        ("capabilities", None),
        ("read", "AuditEvent"),
        ("search-type", "AuditEvent"),
    }
    auditor = Principal("auditor", frozenset({AUDITOR}))
    for row in TABLE:
        for kind in (None, "Patient", "Observation", "Bundle"):
            if (row.code, kind) not in allowed and row.code != "smart-configuration":
                with pytest.raises(FhirError):
                    admit(auditor, row.code, kind)
    for url in ("/Patient/ada", "/Patient", "/Observation", "/_history", "/", "/Patient/ada/$everything",
                "/Patient/ada/AuditEvent", "/AuditEvent/1/_history", "/AuditEvent/1/_history/1"):  # fmt: skip
        assert registry.http.get(url, headers=bearer("auditor")).status_code == 403, url
    assert registry.http.post("", json={}, headers=bearer("auditor")).status_code == 403
    assert registry.http.get("/metadata", headers=bearer("auditor")).status_code == 200


def test_a_hospital_reads_no_event(registry: Served) -> None:
    entry = {"request": {"method": "GET", "url": "AuditEvent?patient=ada"}}
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    for answer in (
        registry.http.get("/AuditEvent", headers=bearer("rn1")),
        registry.http.get("/AuditEvent/1", headers=bearer("rn1")),
        registry.http.post("/AuditEvent/_search", headers=bearer("rn1")),
        registry.http.post("", json=bundle, headers=bearer("rn1")),
    ):
        assert answer.status_code == 403, answer.text


def test_nobody_writes_an_event(registry: Served) -> None:
    known = of(registry, "patient=ada")
    without = {key: value for key, value in known.items() if key not in ("id", "meta")}
    asking = registry.http
    entries = [{"resource": without, "request": {"method": "POST", "url": "AuditEvent"}}]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    for answer in (
        asking.post("/AuditEvent", json=without),
        asking.put(f"/AuditEvent/{known['id']}", json=known),
        asking.delete(f"/AuditEvent/{known['id']}"),
        asking.post("", json=bundle),
    ):
        assert answer.status_code == 403, answer.text
        assert "nobody writes" in answer.text
    assert asking.get(f"/AuditEvent/{known['id']}").json() == known


def test_the_capability_statement_says_so(registry: Served) -> None:
    listed = registry.http.get("/metadata").json()["rest"][0]["resource"]
    (found,) = (each for each in listed if each["type"] == "AuditEvent")
    assert {each["code"] for each in found["interaction"]} == {"read", "search-type"}
    assert {each["name"] for each in found["searchParam"]} == set(PARAMETERS)


def test_linked_patients_are_one_child(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        link = [{"other": {"reference": "Patient/new"}, "type": "replaced-by"}]
        put(server, child("new"), child("old", link=link, active=False))
        server.http.get("/Patient/old")
        settle()
        found = server.http.get("/AuditEvent?patient=new&action=R").json()["entry"]
        assert children(found[0]["resource"]) == {"Patient/old"}


def test_a_purged_child_is_nowhere_in_the_events(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        put(server, child("ada-lives-here"))
        server.http.get("/Patient", params={"family": FAMILY})
        reason = [{"name": "reason", "valueString": "the family asked"}]
        body = {"resourceType": "Parameters", "parameter": reason}
        server.http.post("/Patient/ada-lives-here/$purge", json=body).raise_for_status()
        answer = server.http.get("/AuditEvent?_count=1000")
        assert "ada-lives-here" not in answer.text
        found = server.http.get("/AuditEvent?patient=ada-lives-here&_count=50").json()["entry"]
        kinds = [each["resource"]["subtype"][-1]["code"] for each in found]
        assert kinds == ["purge", "search-type", "create"]
        assert found[1]["resource"]["entity"][-1]["what"] == {"display": "Patient, erased"}


def test_whoever_acts_for_the_registry_may_read_events() -> None:
    admit(LOCAL, "read", "AuditEvent")
