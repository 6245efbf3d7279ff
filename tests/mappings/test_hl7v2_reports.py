"""OBR and SPM to DiagnosticReport and Specimen: identity, status, times, documents, notes."""

from base64 import b64decode

import pytest

from mappings.hl7v2.functions.content import LARGEST
from tests.mappings.messages import SEGMENTS, entries, mapped, one, refused

MSH = SEGMENTS["MSH"].replace("ADT^A01^ADT_A01", "ORU^R01")


def results(*lines: str) -> dict:
    return mapped(MSH=MSH, EVN="", PV1="", REST="\r".join(lines))


def report(*lines: str) -> dict:
    return one(results(*lines), "DiagnosticReport")


def refusal(*lines: str) -> tuple[str | None, str | None]:
    return refused(MSH=MSH, EVN="", PV1="", REST="\r".join(lines))[1]


def obr(**fields: str) -> str:
    """An OBR of these fields by number (`_7`), with number and service unless they are others."""
    given = {1: "1", 3: "F1", 4: "fbc^Full blood count^L"}
    given |= {int(name[1:]): text for name, text in fields.items()}
    return "|".join(["OBR", *(given.get(number, "") for number in range(1, max(given) + 1))])


def test_a_report_refers_to_each_of_its_results_and_no_others():
    bundle = results(
        obr(), "OBX|1|NM|a^^L||1", "OBX|2|NM|b^^L||2", obr(_3="F2"), "OBX|1|NM|a^^L||3"
    )
    found = {
        e["resource"]["identifier"][0]["value"]: e["resource"]
        for e in entries(bundle, "DiagnosticReport")
    }
    values = {e["fullUrl"]: e["resource"]["valueInteger"] for e in entries(bundle, "Observation")}
    assert {
        key: [values[reference["reference"]] for reference in one["result"]]
        for key, one in found.items()
    } == {"F1.fbc": [1, 2], "F2.fbc": [3]}


def test_a_report_is_known_by_order_and_service_as_a_laboratory_numbers_several_alike():
    bundle = results(obr(), obr(_4="crp^CRP^L"), obr())
    found = [e["resource"]["identifier"][0]["value"] for e in entries(bundle, "DiagnosticReport")]
    assert found == ["F1.fbc", "F1.crp", "F1.fbc.2"]


def test_a_report_has_the_numbers_of_its_order_with_their_givers():
    found = report("ORC|RE|P1^EPR|F1^^1.2.3^ISO", obr(_2="P9"))
    _, placer, filler = found["identifier"]
    assert (placer["system"][-16:], placer["value"]) == ("placer-order.EPR", "P1")
    assert (filler["system"], filler["value"]) == ("urn:oid:1.2.3", "F1")
    codes = [number["type"]["coding"][0]["code"] for number in (placer, filler)]
    assert codes == ["PLAC", "FILL"]
    assert found["basedOn"] == [{"type": "ServiceRequest", "identifier": placer}]


def test_an_order_that_does_not_say_what_was_asked_makes_no_report():
    bundle = results("OBR|1||F1", "NTE|1||note", "OBX|1|NM|a^^L||1")
    assert entries(bundle, "DiagnosticReport") == []
    assert one(bundle, "Observation")["identifier"][0]["value"] == "F1.a"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        *(("F", "final"), ("C", "corrected"), ("P", "preliminary"), ("A", "partial")),
        *(("R", "partial"), ("O", "registered"), ("M", "preliminary"), ("X", "cancelled")),
        ("", "unknown"),
    ],
)
def test_the_status_of_a_report_follows_table_0123(code, status):
    assert report(obr(_25=code))["status"] == status


def test_a_status_that_says_nothing_of_a_report_is_refused():
    assert refusal(obr(_25="Y")) == ("103", "OBR^1^25")


def test_times_are_a_moment_or_a_period():
    moment = report(obr(_7="202505060800", _22="202505061000"))
    assert moment["effectiveDateTime"] == "2025-05-06T08:00:00+01:00"
    assert moment["issued"] == "2025-05-06T10:00:00+01:00"
    period = report(obr(_7="202505060800", _8="202505060830", _22="20250506"))
    assert [period["effectivePeriod"][end][11:16] for end in ("start", "end")] == ["08:00", "08:30"]
    assert "issued" not in period
    assert refusal(obr(_7="202505060800", _8="202505060700")) == ("102", "OBR^1^8")


def test_notes_after_an_order_are_the_conclusion_and_those_after_a_result_its_own():
    bundle = results(obr(), "NTE|1||one~two", "NTE|2||three", "OBX|1|NM|a^^L||1", "NTE|1||four")
    assert one(bundle, "DiagnosticReport")["conclusion"] == "one\ntwo\nthree"
    assert one(bundle, "Observation")["note"] == [{"text": "four"}]


@pytest.mark.parametrize(
    ("value", "content_type", "data"),
    [
        ("ED|x^Letter^L||LAB^application^pdf^Base64^JVBERg==", "application/pdf", b"%PDF"),
        ("ED|x^Letter^L||^^PDF^Base64^JVBERg==", "application/pdf", b"%PDF"),
        ("ED|x^Letter^L||^PDF^^^JVBERg==", "application/pdf", b"%PDF"),
        ("ED|x^Letter^L||^TEXT^^A^plain words", "text/plain", b"plain words"),
        ("ED|x^Letter^L||^image^PNG^Hex^89504E47", "image/png", b"\x89PNG"),
        ("ED|x^Letter^L||^^strange^Base64^AAAA", "application/octet-stream", b"\0\0\0"),
    ],
)
def test_a_document_is_a_form_of_its_report_and_no_observation(value, content_type, data):
    bundle = results(obr(), f"OBX|1|{value}||||||F", "NTE|1||on the document")
    assert entries(bundle, "Observation") == []
    (form,) = one(bundle, "DiagnosticReport")["presentedForm"]
    assert (form["contentType"], b64decode(form["data"])) == (content_type, data)
    assert (form["title"], form["size"]) == ("Letter", len(data))


def test_a_document_elsewhere_is_named_by_its_address():
    (form,) = report(obr(), "OBX|1|RP|x||https://pacs.example/7^PACS^image^jpeg")["presentedForm"]
    assert form == {"contentType": "image/jpeg", "url": "https://pacs.example/7"}


def test_a_document_that_is_withdrawn_is_not_in_its_report():
    found = report(obr(), "OBX|1|ED|x||^^PDF^Base64^AAAA||||||W", "OBX|2|NM|a^^L||1")
    assert "presentedForm" not in found
    assert len(found["result"]) == 1


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ((obr(), "OBX|1|ED|x||^^PDF^Base64^AA*A"), "OBX^1^5"),
        ((obr(), "OBX|1|ED|x||^^PDF^Hex^8G"), "OBX^1^5"),
        ((obr(), "OBX|1|ED|x||^^PDF^uuencode^AAAA"), "OBX^1^5"),
        ((obr(), "OBX|1|RP|x||two words^^x^y"), "OBX^1^5"),
        ((obr(), "OBX|1|RP|x||letters/7.pdf^^x^y"), "OBX^1^5"),
        (("OBX|1|ED|x||^^PDF^Base64^AAAA",), "OBX^1^2"),
    ],
)
def test_a_document_that_cannot_be_read_is_refused(lines, place):
    assert refusal(*lines) == ("102", place)


def test_a_document_without_content_or_with_too_much_is_refused():
    assert refusal(obr(), "OBX|1|ED|x||^^PDF^Base64") == ("101", "OBX^1^5")
    large = "a" * (LARGEST + 1)
    assert refusal(obr(), f"OBX|1|ED|x||^^TEXT^A^{large}") == ("104", "OBX^1^5")


def test_the_specimen_of_an_order_is_that_of_its_results():
    bundle = results(
        obr(
            _7="20250506", _9="2^mL", _14="202505061000", _15="BLD&Blood&SCT^^taken late^ARM&Arm&L"
        ),
        "OBX|1|NM|a^^L||1",
    )
    (entry,) = entries(bundle, "Specimen")
    specimen = entry["resource"]
    assert specimen["identifier"][0]["value"] == "F1"
    assert specimen["type"]["coding"][0] == {
        "system": "http://snomed.info/sct", "code": "BLD", "display": "Blood",
    }  # fmt: skip
    assert specimen["collection"]["bodySite"]["text"] == "Arm"
    assert specimen["collection"]["quantity"]["unit"] == "mL"
    assert specimen["note"] == [{"text": "taken late"}]
    for kind in ("DiagnosticReport", "Observation"):
        found = one(bundle, kind)["specimen"]
        assert (found[0] if kind == "DiagnosticReport" else found)["reference"] == entry["fullUrl"]


def test_spm_is_the_specimen_where_there_is_one_and_what_follows_it_is_a_result_too():
    bundle = results(
        obr(_15="BLD&Blood"),
        "SPM|1|P7&EPR^F7||BLD^Blood^L|||||||||||||202505060800",
        "OBX|1|NM|a^^L||1",
        "SPM|2|||SER^Serum^L",
    )
    found = [e["resource"] for e in entries(bundle, "Specimen")]
    numbers = [[number["value"] for number in each["identifier"]] for each in found]
    assert numbers == [["P7", "F7"], ["F1.2"]]
    request = entries(bundle, "Specimen")[0]["request"]["url"]
    assert [number in request for number in ("|P7", "|F7")] == [True, True]
    report = one(bundle, "DiagnosticReport")
    assert [len(report[name]) for name in ("specimen", "result")] == [2, 1]


def test_a_reader_with_a_gmc_number_becomes_a_practitioner_others_a_name():
    bundle = results(obr(_32="C9999991&Testreader&Ann&&&Dr&&&GMC"))
    assert one(bundle, "Practitioner")["name"][0]["family"] == "Testreader"
    found = report(obr(_32="R1&Testreader&Ann"))["resultsInterpreter"]
    assert [reference["display"] for reference in found] == ["Ann Testreader"]
