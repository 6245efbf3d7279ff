"""$populate over HTTP: which form, what it may see, its limits, and what it says it could not do."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fhir_server.context import Principal
from fhir_server.operations.finding import MOST_QUERIES, MOST_RESULTS
from fhir_server.operations.populate import populate
from r4.json import Resource
from tests.questionnaires.support import NOTE, find
from tests.support.server import Served, served

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
VARIABLE = "http://hl7.org/fhir/StructureDefinition/variable"
CANONICAL = f"https://csor.example/fhir/Questionnaire/{NOTE}"
NHS = "https://fhir.nhs.uk/Id/nhs-number"
JAUNDICE = {
    "coding": [{"system": "http://snomed.info/sct", "code": "18165001"}],
    "text": "Jaundice",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """On one database: what is asked of it is plain search, which is tested on both elsewhere."""
    with served(tmp_path_factory.mktemp("populate")) as running:
        yield running


@pytest.fixture(scope="module")
def children(server: Served) -> tuple[str, str]:
    """Two children, each with a condition of their own; returns their references."""
    return _child(server, "9434765919", "Ŵyn"), _child(server, "9434765870", "Other")


def _child(server: Served, number: str, family: str) -> str:
    patient = {
        "resourceType": "Patient",
        "identifier": [{"system": NHS, "value": number}],
        "name": [{"family": family}],
    }
    created = server.http.post("/Patient", json=patient)
    assert created.status_code == 201, created.text
    reference = f"Patient/{created.json()['id']}"
    condition = {
        "resourceType": "Condition",
        "subject": {"reference": reference},
        "code": {"text": f"of {family}"},
    }
    assert server.http.post("/Condition", json=condition).status_code == 201
    return reference


def context(name: str, *content: Resource) -> Resource:
    parts: list[Resource] = [{"name": "name", "valueString": name}]
    for each in content:
        key = "resource" if "resourceType" in each else "valueReference"
        parts.append({"name": "content", key: each})
    return {"name": "context", "part": parts}


def asked(
    server: Served, *parameters: Resource, path: str = "/Questionnaire/$populate"
) -> httpx.Response:
    body = {"resourceType": "Parameters", "parameter": list(parameters)}
    return server.http.post(path, json=body)


def made(answer: httpx.Response) -> tuple[Resource, list[Resource]]:
    assert answer.status_code == 200, answer.text
    listed = {each["name"]: each["resource"] for each in answer.json()["parameter"]}
    return listed["response"], listed.get("issues", {}).get("issue", [])


def reference(name: str, to: str) -> Resource:
    return {"name": name, "valueReference": {"reference": to}}


def form(*items: Resource, **more: Any) -> Resource:
    launch = {"url": SDC + "launchContext", "extension": [
        {"url": "name", "valueCoding": {"code": "patient"}}, {"url": "type", "valueCode": "Patient"},
    ]}  # fmt: skip
    resource = {
        "resourceType": "Questionnaire",
        "url": "https://example.org/form",
        "status": "active",
        "extension": [launch, *more.pop("extension", [])],
        "item": list(items),
        **more,
    }
    return {"name": "questionnaire", "resource": resource}


def variable(name: str, query: str) -> Resource:
    said = {"name": name, "language": "application/x-fhir-query", "expression": query}
    return {"url": VARIABLE, "valueExpression": said}


def question(link_id: str, expression: str, **more: Any) -> Resource:
    said = {"language": "text/fhirpath", "expression": expression}
    extension = [{"url": SDC + "initialExpression", "valueExpression": said}]
    return {"linkId": link_id, "type": "string", "extension": extension, **more}


CONDITIONS = form(
    question("texts", "%found.entry.resource.code.text", repeats=True),
    extension=[variable("found", "Condition?patient={{%patient.id}}")],
)


def texts(response: Resource) -> list[str]:
    return [answer["valueString"] for answer in find(response, "texts").get("answer", [])]


@pytest.mark.parametrize(
    "named",
    [
        {"name": "questionnaire", "valueUri": CANONICAL},
        {"name": "questionnaire", "valueReference": {"reference": f"Questionnaire/{NOTE}"}},
        {"name": "canonical", "valueUri": CANONICAL},
        {"name": "questionnaireRef", "valueReference": {"reference": f"Questionnaire/{NOTE}"}},
        None,
    ],
)
def test_the_registrys_note_is_filled_in_with_the_child(
    server: Served, children: tuple[str, str], named: Resource | None
) -> None:
    path = "/Questionnaire/$populate" if named else f"/Questionnaire/{NOTE}/$populate"
    given = [named] if named else []
    surgeon = {"resourceType": "Practitioner", "name": [{"family": "Knife", "given": ["Sam"]}]}
    answer = asked(
        server, *given, reference("subject", children[0]), context("user", surgeon), path=path
    )
    response, issues = made(answer)
    assert response["status"] == "in-progress"
    assert response["questionnaire"].partition("|")[0] == CANONICAL
    assert response["subject"] == {"reference": children[0]}
    assert find(response, "nhs-number")["answer"] == [{"valueString": "9434765919"}]
    assert find(response, "surgeon")["answer"] == [{"valueString": "Sam Knife"}]
    assert issues == []
    outcome = server.http.post("/QuestionnaireResponse", json=response)
    assert outcome.status_code == 201, outcome.text


def test_a_conditional_subject_is_the_child_it_means(
    server: Served, children: tuple[str, str]
) -> None:
    subject = reference("subject", f"Patient?identifier={NHS}|9434765919")
    response, _ = made(asked(server, CONDITIONS, subject))
    assert response["subject"] == {"reference": children[0]}
    assert texts(response) == ["of Ŵyn"]
    unknown = asked(
        server, CONDITIONS, reference("subject", f"Patient?identifier={NHS}|4857773457")
    )
    assert unknown.status_code == 422


def test_a_subject_that_is_nowhere_is_told_of(server: Served, children: tuple[str, str]) -> None:
    named = {"name": "questionnaire", "valueUri": CANONICAL}
    response, issues = made(asked(server, named, reference("subject", "Patient/nobody")))
    assert response["subject"] == {"reference": "Patient/nobody"}
    assert [(issue["severity"], issue["code"]) for issue in issues] == [("warning", "not-found")]
    sent = {"resourceType": "Patient", "id": "nobody"}
    data = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": sent}]}
    along = {"name": "data", "resource": data}
    assert made(asked(server, named, reference("subject", "Patient/nobody"), along))[1] == []


def test_what_is_sent_along_stands_before_what_is_stored(
    server: Served, children: tuple[str, str]
) -> None:
    elsewhere = {
        "resourceType": "Condition",
        "id": "e1",
        "subject": {"reference": "Patient/of-the-epr"},
        "code": {"text": "of the EPR"},
    }
    data = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": elsewhere}]}
    along = {"name": "data", "resource": data}
    response, _ = made(asked(server, CONDITIONS, reference("subject", children[0]), along))
    assert texts(response) == ["of the EPR"]
    response, _ = made(
        asked(
            server,
            form(
                question("texts", "%here.code.text"), extension=[variable("here", "Condition/e1")]
            ),
            reference("subject", children[0]),
            along,
        )
    )
    assert texts(response) == ["of the EPR"]


def test_nothing_that_is_stored_is_looked_into_when_that_is_not_wanted(
    server: Served, children: tuple[str, str]
) -> None:
    only_sent = {"name": "local", "valueBoolean": False}
    response, _ = made(asked(server, CONDITIONS, reference("subject", children[0]), only_sent))
    assert texts(response) == []


def test_a_context_is_a_resource_or_a_reference_and_one_that_is_unknown_is_told_of(
    server: Served, children: tuple[str, str]
) -> None:
    named = context("patient", {"reference": children[1]}) | {"name": "launchContext"}
    response, _ = made(asked(server, CONDITIONS, named))
    assert (response["subject"], texts(response)) == ({"reference": children[1]}, ["of Other"])
    unknown = context("patient", {"reference": "Patient/nobody"})
    response, issues = made(asked(server, CONDITIONS, unknown))
    assert "item" not in response
    assert [issue["code"] for issue in issues] == ["not-found"]


def test_a_session_of_one_child_sees_no_other_whatever_the_form_asks(
    server: Served, children: tuple[str, str]
) -> None:
    own, other = children
    session = server.context.asked_by(Principal("surgeon", frozenset({"surgeon"}), patient=own))
    curious = form(
        question("texts", "%all.entry.resource.code.text", repeats=True),
        question("named", "%one.name.family"),
        question("chained", "%through.entry.resource.subject.resolve().name.family"),
        question("staff", "%people.entry.resource.name.family"),
        extension=[
            variable("all", "Condition?_include=*"),
            variable("one", other),
            variable("through", f"Condition?subject={other}"),
            variable("people", "Practitioner?name=a"),
        ],
    )["resource"]
    given = {"questionnaire": curious, "subject": {"reference": own}}
    listed = {each["name"]: each["resource"] for each in populate(session, given)["parameter"]}
    assert texts(listed["response"]) == ["of Ŵyn"]
    assert [item["linkId"] for item in listed["response"]["item"]] == ["texts"]
    assert [issue["code"] for issue in listed["issues"]["issue"]] == ["forbidden"]
    registry, _ = made(asked(server, {"name": "questionnaire", "resource": curious}))
    assert {"of Ŵyn", "of Other"} <= set(texts(registry))


def test_a_form_may_not_ask_or_find_without_end(server: Served) -> None:
    many = [variable(f"v{n}", f"Condition?_id=x{n}") for n in range(MOST_QUERIES + 1)]
    answer = asked(server, form(question("q", "'x'"), extension=many))
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (422, "too-costly")
    one = {
        "request": {"method": "POST", "url": "Basic"},
        "resource": {"resourceType": "Basic", "code": JAUNDICE},
    }
    many = [one] * (MOST_RESULTS + 1)
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": many}
    stored = server.http.post("/", json=bundle)
    assert stored.status_code == 200
    answer = asked(
        server, form(question("q", "'x'"), extension=[variable("v", "Basic?code=18165001")])
    )
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (422, "too-costly")
    few = form(question("q", "'x'"), extension=[variable("v", "Basic?code=18165001&_count=5")])
    assert made(asked(server, few))[1] == []


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ([], 400),
        ([{"name": "questionnaire", "valueUri": "https://example.org/none"}], 404),
        ([CONDITIONS, {"name": "canonical", "valueUri": CANONICAL}], 400),
        ([{"name": "identifier", "valueIdentifier": {"value": "none"}}], 404),
        ([{"name": "questionnaire", "resource": {"resourceType": "Patient"}}], 400),
        ([{"name": "questionnaire", "resource": {"resourceType": "Questionnaire"}}], 422),
        ([CONDITIONS, {"name": "dataEndpoint", "resource": {"resourceType": "Endpoint"}}], 422),
        ([CONDITIONS, {"name": "data", "resource": {"resourceType": "Patient"}}], 400),
        ([CONDITIONS, {"name": "context", "part": [{"name": "content"}]}], 400),
        ([CONDITIONS, context("patient", {"display": "no reference"})], 400),
    ],
)
def test_what_cannot_be_asked_is_refused(
    server: Served, parameters: list[Resource], status: int
) -> None:
    assert asked(server, *parameters).status_code == status


def test_the_url_alone_names_the_form_of_an_instance(server: Served) -> None:
    at = f"/Questionnaire/{NOTE}/$populate"
    assert asked(server, CONDITIONS, path=at).status_code == 400
    assert asked(server, path="/Questionnaire/nowhere/$populate").status_code == 404


def test_what_is_no_fhir_among_the_data_is_left_out_and_told_of(
    server: Served, children: tuple[str, str]
) -> None:
    odd: list[Any] = [
        {"resource": {"resourceType": "Condition", "subject": "wrong", "code": ["odd"]}},
        {"resource": "text"},
        {},
    ]
    data = {
        "name": "data",
        "resource": {"resourceType": "Bundle", "type": "collection", "entry": odd},
    }
    response, issues = made(asked(server, CONDITIONS, data, reference("subject", children[0])))
    assert texts(response) == ["of Ŵyn"]
    assert [issue["code"] for issue in issues] == ["structure", "structure"]


def test_an_identifier_names_the_form_that_has_it(server: Served) -> None:
    stored = {
        **form(question("q", "'x'"))["resource"],
        "identifier": [{"system": "urn:example", "value": "a|b"}],
    }
    assert server.http.post("/Questionnaire", json=stored).status_code == 201
    named = {"name": "identifier", "valueIdentifier": {"system": "urn:example", "value": "a|b"}}
    response, _ = made(asked(server, named))
    assert find(response, "q")["answer"] == [{"valueString": "x"}]


def test_a_query_of_another_server_is_not_asked(server: Served) -> None:
    outside = form(
        question("q", "%v.id"), extension=[variable("v", "https://evil.example/fhir/Patient/1")]
    )
    response, issues = made(asked(server, outside))
    assert "item" not in response
    assert [issue["code"] for issue in issues] == ["not-supported"]


def test_nothing_is_stored(server: Served, children: tuple[str, str]) -> None:
    before = server.http.get("/_history?_count=1").json()["total"]
    made(asked(server, CONDITIONS, reference("subject", children[0])))
    assert server.http.get("/_history?_count=1").json()["total"] == before
