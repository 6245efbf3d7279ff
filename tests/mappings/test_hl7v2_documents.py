"""TXA and OBX to DocumentReference: number, state, relations, and the content by its type."""

import base64
import hashlib

import pytest

from mappings.hl7v2.functions.content import LARGEST
from tests.mappings.messages import SEGMENTS, entries, mapped, one, refused

PDF = b"%PDF-1.4 a short one"
SURGEON = "C9999991^Testsurgeon^Sam^^^Mr^^^GMC"
REGISTRAR = "C9999992^Testregistrar^Kim^^^Dr^^^GMC"
GMC = "https://fhir.hl7.org.uk/Id/gmc-number"
LOCAL = "https://csor.example/fhir/sid/RTH/document"
WITHOUT_CONTENT = ("T01", "T03", "T05", "T07", "T09", "T11")


def txa(**fields: str) -> str:
    """A document header; a field is named by its number (`f17`)."""
    cells = {"f1": "1", "f2": "OP", "f12": "DOC-1"} | fields
    last = max(int(name[1:]) for name in cells)
    return "TXA|" + "|".join(cells.get(f"f{number}", "") for number in range(1, last + 1))


def segments(event: str, header: str, *obx: str) -> dict[str, str]:
    msh = SEGMENTS["MSH"].replace("ADT^A01^ADT_A01", f"MDM^{event}")
    content = "\r".join(f"OBX|{number}|{text}" for number, text in enumerate(obx, 1))
    return {"MSH": msh, "TXA": header, "OBX": content}


def documents(event: str, header: str, *obx: str) -> list[dict]:
    bundle = mapped(**segments(event, header, *obx))
    return [entry["resource"] for entry in entries(bundle, "DocumentReference")]


def document(event: str = "T02", header: str = "", *obx: str) -> dict:
    default = () if event in WITHOUT_CONTENT else ("TX|OP||a note",)
    return documents(event, header or txa(), *(obx or default))[0]


def attachment(*obx: str) -> dict:
    (part,) = document("T02", "", *obx)["content"]
    return part["attachment"]


def test_a_document_is_known_by_its_number_within_its_namespace():
    assert document()["masterIdentifier"] == {"system": LOCAL, "value": "DOC-1"}
    own, other = (document(header=txa(f12=f"DOC-1^{name}")) for name in ("RTH", "EPR"))
    assert own["masterIdentifier"]["system"] == LOCAL
    assert other["masterIdentifier"]["system"] == f"{LOCAL}.EPR"
    universal = document(header=txa(f12="DOC-1^EPR^2.16.840.1.113883.99^ISO"))
    assert universal["masterIdentifier"] == {
        "system": "urn:oid:2.16.840.1.113883.99",
        "value": "DOC-1",
    }
    assert refused(**segments("T02", txa(f12=""), "TX|OP||a"))[1] == ("101", "TXA^1^12")


def test_it_is_about_child_and_visit_and_kept_by_the_hospital():
    bundle = mapped(**segments("T02", txa(), "TX|OP||a note"))
    (entry,) = entries(bundle, "DocumentReference")
    found = entry["resource"]
    assert found["subject"]["reference"] == entries(bundle, "Patient")[0]["fullUrl"]
    assert found["context"]["encounter"] == [
        {"reference": entries(bundle, "Encounter")[0]["fullUrl"]}
    ]
    assert found["custodian"]["reference"].endswith("|RTH")
    assert entry["request"]["url"] == f"DocumentReference?identifier={LOCAL}|DOC-1"
    assert {"reference": entry["fullUrl"]} in one(bundle, "Provenance")["target"]


def test_it_does_not_open_or_change_a_visit_that_is_known():
    bundle = mapped(**segments("T02", txa(), "TX|OP||a note"))
    (visit,) = entries(bundle, "Encounter")
    assert (visit["request"]["method"], "ifNoneExist" in visit["request"]) == ("POST", True)
    bare = mapped(**segments("T02", txa(), "TX|OP||a note"), PV1="")
    assert entries(bare, "Encounter") == []
    assert "encounter" not in one(bare, "DocumentReference").get("context", {})


def test_who_wrote_it_and_who_authenticated_it():
    bundle = mapped(**segments("T02", txa(f9=REGISTRAR, f10=SURGEON, f17="LA"), "TX|OP||a"))
    found = one(bundle, "DocumentReference")
    urls = {
        entry["resource"]["identifier"][0]["value"]: entry["fullUrl"]
        for entry in entries(bundle, "Practitioner")
    }
    assert found["author"] == [{"reference": urls["9999992"]}]
    assert found["authenticator"] == {"reference": urls["9999991"]}


def test_who_is_to_authenticate_it_has_not_yet():
    assert "authenticator" not in document(header=txa(f10=SURGEON, f17="DO"))
    # PPN: component 15 is when
    signed = document(header=txa(f10=SURGEON, f17="LA", f22=REGISTRAR + "^^^^^^20250509090000"))
    other = document(header=txa(f22="^Testlocum^Lee"))
    assert signed["authenticator"]["reference"].startswith("urn:uuid:")
    assert other["authenticator"] == {"display": "Lee Testlocum"}


@pytest.mark.parametrize(
    ("sent", "codes", "text"),
    [
        ("OP", ["v2-0270 OP", "loinc.org 11504-8"], None),
        ("OP^Operative report^HL70270", ["v2-0270 OP", "loinc.org 11504-8"], "Operative report"),
        ("DS", ["v2-0270 DS"], None),
        ("XX^Theatre sheet", [" XX"], "Theatre sheet"),
        ("18842-5^Discharge summary^LN", ["loinc.org 18842-5"], "Discharge summary"),
        ("T9^Theatre sheet^LOCAL", ["codes.LOCAL T9"], "Theatre sheet"),
    ],
)
def test_types(sent, codes, text):
    found = document(header=txa(f2=sent))["type"]
    shown = [f"{c.get('system', '').rpartition('/')[2]} {c['code']}" for c in found["coding"]]
    assert (shown, found.get("text")) == (codes, text)


@pytest.mark.parametrize(
    ("event", "fields", "status", "stage"),
    [
        ("T02", {}, "current", None),
        ("T02", {"f17": "DI"}, "current", "preliminary"),
        ("T03", {"f17": "AU", "f19": "AV"}, "current", "final"),
        ("T03", {"f17": "IP", "f19": "UN"}, "current", "preliminary"),
        ("T03", {"f17": "LA", "f19": "OB"}, "superseded", "final"),
        ("T03", {"f19": "CA"}, "entered-in-error", None),
        ("T11", {"f17": "IN", "f19": "AV"}, "entered-in-error", "entered-in-error"),
    ],
)
def test_how_far_it_has_come(event, fields, status, stage):
    found = document(event, txa(**fields))
    assert (found["status"], found.get("docStatus")) == (status, stage)


@pytest.mark.parametrize("field", [17, 19])
def test_a_state_that_hl7_does_not_have_is_refused(field):
    header = txa(**{f"f{field}": "ZZ"})
    assert refused(**segments("T02", header, "TX|OP||a"))[1] == ("103", f"TXA^1^{field}")


def test_times():
    found = document(header=txa(f4="202505081330", f6="202505081445"))
    assert found["date"] == found["content"][0]["attachment"]["creation"]
    assert found["date"] == "2025-05-08T14:45:00+01:00"
    assert found["context"]["period"] == {"start": "2025-05-08T13:30:00+01:00"}
    day = document(header=txa(f6="20250508"))
    assert "date" not in day
    assert day["content"][0]["attachment"]["creation"] == "2025-05-08"


def test_confidentiality_and_title():
    found = document(header=txa(f18="R", f25="Operation note"))
    assert found["securityLabel"][0]["coding"][0]["code"] == "R"
    assert found["description"] == "Operation note"
    titles = [
        document(header=txa(**given))["content"][0]["attachment"].get("title")
        for given in ({"f25": "A", "f16": "b.txt"}, {"f16": "b.txt"}, {})
    ]
    assert titles == ["A", "b.txt", None]
    assert attachment("TX|OP^Theatre note^L||a")["title"] == "Theatre note"


@pytest.mark.parametrize(
    ("event", "code", "status"),
    [
        *(("T05", "appends", "current"), ("T06", "appends", "current")),
        *(("T09", "replaces", "superseded"), ("T10", "replaces", "superseded")),
    ],
)
def test_an_addendum_and_a_replacement_refer_to_their_parent(event, code, status):
    content = () if event in WITHOUT_CONTENT else ("TX|OP||more",)
    bundle = mapped(**segments(event, txa(f12="DOC-2", f13="DOC-1"), *content))
    child, parent = entries(bundle, "DocumentReference")
    assert child["resource"]["relatesTo"] == [
        {"code": code, "target": {"reference": parent["fullUrl"]}}
    ]
    assert parent["resource"]["masterIdentifier"]["value"] == "DOC-1"
    assert parent["resource"]["status"] == status
    assert parent["resource"]["subject"] == child["resource"]["subject"]
    assert "extension" in parent["resource"]["content"][0]["attachment"]
    assert refused(**segments(event, txa(), *content))[1] == ("101", "TXA^1^13")


@pytest.mark.parametrize("event", ["T02", "T03", "T08", "T11"])
def test_other_events_have_no_parent(event):
    content = () if event in WITHOUT_CONTENT else ("TX|OP||more",)
    (found,) = documents(event, txa(f12="DOC-2", f13="DOC-1"), *content)
    assert "relatesTo" not in found


def test_a_document_that_names_itself_as_its_parent_is_an_edit():
    (found,) = documents("T10", txa(f12="DOC-1", f13="DOC-1"), "TX|OP||more")
    assert (found["status"], "relatesTo" in found) == ("current", False)


@pytest.mark.parametrize("event", WITHOUT_CONTENT)
def test_a_notification_says_that_the_content_is_unknown(event):
    found = documents(event, txa(f12="DOC-2", f13="DOC-1"))[0]
    (part,) = found["content"]
    assert part["attachment"]["extension"][0]["valueCode"] == "unknown"
    assert "data" not in part["attachment"]


def test_lines_of_text_are_one_text_in_their_order():
    found = attachment(
        "TX|OP||one~~two",
        "FT|OP||three\\.br\\four \\T\\ five",
        "ST|OP||six",
        "|OP||sieben \u00fc",
    )
    text = "one\n\ntwo\nthree\nfour & five\nsix\nsieben \u00fc".encode()
    assert base64.b64decode(found["data"]) == text
    assert found["size"] == len(text)
    assert base64.b64decode(found["hash"]) == hashlib.sha1(text, usedforsecurity=False).digest()
    assert found["contentType"] == "text/plain; charset=utf-8"


def test_text_and_a_pdf_are_two_parts():
    data = base64.b64encode(PDF).decode()
    found = document("T02", "", "TX|OP||a note", f"ED|OP||EPR^AP^PDF^Base64^{data}", "TX|OP||b")
    first, second = (part["attachment"] for part in found["content"])
    assert base64.b64decode(first["data"]) == b"a note\nb"
    assert base64.b64decode(second["data"]) == PDF
    assert (second["contentType"], second["size"]) == ("application/pdf", len(PDF))


@pytest.mark.parametrize(
    ("value", "media_type", "data"),
    [
        ("^AP^PDF^Base64^JVBERi0=", "application/pdf", b"%PDF-"),
        ("^AP^pdf^BASE64^JVBE\\.br\\Ri0=", "application/pdf", b"%PDF-"),
        ("^application^pdf^Hex^25504446", "application/pdf", b"%PDF"),
        ("^AP^PDF^^JVBERi0=", "application/pdf", b"%PDF-"),
        ("^^application/pdf^Base64^JVBERi0=", "application/pdf", b"%PDF-"),
        ("^TEXT^HTML^A^<p>a \\T\\ b</p>", "text/html", b"<p>a & b</p>"),
        ("^IM^JPEG^Hex^FFD8", "image/jpeg", b"\xff\xd8"),
        ("^image^webp^Hex^52", "image/webp", b"R"),
        ("^text^xml^A^<ClinicalDocument/>", "text/xml", b"<ClinicalDocument/>"),
        ("^TEXT^^A^words", "text/plain", b"words"),
        ("^NS^WHATEVER^A^words", "application/octet-stream", b"words"),
    ],
)
def test_embedded_parts(value, media_type, data):
    found = attachment(f"ED|OP||{value}")
    assert (found["contentType"], base64.b64decode(found["data"])) == (media_type, data)


def test_every_repetition_is_a_part():
    found = document("T02", "", "ED|OP||^AP^PDF^Hex^25~^AP^PDF^Hex^26")
    assert [part["attachment"]["data"] for part in found["content"]] == ["JQ==", "Jg=="]


def test_a_part_that_lies_elsewhere_is_its_url():
    found = attachment("RP|OP||https://pacs.rth.example/1^PACS^IM^JPEG")
    assert found == {"contentType": "image/jpeg", "url": "https://pacs.rth.example/1"}


@pytest.mark.parametrize(
    ("obx", "rule", "place"),
    [
        ("ED|OP||^AP^PDF^Base64^JVBE*i0=", "102", "OBX^1^5"),
        ("ED|OP||^AP^PDF^Base64^JVBERi0", "102", "OBX^1^5"),
        ("ED|OP||^AP^PDF^Base64^\u00e9", "102", "OBX^1^5"),
        ("ED|OP||^AP^PDF^Hex^2G", "102", "OBX^1^5"),
        ("ED|OP||^AP^PDF^^no PDF", "102", "OBX^1^5"),
        ("ED|OP||^AP^PDF^Base64^", "101", "OBX^1^5"),
        ("ED|OP||^AP^PDF^Hex^25~^AP^PDF^Hex^2", "102", "OBX^1^5^2"),
        ("ED|OP||", "101", "OBX^1^5"),
        ("RP|OP||\\\\server\\share\\note.pdf", "102", "OBX^1^5"),
        ("RP|OP||", "101", "OBX^1^5"),
        ("TX|OP||", "101", "OBX^1^5"),
        ('TX|OP||""', "101", "OBX^1^5"),
        ("NM|OP||5", "102", "OBX^1^2"),
    ],
)
def test_content_that_cannot_be_kept_is_refused_with_its_place(obx, rule, place):
    problem, first = refused(**segments("T02", txa(), obx))
    assert (problem.status, *first) == (422, rule, place)


def test_a_text_that_is_too_large_is_refused_with_its_size():
    assert attachment("TX|OP||" + "a" * 1000)["size"] == 1000
    problem, first = refused(**segments("T02", txa(), "TX|OP||" + "a" * (LARGEST + 1)))
    assert first == ("104", "OBX^1^5")
    assert str(LARGEST + 1) in problem.issues[0].diagnostics


def test_content_without_any_is_refused():
    assert refused(**segments("T02", txa()))[1] == ("101", "OBX^1")
