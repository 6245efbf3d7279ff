"""A signed note handed out: the document that was stored, its print; nothing for what is not signed."""

import io
from base64 import b64decode
from collections.abc import Iterator

import pypdf
import pytest

from r4.json import Resource, encode
from tests.questionnaires.support import NOTE, answered, example
from tests.support.server import Served, served

NHS = "https://fhir.nhs.uk/Id/nhs-number"
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
GMC = "https://fhir.hl7.org.uk/Id/gmc-number"
HOSPITAL = f"Organization?identifier={ODS}|RTH"
SURGEON = f"Practitioner?identifier={GMC}|0000000"
CHILD = f"Patient?identifier={NHS}|9990000018"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("documents")) as running:
        for place, system, value in (
            (HOSPITAL, ODS, "RTH"),
            (SURGEON, GMC, "0000000"),
            (CHILD, NHS, "9990000018"),
        ):
            kind = place.partition("?")[0]
            body = {"resourceType": kind, "identifier": [{"system": system, "value": value}]}
            named = (
                {"name": "Oxford"} if kind == "Organization" else {"name": [{"family": "Testname"}]}
            )
            assert running.http.put(f"/{place}", json={**body, **named}).status_code == 201
        yield running


def sign(server: Served, finding: str) -> dict[str, str]:
    """Sign an example with a finding of its own; returns the places of what was stored, by type."""
    answers = answered(example(NOTE, "soave-laparoscopic"), "findings", {"valueString": finding})
    number = {"system": "urn:example", "value": finding}
    response = {**answers, "status": "completed", "identifier": number}
    response["subject"] = {"reference": CHILD}
    parameters = [
        {"name": "response", "resource": response},
        {"name": "signer", "valueReference": {"reference": SURGEON}},
        {"name": "hospital", "valueReference": {"reference": HOSPITAL}},
    ]
    body = {"resourceType": "Parameters", "parameter": parameters}
    answer = server.http.post(
        "/QuestionnaireResponse/$sign",
        content=encode(body),
        headers={"Content-Type": "application/fhir+json"},
    )
    assert answer.status_code == 200, answer.text
    places = [
        entry["response"]["location"].partition("/_history")[0] for entry in answer.json()["entry"]
    ]
    return {place.partition("/")[0]: place for place in places}


@pytest.fixture(scope="module")
def notes(server: Served) -> list[dict[str, str]]:
    return [sign(server, finding) for finding in ("First finding", "Second finding")]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_document_is_the_one_that_was_stored_for_that_note(
    server: Served, notes: list[dict[str, str]], method: str
) -> None:
    for note in notes:
        answer = server.http.request(method, f"/{note['Composition']}/$document")
        assert answer.status_code == 200, answer.text
        assert answer.content == server.http.get(f"/{note['Bundle']}").content
        assert answer.json()["type"] == "document"


def test_the_print_holds_the_document_and_is_the_same_each_time(
    server: Served, notes: list[dict[str, str]]
) -> None:
    note = notes[1]
    answer = server.http.get(f"/{note['Composition']}/$pdf")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.headers["content-disposition"].endswith('.pdf"')
    assert answer.content == server.http.get(f"/{note['Composition']}/$pdf").content
    reader = pypdf.PdfReader(io.BytesIO(answer.content))
    assert reader.attachments["document.json"][0] == server.http.get(f"/{note['Bundle']}").content
    on_paper = "".join(page.extract_text() for page in reader.pages)
    assert ("Second finding" in on_paper, "First finding" in on_paper) == (True, False)


@pytest.mark.parametrize("operation", ["$document", "$pdf", "$mdm"])
def test_what_was_not_signed_here_has_no_document(server: Served, operation: str) -> None:
    composition: Resource = {
        "resourceType": "Composition",
        "status": "preliminary",
        "type": {"text": "a note"},
        "date": "2026-11-23",
        "author": [{"display": "nobody"}],
        "title": "Draft",
    }
    draft = server.http.post("/Composition", json=composition).json()["id"]
    for place in (draft, "nowhere"):
        answer = server.http.get(f"/Composition/{place}/{operation}")
        assert answer.status_code == 404
        assert answer.json()["resourceType"] == "OperationOutcome"
    assert server.http.get(f"/Composition/{draft}/{operation}?x=1").status_code == 400


def test_a_hospitals_records_read_the_message_as_the_document_it_was(
    server: Served, notes: list[dict[str, str]]
) -> None:
    note = notes[0]
    answer = server.http.get(f"/{note['Composition']}/$mdm")
    assert answer.headers["content-type"] == "application/hl7-v2"
    headers = {"Content-Type": "application/hl7-v2"}
    sender = {"resourceType": "Organization", "identifier": [{"system": ODS, "value": "CSOR"}]}
    assert server.http.post("/Organization", json={**sender, "name": "CSOR"}).status_code == 201
    converted = server.http.post("/$convert", content=answer.content, headers=headers)
    assert converted.status_code == 200, converted.text
    assert "MSA|AA|" in converted.text
    assert "|0000000^Testname^^^^^^^GMC|" in answer.text
    parameters = converted.json()["parameter"]
    bundle = next(
        each["resource"]
        for each in parts(parameters)
        if "resource" in each and each["resource"]["resourceType"] == "Bundle"
    )
    found = [entry["resource"] for entry in bundle["entry"]]
    [document] = [each for each in found if each["resourceType"] == "DocumentReference"]
    attached = [content["attachment"] for content in document["content"]]
    assert [each["contentType"] for each in attached] == [
        "application/pdf",
        "text/plain; charset=utf-8",
    ]
    printed = server.http.get(f"/{note['Composition']}/$pdf").content
    assert b64decode(attached[0]["data"]) == printed
    assert "Operative findings: First finding" in b64decode(attached[1]["data"]).decode()
    assert (document["status"], document["docStatus"]) == ("current", "final")


def parts(parameters: list[Resource]) -> Iterator[Resource]:
    for each in parameters:
        yield each
        yield from parts(each.get("part", []))
