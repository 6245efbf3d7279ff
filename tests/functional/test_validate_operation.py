"""$validate as an integrator meets it: https://hl7.org/fhir/R4/resource-operation-validate.html."""

import json
from typing import Any

import httpx
import pytest

from fhir_server.store import inbox
from r4 import xml
from r4.issue import PROFILE
from tests.support.databases import opened
from tests.support.outcomes import issues, parameters, rule
from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow

JSON = {"Content-Type": "application/fhir+json"}
XML = {"Content-Type": "application/fhir+xml"}
BASE = "http://hl7.org/fhir/StructureDefinition"


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **elements}


def rules(answer: httpx.Response) -> list[str | None]:
    return [rule(issue) for issue in issues(answer)]


def broken_profile(issue: dict[str, Any]) -> str:
    (found,) = [each for each in issue["extension"] if each["url"] == PROFILE]
    return str(found["valueCanonical"])


def refused(answer: httpx.Response) -> tuple[int, str, list[str]]:
    (issue,) = answer.json()["issue"]
    return answer.status_code, issue["code"], issue["expression"]


def all_ok(answer: httpx.Response) -> bool:
    return [issue["diagnostics"] for issue in issues(answer)] == ["All OK"]


def count(server: Served, kind: str) -> int:
    total: int = server.http.get(f"/{kind}?_summary=count").json()["total"]
    return total


@pytest.fixture
def stored(server: Served) -> dict[str, Any]:
    answer = server.http.post("/Patient", json=patient(name=[{"family": "Testchild"}]))
    assert answer.status_code == 201
    found: dict[str, Any] = answer.json()
    return found


class TestWhereItStands:
    def test_an_issue_has_line_and_column_of_the_text_that_was_sent(self, server: Served) -> None:
        text = '{\n  "resourceType": "Patient",\n  "name": [ { "family": "Ä", "given": "B" } ]\n}'
        (issue,) = issues(server.http.post("/Patient/$validate", content=text, headers=JSON))
        assert issue["expression"] == ["Patient.name[0].given"]
        assert issue["location"] == ["Line 3, column 30"]

    def test_and_in_xml(self, server: Served) -> None:
        text = '<Patient xmlns="http://hl7.org/fhir">\n <gender value="mann"/>\n</Patient>'
        (issue,) = issues(server.http.post("/Patient/$validate", content=text, headers=XML))
        assert issue["location"] == ["Line 2, column 2"]

    @pytest.mark.parametrize("headers", [JSON, XML])
    def test_and_within_parameters(self, server: Served, headers: dict[str, str]) -> None:
        body = parameters(patient(gender="mann"), mode="create")
        written = json.dumps(body, indent=1).encode()
        content = xml.encode(body, pretty=True) if headers is XML else written
        lines = content.decode().splitlines()
        line = next(at for at, each in enumerate(lines, start=1) if "mann" in each)
        answer = server.http.post("/Patient/$validate", content=content, headers=headers)
        assert (
            f"Line {line}, column {len(lines[line - 1]) - len(lines[line - 1].lstrip()) + 1}"
            in {where for issue in issues(answer) for where in issue.get("location", ())}
        )

    def test_what_is_stored_was_not_sent_and_has_none(
        self, server: Served, stored: dict[str, Any]
    ) -> None:
        answer = server.http.get(f"/Patient/{stored['id']}/$validate?profile={BASE}/Group")
        (issue,) = issues(answer)
        assert "location" not in issue


class TestLevels:
    @pytest.mark.parametrize("path", ["", "/Patient"])
    def test_a_resource_of_the_system_or_of_a_type(self, server: Served, path: str) -> None:
        assert all_ok(server.http.post(f"{path}/$validate", json=patient(active=True)))
        assert all_ok(server.http.post(f"{path}/$validate", json=parameters(patient(active=True))))

    def test_what_is_stored(self, server: Served, stored: dict[str, Any]) -> None:
        assert all_ok(server.http.get(f"/Patient/{stored['id']}/$validate"))
        assert all_ok(server.http.post(f"/Patient/{stored['id']}/$validate"))

    def test_what_is_not_stored_cannot_be_validated(
        self, server: Served, stored: dict[str, Any]
    ) -> None:
        assert server.http.get("/Patient/nobody/$validate").status_code == 404
        server.http.delete(f"/Patient/{stored['id']}")
        assert server.http.get(f"/Patient/{stored['id']}/$validate").status_code == 410

    def test_a_resource_sent_to_an_instance_is_the_one_that_is_validated(
        self, server: Served, stored: dict[str, Any]
    ) -> None:
        answer = server.http.post(f"/Patient/{stored['id']}/$validate", json=patient(gender="x"))
        assert [issue["expression"] for issue in issues(answer)] == [["Patient.gender"]]

    def test_a_resource_of_another_type_is_refused(self, server: Served) -> None:
        answer = server.http.post("/Observation/$validate", json=patient(active=True))
        assert refused(answer) == (400, "invalid", ["Parameters.parameter('resource')"])

    @pytest.mark.parametrize("path", ["/$validate", "/Patient/$validate"])
    def test_without_a_resource_there_is_nothing_to_validate(
        self, server: Served, path: str
    ) -> None:
        bare = {"resourceType": "Parameters"}
        for answer in (
            server.http.post(path),
            server.http.post(path, json=parameters()),
            server.http.post(path, json=bare),
            server.http.post(path, content=xml.encode(bare), headers=XML),
        ):
            assert refused(answer) == (400, "required", ["Parameters.parameter('resource')"])

    @pytest.mark.parametrize(
        ("content", "status"), [("not JSON", 400), ("{}", 400), ('{"resourceType":"Nobody"}', 200)]
    )
    def test_what_cannot_be_read_is_refused(
        self, server: Served, content: str, status: int
    ) -> None:
        answer = server.http.post("/$validate", content=content, headers=JSON)
        assert answer.status_code == status
        assert answer.json()["issue"][0]["severity"] == "error"

    def test_nothing_is_stored_and_nothing_is_kept(self, server: Served) -> None:
        before = count(server, "Patient")
        with opened(server.context.settings.database) as database:
            kept = inbox.tally(database)
            server.http.post("/Patient/$validate", json=parameters(patient(), mode="create"))
            server.http.post("/Patient/$validate", json=patient(gender="x"))
            server.http.post("/Patient/$validate", json=parameters(mode="nonsense"))
            assert inbox.tally(database) == kept
        assert count(server, "Patient") == before


class TestParameters:
    def test_a_parameter_that_is_not_known_is_refused(self, server: Served) -> None:
        answer = server.http.post("/$validate", json=parameters(patient(), unheard="x"))
        assert answer.status_code == 400
        assert "'unheard'" in answer.text
        assert server.http.post("/$validate?unheard=x", json=patient()).status_code == 400
        assert server.http.post("/$validate?resource=x", json=patient()).status_code == 400

    @pytest.mark.parametrize("mode", ["", "Create", "remove"])
    def test_a_mode_that_is_none_is_refused(self, server: Served, mode: str) -> None:
        answer = server.http.post(f"/Patient/$validate?mode={mode}", json=patient(active=True))
        assert refused(answer) == (400, "code-invalid", ["Parameters.parameter('mode')"])

    @pytest.mark.parametrize("name", ["mode", "resource"])
    def test_what_is_said_twice_is_refused(self, server: Served, name: str) -> None:
        body = parameters(patient(active=True), mode="create")
        body["parameter"] += [each for each in body["parameter"] if each["name"] == name]
        answer = server.http.post("/Patient/$validate", json=body)
        assert refused(answer) == (400, "invalid", [f"Parameters.parameter('{name}')"])
        twice = "/Patient/$validate?mode=create"
        answer = server.http.post(twice, json=parameters(patient(), mode="create"))
        assert refused(answer) == (400, "invalid", ["Parameters.parameter('mode')"])

    def test_a_profile_that_is_empty_is_refused(self, server: Served) -> None:
        answer = server.http.post("/Patient/$validate?profile=", json=patient(active=True))
        assert refused(answer) == (400, "value", ["Parameters.parameter('profile')"])

    @pytest.mark.parametrize("value", [5, None, {"a": 1}])
    def test_a_profile_that_is_no_text_is_refused(self, server: Served, value: Any) -> None:
        body = parameters(patient(active=True))
        body["parameter"] += [
            {"name": "profile", "valueUri": value},
            {"name": "profile", "valueUri": f"{BASE}/Patient"},
        ]
        answer = server.http.post("/$validate", json=body)
        assert refused(answer) == (400, "structure", ["Parameters.parameter('profile')"])

    def test_a_profile_may_be_named_in_the_body_or_in_the_query(self, server: Served) -> None:
        right = parameters(patient(active=True), profile=f"{BASE}/Patient")
        assert all_ok(server.http.post("/$validate", json=right))
        named = f"/Patient/$validate?profile={BASE}/Patient"
        assert all_ok(server.http.post(named, json=patient(active=True)))

    def test_each_profile_that_is_named_is_kept_or_said_not_to_be(self, server: Served) -> None:
        weight = {"resourceType": "Observation", "status": "final", "code": {"text": "weight"}}
        named = [f"{BASE}/vitalsigns", f"{BASE}/bodyweight"]
        for answer in (
            server.http.post("/$validate", json=parameters(weight, profile=named)),
            server.http.post("/$validate", params={"profile": named}, json=weight),
        ):
            found = [each for each in issues(answer) if each["severity"] == "error"]
            assert {broken_profile(each).partition("|")[0] for each in found} == set(named)
            assert all("location" in each for each in found)
        assert all_ok(server.http.post("/$validate", json=weight))

    def test_a_profile_that_cannot_be_checked_is_an_error(self, server: Served) -> None:
        url = "https://e.example/StructureDefinition/nowhere"
        for answer in (
            server.http.post(f"/$validate?profile={url}", json=patient(active=True)),
            server.http.post("/$validate", json=parameters(patient(active=True), profile=url)),
        ):
            (issue,) = issues(answer)
            assert issue["severity"] == "error"
            assert url in issue["diagnostics"]


class TestModes:
    def test_create_says_what_would_refuse_it(self, server: Served) -> None:
        lost = patient(managingOrganization={"reference": "Organization/nowhere"})
        assert all_ok(server.http.post("/Patient/$validate", json=lost))
        answer = server.http.post("/Patient/$validate", json=parameters(lost, mode="create"))
        assert rules(answer) == ["reference", "would-be-refused"]
        right = parameters(patient(active=True), mode="create")
        (said,) = issues(server.http.post("/Patient/$validate", json=right))
        assert (said["severity"], rule(said)) == ("information", "would-create")
        assert said["diagnostics"] == "Patient would be created."

    def test_create_may_be_conditional(self, server: Served) -> None:
        number = {"system": "https://e.example/conditional", "value": "1"}
        path, body = "/Patient/$validate?mode=create", patient(identifier=[number])
        criteria = {"If-None-Exist": "identifier=https://e.example/conditional|1"}
        assert rules(server.http.post(path, json=body, headers=criteria)) == ["would-create"]
        assert server.http.post("/Patient", json=body).status_code == 201
        assert rules(server.http.post(path, json=body, headers=criteria)) == ["unchanged"]
        assert rules(server.http.post(path, json=body)) == ["would-create"]
        blank = server.http.post(path, json=body, headers={"If-None-Exist": "identifier="})
        assert [issue["code"] for issue in issues(blank)] == ["required", "informational"]

    def test_update_says_which_version_it_would_be(
        self, server: Served, stored: dict[str, Any]
    ) -> None:
        path = f"/Patient/{stored['id']}/$validate"
        changed = parameters({**stored, "gender": "female"}, mode="update")
        (said,) = issues(server.http.post(path, json=changed))
        assert rule(said) == "would-update"
        assert f"Patient/{stored['id']} would be updated to version 2" in said["diagnostics"]
        same = parameters(stored, mode="update")
        assert rules(server.http.post(path, json=same)) == ["unchanged"]
        new = parameters({**stored, "id": "quite-new"}, mode="update")
        assert rules(server.http.post("/Patient/quite-new/$validate", json=new)) == ["would-create"]

    def test_update_holds_the_id_and_if_match_against_what_is_stored(
        self, server: Served, stored: dict[str, Any]
    ) -> None:
        path = f"/Patient/{stored['id']}/$validate?mode=update"
        (other,) = issues(server.http.post(path, json={**stored, "id": "other"}))
        assert (other["severity"], other["expression"]) == ("error", ["Patient.id"])
        assert other["location"][0].startswith("Line 1, column ")
        stale = server.http.post(path, json=stored, headers={"If-Match": 'W/"7"'})
        assert [(i["severity"], i["code"]) for i in issues(stale)] == [
            ("error", "conflict"),
            ("information", "informational"),
        ]

    def test_delete_says_who_still_refers_to_it(
        self, server: Served, stored: dict[str, Any]
    ) -> None:
        path = f"/Patient/{stored['id']}/$validate?mode=delete"
        assert rules(server.http.get(path)) == ["would-delete"]
        named = {"reference": f"Patient/{stored['id']}"}
        consent = {
            "resourceType": "Basic", "code": {"text": "x"}, "subject": named,
        }  # fmt: skip
        other = server.http.post("/Basic", json=consent).json()["id"]
        for answer in (server.http.get(path), server.http.post(path)):
            assert rules(answer) == ["referred-to", "would-be-refused"]
            assert f"Basic/{other}" in issues(answer)[0]["diagnostics"]
        assert server.http.get(f"/Patient/{stored['id']}").status_code == 200
        assert rules(server.http.get("/Patient/nobody/$validate?mode=delete")) == ["unchanged"]

    def test_profile_checks_what_is_stored(self, server: Served, stored: dict[str, Any]) -> None:
        path = f"/Patient/{stored['id']}/$validate?mode=profile"
        assert refused(server.http.get(path))[1] == "required"
        assert all_ok(server.http.get(f"{path}&profile={BASE}/Patient"))

    @pytest.mark.parametrize(
        ("path", "mode", "where"),
        [
            ("/Patient", "update", "mode"),
            ("/Patient", "delete", "mode"),
            ("", "update", "mode"),
            ("/Patient/x", "create", "mode"),
            ("/Patient", "profile", "profile"),
        ],
    )
    def test_a_mode_that_does_not_go_with_the_url_is_refused(
        self, server: Served, path: str, mode: str, where: str
    ) -> None:
        answer = server.http.post(f"{path}/$validate?mode={mode}", json=patient(active=True))
        assert refused(answer)[::2] == (400, [f"Parameters.parameter('{where}')"])

    @pytest.mark.parametrize("mode", ["create", "update"])
    def test_a_mode_that_needs_a_resource_is_refused_without(
        self, server: Served, mode: str
    ) -> None:
        path = "/Patient" if mode == "create" else "/Patient/x"
        answer = server.http.post(f"{path}/$validate?mode={mode}")
        assert refused(answer) == (400, "required", ["Parameters.parameter('resource')"])
