"""The print of a signed note: everything that was signed, nothing else, the same bytes each time."""

import io
from copy import deepcopy
from typing import Any

import pypdf
import pytest

from questionnaires.narrative_blocks import blocks
from questionnaires.pdf import pdf, printed
from r4.issue import FhirError
from r4.json import Resource, decode, encode
from tests.questionnaires.support import EXAMPLES, NOTE


def signed(case: str = "soave-laparoscopic") -> Resource:
    """Return the document of a signed example, a copy that a test may change."""
    bundle = decode((EXAMPLES / NOTE / f"{case}.bundle.json").read_bytes())
    found: Resource = next(
        entry["resource"]
        for entry in bundle["entry"]
        if entry["resource"].get("type") == "document"
    )
    return deepcopy(found)


def read(document: Resource) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(pdf(document, encode(document))))


def letters(text: str) -> str:
    """Return a text without blanks and hyphens, which depend on where its lines are broken."""
    return "".join(each for each in text if not each.isspace() and each not in "-\u2010\u00ad")


def shown(reader: pypdf.PdfReader) -> str:
    return letters("".join(page.extract_text() for page in reader.pages))


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, each in value.items() if key != "kind" for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("case", ["soave-laparoscopic", "duhamel-open-complication"])
def test_every_text_of_every_section_is_on_paper(case: str) -> None:
    document = signed(case)
    on_paper = shown(read(document))
    said = texts(printed(document))
    assert len(said) > 150
    assert [text for text in said if letters(text) not in on_paper] == []


def test_every_answer_of_the_response_is_among_the_texts() -> None:
    document = signed()
    on_paper = shown(read(document))
    response = document["entry"][1]["resource"]
    assert response["resourceType"] == "QuestionnaireResponse"
    given: list[str] = []

    def collect(items: list[Resource]) -> None:
        for item in items:
            for answer in item.get("answer", ()):
                given.extend(texts(answer.get("valueString", [])))
                given.extend(texts(answer.get("valueCoding", {}).get("display", [])))
            collect(item.get("item", []))

    collect(response["item"])
    assert len(given) > 30
    assert [text for text in given if letters(text) not in on_paper] == []


def test_the_signed_document_is_attached_byte_for_byte() -> None:
    raw = b'{"resourceType": "Bundle" , "bytes":"as stored \xc5\xb4"}'
    reader = pypdf.PdfReader(io.BytesIO(pdf(signed(), raw)))
    assert {name: held[0] for name, held in reader.attachments.items()} == {"document.json": raw}


def test_the_same_document_is_the_same_bytes() -> None:
    document = signed()
    assert pdf(document, encode(document)) == pdf(document, encode(document))


def test_it_is_tagged_titled_in_english_and_says_which_page_of_how_many() -> None:
    reader = read(signed())
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en-GB"
    assert reader.metadata is not None
    assert reader.metadata.title == "Operative note: pull-through for Hirschsprung's disease"
    assert reader.metadata.author == "Demo Surgeon"
    number = len(reader.pages)
    for page, sheet in enumerate(reader.pages, 1):
        assert f"Page {page} of {number}" in sheet.extract_text()
        assert "NHS number 9990000018" in sheet.extract_text()


def test_what_was_answered_is_never_markup_and_letters_of_wales_and_beyond_are_drawn() -> None:
    answer = "Ŵyn ŷ Őszi Łukasz Đặng #panic() $x$ *b* \\u{41} @ref // no <comment> [x]"
    document = decode(encode(signed()).replace(b"Demo Assistant", encode(answer)[1:-1]))
    section = document["entry"][0]["resource"]["section"][1]["text"]
    section["div"] = section["div"].replace("Őszi", "Őszi").replace("<comment>", "&lt;comment&gt;")
    assert letters(answer) in shown(read(document))


def test_a_letter_that_the_font_has_not_is_named_and_not_left_out() -> None:
    document = decode(encode(signed()).replace(b"Demo Assistant", "Dr 漢".encode()))
    with pytest.raises(FhirError, match="漢") as refused:
        pdf(document, b"{}")
    assert refused.value.status == 422


def test_who_signed_and_when_and_whether_a_digital_signature_can_be_verified() -> None:
    document = signed()
    composition = document["entry"][0]["resource"]
    composition["attester"][0]["time"] = "2026-11-23T00:30:00+01:00"
    document.pop("signature", None)
    assert printed(document)["signature"][0] == "Signed by Demo Surgeon on 22 Nov 2026, 23:30 UTC."
    assert "JWS" not in shown(read(document))
    document["signature"] = {"sigFormat": "application/jose", "data": "eA=="}
    assert letters("It carries a digital signature") in shown(read(document))


def test_the_child_is_named_at_the_head_and_at_the_foot_as_the_document_names_them() -> None:
    document = signed()
    child = next(
        e["resource"] for e in document["entry"] if e["resource"]["resourceType"] == "Patient"
    )
    child |= {"name": [{"given": ["Ann", "B"], "family": "Ŵyn"}], "birthDate": "2026-03-01"}
    head = dict(printed(document)["head"])
    assert head["Child"] == ["Ann B Ŵyn"]
    assert head["Date of birth"] == ["1 Mar 2026"]
    assert head["NHS number"] == ["9990000018"]
    assert printed(document)["foot"].startswith(
        "Ann B Ŵyn · NHS number 9990000018 · Operative note"
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("appends", ["Addendum to an earlier note"]),
        ("replaces", ["Correction, in place of an earlier note"]),
        (None, None),
    ],
)
def test_what_adds_to_or_replaces_an_earlier_note_says_so_first(
    code: str | None, said: list[str] | None
) -> None:
    document = signed()
    if code is not None:
        related = {"code": code, "targetReference": {"reference": "Composition/1"}}
        document["entry"][0]["resource"]["relatesTo"] = [related]
    assert dict(printed(document)["head"]).get("Kind") == said


def test_what_nobody_attested_is_not_printed() -> None:
    document = signed()
    del document["entry"][0]["resource"]["attester"]
    for refused in (document, {"resourceType": "Bundle", "type": "document"}):
        with pytest.raises(FhirError, match="sign the note first"):
            pdf(refused, b"{}")


def test_the_narrative_of_an_addendum_is_printed_as_paragraphs() -> None:
    div = (
        '<div xmlns="http://www.w3.org/1999/xhtml">First<p>one<br/>two</p><p> </p>'
        "<h4>Head</h4><ul><li>a</li><li>b</li></ul><!-- not this -->last</div>"
    )
    assert blocks({"div": div}) == [
        {"kind": "text", "lines": ["First"]},
        {"kind": "text", "lines": ["one", "two"]},
        {"kind": "heading", "text": "Head"},
        {"kind": "text", "lines": ["a"]},
        {"kind": "text", "lines": ["b"]},
        {"kind": "text", "lines": ["last"]},
    ]


def test_a_narrative_that_is_not_well_formed_or_declares_a_document_type_is_refused() -> None:
    with pytest.raises(FhirError, match="not well-formed"):
        blocks({"div": "<div><p></div>"})
    outside = '<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/hostname">]><div><p>a&e;b</p></div>'
    with pytest.raises(FhirError, match="document type"):
        blocks({"div": outside})
    assert blocks(None) == blocks({"div": ""}) == []
