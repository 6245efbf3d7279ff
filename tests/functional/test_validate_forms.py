"""$validate holds a QuestionnaireResponse against its form, alone or in a Bundle."""

import json

import httpx
import pytest

from r4.json import encode
from tests.questionnaires.support import NOTE, SURVEY, example
from tests.support.outcomes import issues, rule
from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow

JSON = {"Content-Type": "application/fhir+json"}
BASE = "http://hl7.org/fhir/StructureDefinition"


def rules(answer: httpx.Response) -> list[str | None]:
    return [rule(issue) for issue in issues(answer)]


def all_ok(answer: httpx.Response) -> bool:
    return [issue["diagnostics"] for issue in issues(answer)] == ["All OK"]


class TestResponses:
    """A QuestionnaireResponse is held against its form: https://hl7.org/fhir/uv/sdc/validation.html."""

    def test_a_response_to_a_form_of_the_registry(self, server: Served) -> None:
        for name, case in ((NOTE, "soave-laparoscopic"), (SURVEY, "continent-child")):
            content = encode(example(name, case))
            found = issues(server.http.post("/$validate", content=content, headers=JSON))
            assert [issue for issue in found if issue["severity"] in ("error", "fatal")] == []

    def test_a_completed_response_must_keep_every_rule_and_a_draft_need_not(
        self, server: Served
    ) -> None:
        response = example(SURVEY, "continent-child")
        response["item"] = response["item"][:1]
        severities = {}
        for status in ("completed", "in-progress"):
            content = encode({**response, "status": status})
            answer = server.http.post("/$validate", content=content, headers=JSON)
            severities[status] = {issue["severity"] for issue in issues(answer)}
        assert "error" in severities["completed"]
        assert severities["in-progress"] & {"error", "fatal"} == set()

    def test_an_issue_of_an_answer_stands_where_the_answer_does(self, server: Served) -> None:
        response = {
            "resourceType": "QuestionnaireResponse",
            "questionnaire": form(server),
            "status": "completed",
            "item": [{"linkId": "1", "answer": [{"valueInteger": 200}]}],
        }
        entry = {"fullUrl": "urn:uuid:5b0c1a5e-0000-4000-8000-000000000001", "resource": response}
        collection = {"resourceType": "Bundle", "type": "collection", "entry": [entry]}
        for body, before in (
            (response, "QuestionnaireResponse"),
            (collection, "Bundle.entry[0].resource"),
        ):
            text = json.dumps(body, indent=1)
            answer = server.http.post("/$validate", content=text, headers=JSON)
            (issue,) = [i for i in issues(answer) if i["severity"] == "error"]
            assert issue["expression"] == [f"{before}.item[0].answer[0]"]
            lines = text.splitlines()
            line = next(at for at, each in enumerate(lines) if "valueInteger" in each)
            assert issue["location"][0].startswith(f"Line {line}, column ")

    def test_a_profile_that_is_asked_for_hinders_no_form(self, server: Served) -> None:
        response = {**example(SURVEY, "continent-child"), "status": "completed"}
        response["item"] = response["item"][:1]
        url = "/QuestionnaireResponse/$validate"
        found = rules(server.http.post(url, content=encode(response), headers=JSON))
        assert "required" in found
        for profile in ("https://e.example/StructureDefinition/nowhere", f"{BASE}/Patient"):
            named = {"profile": profile}
            answer = server.http.post(url, params=named, content=encode(response), headers=JSON)
            assert len(rules(answer)) == len(found) + 1
            assert set(found) < set(rules(answer))

    @pytest.mark.parametrize("named", ["https://e.example/Questionnaire/nowhere|1", None])
    def test_a_form_that_is_not_known_is_a_warning(self, server: Served, named: str | None) -> None:
        response = {"resourceType": "QuestionnaireResponse", "status": "completed"}
        if named:
            response["questionnaire"] = named
        (issue,) = issues(server.http.post("/$validate", json=response))
        assert (issue["severity"], rule(issue)) == ("warning", "questionnaireNotFound")
        assert (named or "no form") in issue["diagnostics"]

    def test_of_several_versions_of_a_form_the_newest_is_meant(self, server: Served) -> None:
        url = "https://e.example/Questionnaire/versions"
        for version, limit in (("1.10.0", 100), ("1.9.0", 10)):
            form(server, url, version, limit)
        response = {
            "resourceType": "QuestionnaireResponse",
            "status": "completed",
            "item": [{"linkId": "1", "answer": [{"valueInteger": 50}]}],
        }
        assert all_ok(server.http.post("/$validate", json={**response, "questionnaire": url}))
        older = {**response, "questionnaire": f"{url}|1.9.0"}
        assert [i["severity"] for i in issues(server.http.post("/$validate", json=older))] == [
            "error"
        ]

    def test_one_that_is_no_valid_fhir_is_not_held_against_its_form(self, server: Served) -> None:
        response = {"resourceType": "QuestionnaireResponse", "status": "completed", "item": [{}]}
        found = issues(
            server.http.post("/$validate", json={**response, "questionnaire": form(server)})
        )
        assert {tuple(issue["expression"]) for issue in found} == {
            ("QuestionnaireResponse.item[0]",)
        }


def form(
    server: Served,
    url: str = "https://e.example/Questionnaire/grams",
    version: str = "1.0.0",
    limit: int = 100,
) -> str:
    """Store a form with one number that has a limit, and return its url."""
    limited = {"url": f"{BASE}/maxValue", "valueInteger": limit}
    questionnaire = {
        "resourceType": "Questionnaire",
        "url": url,
        "version": version,
        "status": "active",
        "item": [{"linkId": "1", "type": "integer", "extension": [limited]}],
    }
    headers = {"If-None-Exist": f"url={url}&version={version}"}
    answer = server.http.post("/Questionnaire", json=questionnaire, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    return url
