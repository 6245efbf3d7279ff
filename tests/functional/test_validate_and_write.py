"""What $validate calls an error a write refuses, with the same issues; and the other way round."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.__main__ import main
from r4.json import Resource, decode, encode
from terminology.systems import NHS_NUMBER
from tests.profiles.small import HERE, element, profile
from tests.questionnaires.support import NOTE, SURVEY, answered, example, without
from tests.support.bulk import ASYNC, manifest
from tests.support.outcomes import rule
from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow

ENABLED = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-enableWhenExpression"
JSON = {"Content-Type": "application/fhir+json"}
ROOT = Path(__file__).parents[2]
THEIRS, ANOTHER = "9990000174", "9990000182"
EXAMPLES = [
    path
    for path in sorted((ROOT / "profiles" / "examples").rglob("*.json"))
    if not path.name.endswith(".issues.json")
]
INVALID = [path for path in EXAMPLES if path.parent.name == "invalid"]
VALID = [path for path in EXAMPLES if path.parent.name == "valid"]


def name(path: Path) -> str:
    return f"{path.parts[-3]}-{path.stem}"


def said(issues: Any) -> set[tuple[Any, ...]]:
    """Return what errors say, but for where they stand in the text that was sent."""
    return {
        (each["code"], rule(each), each["diagnostics"], *each.get("expression", ()))
        for each in issues
        if each["severity"] in ("fatal", "error")
    }


def refusal(answer: httpx.Response) -> set[tuple[Any, ...]]:
    """Return the errors for which a write was refused, none if it was stored."""
    assert answer.status_code in (200, 201, 400, 404, 422), answer.text
    return said(answer.json()["issue"]) if answer.is_error else set()


def agreed(server: Served, resource: Resource, id: str | None = None) -> set[tuple[Any, ...]]:
    """Validate a resource as what it is written as, write it, and return the errors of both."""
    kind, content = resource.get("resourceType", "Basic"), encode(resource)
    send = server.http.post if id is None else server.http.put
    path, mode = (f"/{kind}", "create") if id is None else (f"/{kind}/{id}", "update")
    answer = server.http.post(f"{path}/$validate?mode={mode}", content=content, headers=JSON)
    validated = said(answer.json()["issue"])
    assert validated == refusal(send(path, content=content, headers=JSON))
    return validated


def entry(resource: Resource, **more: Any) -> Resource:
    return {
        "fullUrl": "urn:uuid:5b0c1a5e-0000-4000-8000-000000000001",
        "resource": resource,
        **more,
    }


def in_bundle(resource: Resource, method: str = "POST") -> Resource:
    """Return the transaction that creates, or updates, a resource."""
    kind = resource["resourceType"]
    url = kind if method == "POST" else f"{kind}/{resource['id']}"
    asked = {"resource": resource, "request": {"method": method, "url": url}}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [asked]}


def put(server: Served, resource: Resource) -> None:
    answer = server.http.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)
    assert answer.status_code in (200, 201), answer.text


class TestExamples:
    def test_they_are_found(self) -> None:
        assert len(INVALID) >= 99
        assert len(VALID) >= 34

    @pytest.mark.parametrize("path", INVALID, ids=name)
    def test_one_that_is_invalid_is_called_so_and_refused(self, server: Served, path: Path) -> None:
        resource = decode(path.read_bytes())
        errors = agreed(server, resource)
        expected = decode(path.with_suffix(".issues.json").read_bytes())
        rules = {each["rule"] for each in expected if each["severity"] == "error"}
        found = {each[1] for each in errors}
        assert rules <= found or (rules, found) == ({"resource-type"}, {None})  # the URL is refused
        if isinstance(resource.get("id"), str):
            assert agreed(server, resource, resource["id"]) == errors

    @pytest.mark.parametrize("path", VALID, ids=name)
    def test_of_a_valid_one_only_what_it_refers_to_is_missing(
        self, server: Served, path: Path
    ) -> None:
        errors = agreed(server, decode(path.read_bytes()))
        assert {each[1] for each in errors} <= {"reference"}

    def test_an_id_that_is_none_is_not_that_of_what_is_created(self, server: Served) -> None:
        wrong = {"resourceType": "Patient", "id": "not an id", "active": True}
        assert agreed(server, wrong) == set()
        validated = server.http.post("/$validate", json=in_bundle(wrong))
        assert said(validated.json()["issue"]) == set()
        assert server.http.post("/", json=in_bundle(wrong)).status_code == 200
        assert said(server.http.post("/$validate", json=wrong).json()["issue"]) != set()


class TestBundles:
    """What is around the resources of a Bundle counts as well: misspelt, a condition would be none."""

    @pytest.mark.parametrize(
        ("around", "of_entry", "of_request", "rules"),
        [
            ({}, {}, {}, set()),
            ({"id": "x", "timestamp": "2026-01-01T00:00:00Z"}, {"id": "1"}, {}, set()),
            ({}, {"fullUrl": "urn:uuid:5b0c1a5e-0000-4000-8000-000000000001"}, {}, set()),
            ({}, {}, {"ifNoneExists": "identifier=a|b"}, {"unknown-element"}),
            ({}, {"requests": {}}, {}, {"unknown-element"}),
            ({"entries": []}, {}, {}, {"unknown-element"}),
            ({"total": 1}, {}, {}, {"bdl-1"}),
            ({}, {"search": {"mode": "match"}}, {}, {"bdl-2"}),
            ({}, {"response": {"status": "200"}}, {}, {"bdl-4"}),
            ({}, {"fullUrl": "https://e.example/Patient/1/_history/1"}, {}, {"bdl-8"}),
            ({}, {"fullUrl": "not a url"}, {}, {"uri"}),
            ({}, {}, {"ifMatch": ""}, {"string"}),
            ({}, {}, {"ifModifiedSince": "yesterday"}, {"instant"}),
            ({"entry": []}, {}, {}, {"ele-1"}),
        ],
    )
    @pytest.mark.parametrize("kind", ["transaction", "batch"])
    def test_what_is_around_the_resources(
        self,
        server: Served,
        kind: str,
        around: Any,
        of_entry: Any,
        of_request: Any,
        rules: set[str],
    ) -> None:
        patient = {"resourceType": "Patient", "active": True}
        asked = {"method": "POST", "url": "Patient", **of_request}
        listed = [{"resource": patient, "request": asked, **of_entry}]
        bundle = {"resourceType": "Bundle", "type": kind, "entry": listed, **around}
        validated = said(server.http.post("/$validate", json=bundle).json()["issue"])
        assert validated == refusal(server.http.post("/", json=bundle))
        assert {each[1] for each in validated} == rules


def responses() -> dict[str, Resource]:
    """Return completed answers to forms of the registry: whole, and with one rule broken each."""
    note, survey = example(NOTE, "soave-laparoscopic"), example(SURVEY, "continent-child")
    for response in (note, survey):
        response |= {"status": "completed"}
        response.pop("author", None)
        del response["subject"]
    return {
        "whole": note,
        "whole-survey": survey,
        "items-left-out": {**survey, "item": survey["item"][:1]},
        "amended": {**survey, "item": survey["item"][:1], "status": "amended"},
        "no-such-item": {**survey, "status": "in-progress", "item": [{"linkId": "none"}]},
        "question-left-out": without(note, "urgency"),
        "another-type": answered(note, "blood-loss-ml", {"valueString": "little"}),
        "no-such-option": answered(note, "urgency", {"valueCoding": {"code": "none"}}),
        "negative": answered(note, "blood-loss-ml", {"valueInteger": -1}),
    }


class TestResponses:
    """A response is held against its form wherever it is written: spec-decisions, SDC."""

    @pytest.mark.parametrize("case", responses())
    def test_what_breaks_a_rule_of_its_form_is_refused(self, server: Served, case: str) -> None:
        response = {"id": case, **responses()[case]}
        errors = agreed(server, response)
        assert bool(errors) != case.startswith("whole")
        assert agreed(server, response, case) == errors

    @pytest.mark.parametrize("case", responses())
    def test_in_a_bundle_too(self, server: Served, case: str) -> None:
        response = {"id": f"{case}-in-bundle", **responses()[case]}
        alone = agreed(server, response)
        for bundle in (in_bundle(response), in_bundle(response, "PUT")):
            validated = server.http.post("/$validate", content=encode(bundle), headers=JSON)
            stored = server.http.post("/", content=encode(bundle), headers=JSON)
            errors = said(validated.json()["issue"])
            assert errors == refusal(stored)
            assert {each[:3] for each in errors} == {each[:3] for each in alone}
        collection = {"resourceType": "Bundle", "type": "collection", "entry": [entry(response)]}
        assert {each[:3] for each in agreed(server, collection)} == {each[:3] for each in alone}

    def test_a_draft_may_break_rules_until_a_patch_completes_it(self, server: Served) -> None:
        begun = {**responses()["items-left-out"], "id": "begun", "status": "in-progress"}
        assert agreed(server, begun, "begun") == set()
        change = [{"op": "replace", "path": "/status", "value": "completed"}]
        headers = {"Content-Type": "application/json-patch+json"}
        path = "/QuestionnaireResponse/begun"
        refused = server.http.patch(path, content=encode(change), headers=headers)
        assert refused.status_code == 422
        assert refusal(refused) == agreed(server, {**begun, "status": "completed"}, "begun")

    def test_of_an_import_the_line_is_refused(self, server: Served) -> None:
        good, bad = (responses()[name] for name in ("whole", "question-left-out"))
        content = b"".join(
            encode({"id": id, **each}) + b"\n" for id, each in (("kept", good), ("not", bad))
        )
        headers = {**ASYNC, "Content-Type": "application/fhir+ndjson"}
        kicked_off = server.http.post("/$import", content=content, headers=headers)
        done = manifest(server.http, kicked_off.headers["Content-Location"])
        assert done["extension"]["files"][0]["refused"] == 1
        assert server.http.get("/QuestionnaireResponse/kept").status_code == 200
        assert server.http.get("/QuestionnaireResponse/not").status_code == 404

    def test_the_form_may_ask_for_the_numbers_of_the_child_that_is_stored(
        self, server: Served
    ) -> None:
        for number, id in ((THEIRS, "theirs"), (ANOTHER, "another")):
            identifier = [{"system": NHS_NUMBER, "value": number}]
            put(server, {"resourceType": "Patient", "id": id, "identifier": identifier})
        note = answered(responses()["whole"], "nhs-number", {"valueString": THEIRS})
        for reference, is_right in (
            ("Patient/theirs", True),
            (f"Patient?identifier={NHS_NUMBER}|{THEIRS}", True),
            ("Patient/another", False),
            (f"Patient?identifier={NHS_NUMBER}|{ANOTHER}", False),
        ):
            errors = agreed(server, {**note, "subject": {"reference": reference}})
            assert (errors == set()) == is_right

    def test_a_form_that_is_stored_here_counts_and_one_that_is_not_known_does_not(
        self, server: Served
    ) -> None:
        url = "https://e.example/Questionnaire/cost|1,5$"
        question = {"linkId": "1", "type": "integer", "required": True}
        form = {"resourceType": "Questionnaire", "url": url, "status": "active", "item": [question]}
        unanswered = {
            "resourceType": "QuestionnaireResponse",
            "status": "completed",
            "questionnaire": url,
        }
        assert agreed(server, unanswered) == set()
        put(server, {"id": "form", **form, "url": url.partition("|")[0], "version": "1,5$"})
        assert {each[1] for each in agreed(server, unanswered)} == {"required"}

    def test_an_expression_that_cannot_be_evaluated_hinders_no_draft(self, server: Served) -> None:
        several = {"language": "text/fhirpath", "expression": "(1 | 2) > 1"}
        question = {
            "linkId": "1",
            "type": "string",
            "extension": [{"url": ENABLED, "valueExpression": several}],
        }
        url = "https://e.example/Questionnaire/unevaluated"
        form = {"id": "unevaluated", "url": url, "status": "active", "item": [question]}
        put(server, {"resourceType": "Questionnaire", **form})
        response = {"resourceType": "QuestionnaireResponse", "questionnaire": url}
        assert len(agreed(server, {**response, "status": "completed"})) == 1
        assert agreed(server, {**response, "status": "in-progress"}) == set()

    def test_hl7_s_cases(self, server: Served, library: Path) -> None:
        cases, judged = library / "sdc" / "fhir-test-cases", []
        for form in sorted(cases.glob("*-q.json")):
            server.http.post("/Questionnaire", content=form.read_bytes(), headers=JSON)
        for response in sorted(cases.glob("*-qr.json")):
            judged.append(bool(agreed(server, decode(response.read_bytes()))))
        # four that draw on code systems which are not loaded here are let pass, with a warning
        assert (judged.count(True), judged.count(False)) == (53, 21)


@pytest.fixture(scope="module")
def loaded(server: Served, tmp_path_factory: pytest.TempPathFactory) -> None:
    born = {
        "key": "e-1", "severity": "error", "human": "Born by now",
        "expression": "birthDate <= today()",
    }  # fmt: skip
    profiles = (
        profile("born", "Patient", element("Patient", constraint=[born])),
        profile(
            "of-one-born",
            "Basic",
            element(
                "Basic.subject",
                type=[{"code": "Reference", "targetProfile": [f"{HERE}/born"]}],
            ),
        ),
    )
    folder = tmp_path_factory.mktemp("profiles")
    for each in profiles:
        (folder / f"{each['name']}.json").write_text(json.dumps({"id": each["name"], **each}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CSOR_DATABASE", server.context.settings.database)
        assert main(["load", str(folder)]) == 0
    until = time.monotonic() + 20
    while "profile-unknown" in server.http.post("/Patient/$validate", json=claiming()).text:
        assert time.monotonic() < until
        time.sleep(0.05)
    put(server, {"resourceType": "Patient", "id": "old", "birthDate": "2001-01-01"})
    put(server, {"resourceType": "Patient", "id": "unborn", "birthDate": "2999-01-01"})


class TestWhatIsReferredTo:
    """A profile may ask something of what a resource refers to; the clock may decide, too."""

    def test_a_rule_that_looks_at_the_clock(self, server: Served, loaded: None) -> None:
        assert agreed(server, claiming(birthDate="2001-01-01")) == set()
        assert {each[1] for each in agreed(server, claiming(birthDate="2999-01-01"))} == {"e-1"}

    def test_a_rule_about_what_is_referred_to(self, server: Served, loaded: None) -> None:
        for reference, rules in (
            ("Patient/old", set()),
            ("Patient/unborn", {"reference-profile"}),
            (f"{server.base_url}/Patient/unborn", {"reference-profile"}),
            ("Patient/unborn/_history/1", {"reference-profile"}),
            ("Patient?birthdate=2999-01-01", {"reference-profile"}),
            ("Patient/nobody", {"reference"}),
        ):
            assert {each[1] for each in agreed(server, about(reference))} == rules

    def test_in_a_transaction_it_is_what_would_be_stored(
        self, server: Served, loaded: None
    ) -> None:
        for birth, is_right in (("2001-01-01", True), ("2999-01-01", False)):
            child = {"resourceType": "Patient", "id": "changing", "birthDate": birth}
            bundle = in_bundle(child, "PUT")
            bundle["entry"] += in_bundle(about("Patient/changing"))["entry"]
            errors = said(server.http.post("/$validate", json=bundle).json()["issue"])
            assert errors == refusal(server.http.post("/", json=bundle))
            assert (errors == set()) == is_right


def claiming(**elements: Any) -> Resource:
    meta = {"profile": [f"{HERE}/born"]}
    return {"resourceType": "Patient", "meta": meta, "active": True, **elements}


def about(reference: str) -> Resource:
    return {
        "resourceType": "Basic",
        "meta": {"profile": [f"{HERE}/of-one-born"]},
        "code": {"text": "x"},
        "subject": {"reference": reference},
    }
