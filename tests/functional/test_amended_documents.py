"""What is handed out of a note that was added to or corrected: each signature has its own document."""

import io
from collections.abc import Iterator
from typing import Any

import httpx
import pypdf
import pytest

from mappings.hl7v2 import parse
from r4.json import Resource
from tests.questionnaires.support import answered
from tests.support import notes
from tests.support.server import Served, served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("amended")) as running:
        notes.registered(running)
        yield running


@pytest.fixture(scope="module")
def signed(server: Served) -> dict[str, Resource]:
    """The Compositions of a note, of its addendum and of its correction."""
    answer = notes.sign(server, notes.stored(server, notes.draft(server)))
    [note] = notes.of(server, answer, "QuestionnaireResponse")

    def composition(of: httpx.Response) -> Resource:
        [found] = notes.of(server, of, "Composition")
        return found

    def asked(operation: str, **given: Any) -> httpx.Response:
        signer = notes.gmc(notes.SURGEON)
        return notes.asked(server, note, operation, signer=signer, **given)

    addendum = asked("$addend", text="He went home.\nHe fed well.")
    right = answered(note, "findings", {"valueString": "Corrected finding"})
    correction = asked("$correct", response=right, reason="Misread.")
    found = {"note": answer, "addendum": addendum, "correction": correction}
    return {name: composition(of) for name, of in found.items()}


def text(server: Served, composition: Resource) -> str:
    answer = server.http.get(f"/Composition/{composition['id']}/$pdf")
    assert answer.status_code == 200, answer.text
    reader = pypdf.PdfReader(io.BytesIO(answer.content))
    return "\n".join(page.extract_text() for page in reader.pages)


def document(server: Served, composition: Resource) -> Resource:
    found: Resource = server.http.get(f"/Composition/{composition['id']}/$document").json()
    return found


def test_each_has_the_document_that_its_own_signature_made(
    server: Served, signed: dict[str, Resource]
) -> None:
    documents = {name: document(server, each) for name, each in signed.items()}
    assert len({each["id"] for each in documents.values()}) == 3
    for name, each in documents.items():
        assert each["entry"][0]["resource"]["date"] == signed[name]["date"]
        assert "signature" in each


def test_the_print_says_what_it_is_to_the_note_before(
    server: Served, signed: dict[str, Resource]
) -> None:
    note, addendum, correction = (text(server, signed[name]) for name in signed)
    assert "earlier note" not in note
    assert "Addendum to an earlier note" in addendum
    assert "He went home.\nHe fed well." in addendum
    assert "Correction, in place of an earlier note" in correction
    assert ("Corrected finding" in correction, "Corrected finding" in note) == (True, False)
    assert all("Child Fictitious Testchild-Plover" in each for each in (note, addendum, correction))


def test_the_message_of_an_addendum_or_a_correction_names_the_document_before(
    server: Served, signed: dict[str, Resource]
) -> None:
    numbers = [document(server, each)["identifier"]["value"].removeprefix("urn:uuid:")
               for each in signed.values()]  # fmt: skip
    found = []
    for each in signed.values():
        message = parse(server.http.get(f"/Composition/{each['id']}/$mdm").content)
        txa = message.segments("TXA")[0]
        event = message.segments("EVN")[0].value(1)
        found.append((event, txa.field(12).component(1), txa.field(13).component(1)))
    first, second, third = numbers
    assert found == [("T02", first, ""), ("T06", second, first), ("T10", third, first)]
