"""XML from strangers: nothing is fetched, expanded or remembered, and what is too deep is refused."""

import threading

import pytest

from r4 import xml
from r4.issue import FhirError
from r4.xml import parse
from r4.xml.reader import MOST_ISSUES

FHIR = "http://hl7.org/fhir"
PATIENT = f'<Patient xmlns="{FHIR}"><active value="true"/></Patient>'


def refused(text: bytes | str) -> list[str]:
    with pytest.raises(FhirError) as caught:
        xml.decode(text if isinstance(text, bytes) else text.encode())
    assert caught.value.status == 400
    return [issue.diagnostics for issue in caught.value.issues]


def laughs() -> str:
    layers = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "lol"}">' for n in range(10))
    return f'<!DOCTYPE Patient [{layers}]><Patient xmlns="{FHIR}"><id value="&l9;"/></Patient>'


@pytest.mark.parametrize(
    "text",
    [
        laughs(),
        f"<!DOCTYPE Patient>{PATIENT}",
        f'<!DOCTYPE Patient SYSTEM "http://localhost:1/a.dtd">{PATIENT}',
        f'<?xml version="1.0"?>\n<!-- a -->\n<!DOCTYPE Patient [<!ENTITY % a SYSTEM "a"> %a;]>{PATIENT}',
        f'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><Patient xmlns="{FHIR}">'
        '<id value="&b;"/></Patient>',
    ],
    ids=["laughs", "bare", "external", "parameter entity", "external entity"],
)  # fmt: skip
def test_a_document_type_is_refused_unread(text):
    (said,) = refused(text)
    assert "document type" in said


def test_an_entity_that_nobody_declared_is_refused():
    refused(PATIENT.replace("true", "&nbsp;"))


def test_inclusion_is_an_unknown_element():
    include = '<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="/etc/passwd"/>'
    (said,) = refused(f'<Patient xmlns="{FHIR}">{include}</Patient>')
    assert (
        said
        == "Line 1: <include> is not known here in the namespace http://www.w3.org/2001/XInclude."
    )


@pytest.mark.parametrize("levels", [201, 300, 100_000])
def test_what_is_too_deep_is_refused(levels):
    inside = "<item>" * levels + '<linkId value="1"/>' + "</item>" * levels
    (said,) = refused(f'<Questionnaire xmlns="{FHIR}">{inside}</Questionnaire>')
    assert "deep" in said or "depth" in said


def test_what_is_deep_is_read_and_written():
    inside = "<item>" * 199 + '<linkId value="1"/>' + "</item>" * 199
    form = xml.decode(f'<Questionnaire xmlns="{FHIR}">{inside}</Questionnaire>'.encode())
    assert xml.decode(xml.encode(form)) == form
    for _ in range(1000):
        form = {"resourceType": "Questionnaire", "item": [{"item": form["item"]}]}
    with pytest.raises(FhirError):
        xml.encode(form)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"   ",
        b"{}",
        PATIENT.encode() + b"<a/>",
        PATIENT.encode()[:-1],
        PATIENT.replace('="true"', "").encode(),
        PATIENT.replace('"true"', "true").encode(),
        PATIENT.replace('value="true"', 'value="true" value="true"').encode(),
        PATIENT.replace("active", "a:active").encode(),
        PATIENT.replace("true", "\x00").encode(),
        PATIENT.replace("true", "&#1;").encode(),
        PATIENT.replace("true", "<").encode(),
        PATIENT.encode().replace(b"true", b"\xff\xfe"),
        PATIENT.encode().replace(b"true", b"\xed\xa0\x80"),
        PATIENT.encode("utf-16"),
        PATIENT.encode("utf-32"),
        b'<?xml version="1.0" encoding="ISO-8859-1"?>' + PATIENT.encode(),
        b'<?xml version="1.0" encoding="UTF-7"?>' + PATIENT.encode(),
    ],
)
def test_what_is_not_well_formed_utf_8_is_refused_with_its_line(text):
    (said,) = refused(text)
    assert said.startswith("Line 1: ")


def test_a_byte_order_mark_and_the_usual_declarations_are_read():
    for before in (b"\xef\xbb\xbf", b"<?xml version='1.0' encoding='utf-8'?>\n", b"\n"):
        assert xml.decode(before + PATIENT.encode()) == {"resourceType": "Patient", "active": True}


def test_findings_end_somewhere():
    said = refused(f'<Patient xmlns="{FHIR}">{"<foo/>" * 10_000}</Patient>')
    assert len(said) == MOST_ISSUES


def test_many_threads_may_read_at_once(monkeypatch):
    monkeypatch.setattr(parse, "BUDGET", 10 * len(PATIENT))
    read = []

    def reads() -> None:
        read.extend(xml.decode(PATIENT.encode())["active"] for _ in range(50))

    threads = [threading.Thread(target=reads) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == [True] * 400


@pytest.mark.slow
def test_names_that_clients_make_up_are_not_kept_for_ever():
    # libxml2 refuses to read on once a thread has met some 350 MB of names.
    for document in range(125):
        names = "".join(f"<n{document}.{n}{'x' * 1000}/>" for n in range(3000))
        said = refused(f'<Patient xmlns="{FHIR}">{names}</Patient>')
        assert "is not known here" in said[0]
