"""$process-response as SDC has it, on Questionnaire: the answers are stored, and it is said where."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from r4.json import Resource, encode
from tests.questionnaires.support import NOTE, SURVEY, example
from tests.support.server import Served, served

JSON = {"Content-Type": "application/fhir+json"}
PLAIN = "/Questionnaire/$process-response"
OF_THE_SURVEY = f"/Questionnaire/{SURVEY}/$process-response"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("process-response")) as running:
        yield running


@pytest.fixture(scope="module")
def answers(server: Served) -> Resource:
    """A parent's completed answers about a child that is known."""
    child = server.http.post("/Patient", json={"resourceType": "Patient"}).json()
    reference = {"reference": f"Patient/{child['id']}"}
    about = {"status": "completed", "subject": reference, "author": reference}
    return {**example(SURVEY, "continent-child"), **about}


def sent(
    server: Served, response: Any, path: str = PLAIN, name: str | None = "in"
) -> httpx.Response:
    body = response
    if name is not None:
        listed = [{"name": name, "resource": response}]
        body = {"resourceType": "Parameters", "parameter": listed}
    return server.http.post(path, content=encode(body), headers=JSON)


@pytest.mark.parametrize("path", [PLAIN, OF_THE_SURVEY])
@pytest.mark.parametrize("name", ["in", "response", None])
def test_what_is_taken_is_stored_and_the_outcome_says_where(
    server: Served, answers: Resource, path: str, name: str | None
) -> None:
    new = {key: held for key, held in answers.items() if key != "identifier"}
    answer = sent(server, new, path, name)
    assert answer.status_code == 200, answer.text
    [issue] = answer.json()["issue"]
    assert (issue["severity"], issue["code"]) == ("information", "informational")
    place = issue["diagnostics"].removeprefix("The response has been taken: ").rstrip(".")
    stored = server.http.get(f"/{place}").json()
    assert (stored["status"], stored["subject"]) == ("completed", answers["subject"])
    found = server.http.get(
        f"/Observation?derived-from=QuestionnaireResponse/{stored['id']}"
    ).json()
    assert found["total"] > 0


def test_what_is_sent_again_is_not_stored_again(server: Served, answers: Resource) -> None:
    new = {**answers, "identifier": {"system": "urn:example", "value": "once"}}
    first, second = (sent(server, new).json()["issue"][0]["diagnostics"] for _ in range(2))
    assert first.startswith("The response has been taken: QuestionnaireResponse/")
    assert second.startswith("The response had been taken before: QuestionnaireResponse/")
    assert first.partition(": ")[2] == second.partition(": ")[2]


def test_a_response_to_another_form_than_the_urls_is_refused(
    server: Served, answers: Resource
) -> None:
    answer = sent(server, answers, f"/Questionnaire/{NOTE}/$process-response")
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["QuestionnaireResponse.questionnaire"]
    assert sent(server, answers, "/Questionnaire/nowhere/$process-response").status_code == 404


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (PLAIN, ("in", "response")),
        ("/QuestionnaireResponse/$process-response", ("response", "questionnaire-response")),
        ("/QuestionnaireResponse/$extract", ("response", "questionnaire-response")),
    ],
)
def test_a_response_is_given_by_one_of_its_names(
    server: Served, answers: Resource, path: str, names: tuple[str, str]
) -> None:
    for given in ((), names):
        listed = [{"name": name, "resource": answers} for name in given]
        answer = server.http.post(
            path, content=encode({"resourceType": "Parameters", "parameter": listed}), headers=JSON
        )
        assert answer.status_code == 400
        said = answer.json()["issue"][0]["diagnostics"]
        assert all(name in said for name in names)


@pytest.mark.parametrize("path", [PLAIN, "/QuestionnaireResponse/$process-response"])
def test_an_operative_note_is_signed_and_not_taken_without_it(
    server: Served, answers: Resource, path: str
) -> None:
    note = {**example(NOTE, "soave-laparoscopic"), "status": "completed"}
    before = server.http.get("/Procedure?_summary=count").json()["total"]
    answer = sent(server, {**note, "subject": answers["subject"]}, path, None)
    assert answer.status_code == 422, answer.text
    assert "QuestionnaireResponse/$sign" in answer.json()["issue"][0]["diagnostics"]
    assert server.http.get("/Procedure?_summary=count").json()["total"] == before


@pytest.mark.parametrize(
    "change", [{"status": "in-progress"}, {"item": []}, {"questionnaire": 1}, {"item": "x"}]
)
def test_what_is_not_complete_or_no_fhir_is_refused_and_not_stored(
    server: Served, answers: Resource, change: Resource
) -> None:
    before = server.http.get("/QuestionnaireResponse?_summary=count").json()["total"]
    for path in (PLAIN, OF_THE_SURVEY):
        assert sent(server, {**answers, **change}, path).status_code == 422
    assert server.http.get("/QuestionnaireResponse?_summary=count").json()["total"] == before


def test_without_a_response_it_is_said_that_one_is_needed(server: Served) -> None:
    body = {"resourceType": "Parameters", "parameter": []}
    answer = server.http.post(PLAIN, json=body)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "required")
