"""CDA operative notes and their Bundles: golden pairs, refusals, narrative, damaged documents."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from mappings.cda import read, to_bundle
from mappings.cda.document import DEEPEST
from mappings.cda.narrative import xhtml
from mappings.cda.tables import sections
from profiles import validate
from r4.issue import FhirError
from r4.json import decode
from r4.reference import walk
from terminology import Terminology

EXAMPLES = sorted((Path(__file__).parents[2] / "mappings/cda/examples").glob("*.xml"))
TERMINOLOGY = Terminology.load()
NOW = "2026-03-09T15:00:00.000Z"
CODED, NARRATIVE = (
    next(path for path in EXAMPLES if path.stem == name).read_bytes()
    for name in ("RTH-pull-through", "G513H-narrative-alone")
)
V3 = "{urn:hl7-org:v3}"


def mapped(raw: bytes) -> dict[str, Any]:
    return to_bundle(read(raw), NOW)


def of(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    listed = [entry["resource"] for entry in bundle["entry"]]
    return [each for each in listed if each["resourceType"] == kind]


def refused(raw: bytes) -> tuple[int, str | None, str]:
    with pytest.raises(FhirError) as refusal:
        mapped(raw)
    first = refusal.value.issues[0]
    return refusal.value.status, first.expression, first.diagnostics


def without(raw: bytes, place: str) -> bytes:
    root = etree.fromstring(raw)
    found = root.find("/".join(V3 + name for name in place.split("/")))
    found.getparent().remove(found)
    return etree.tostring(root)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_gives_its_bundle_which_is_valid(path):
    bundle = mapped(path.read_bytes())
    assert bundle == decode(path.with_suffix(".bundle.json").read_bytes())
    assert [issue for issue in validate(bundle, TERMINOLOGY) if issue.is_error] == []
    urns = {entry["fullUrl"] for entry in bundle["entry"]}
    assert len(urns) == len(bundle["entry"])
    for reference in walk(bundle):
        assert reference["reference"] in urns or reference["reference"].startswith("Organization?")


@pytest.mark.parametrize("raw", [CODED, NARRATIVE])
def test_the_original_is_kept_byte_for_byte_with_its_hash_and_size(raw):
    bundle = mapped(raw)
    attachment = bundle["entry"][0]["resource"]["content"][0]["attachment"]
    assert base64.b64decode(attachment["data"]) == raw
    assert attachment["size"] == len(raw)
    assert base64.b64decode(attachment["hash"]) == hashlib.sha1(raw, usedforsecurity=False).digest()


def test_each_service_event_is_a_procedure_and_each_section_with_text_is_kept():
    bundle = mapped(NARRATIVE)
    codes = [each["code"]["coding"][0]["code"] for each in of(bundle, "Procedure")]
    assert codes == ["99991", "99992", "99991"]
    assert len({each["identifier"][0]["value"] for each in of(bundle, "Procedure")}) == 3
    (composition,) = of(bundle, "Composition")
    assert len(composition["section"]) == 32
    assert composition["status"] == "preliminary"
    assert "attester" not in composition
    assert not of(bundle, "Condition") + of(bundle, "Observation") + of(bundle, "Encounter")


def test_the_child_is_known_by_national_then_hospital_number_and_by_no_other():
    (child,) = of(mapped(CODED), "Patient")
    assert [each["value"] for each in child["identifier"]] == ["9990000018", "70018"]
    (child,) = of(mapped(NARRATIVE), "Patient")
    assert [each["value"] for each in child["identifier"]] == ["9990000107"]
    other = CODED.replace(b'assigningAuthorityName="RTH"', b'assigningAuthorityName="RHM"')
    (child,) = of(mapped(other), "Patient")
    assert [each["value"] for each in child["identifier"]] == ["9990000018"]
    nameless = CODED.replace(b"999 000 0018", b"").replace(b'Name="RTH"', b'Name=""')
    assert refused(nameless)[:2] == (422, "ClinicalDocument.recordTarget.patientRole.id")


def test_coded_entries_become_what_the_table_says():
    bundle = mapped(CODED)
    (condition,), (loss,) = of(bundle, "Condition"), of(bundle, "Observation")
    assert condition["code"]["coding"] == [
        {"system": "http://hl7.org/fhir/sid/icd-10", "code": "Q43.1"}
    ]
    assert (loss["valueQuantity"]["value"], loss["valueQuantity"]["code"]) == (20, "mL")
    assert {row["Becomes"] for row in sections().values()} == {"Condition", "Observation", ""}
    assert all(row["Becomes"] or row["Comments"] for row in sections().values())
    assert not of(mapped(CODED.replace(b"10218-6", b"59768-2")), "Condition")
    denied = CODED.replace(b'<observation classCode="OBS"', b'<observation negationInd="true"')
    assert not of(mapped(denied), "Condition") + of(mapped(denied), "Observation")


@pytest.mark.parametrize(
    ("place", "expression"),
    [
        ("id", "id"),
        ("effectiveTime", "effectiveTime"),
        ("recordTarget", "recordTarget"),
        ("custodian", "custodian"),
        ("documentationOf", "documentationOf.serviceEvent"),
        ("component", "component"),
        ("code", "code"),
    ],
)
def test_what_a_note_must_have_is_asked_for_by_its_place(place, expression):
    status, found, _ = refused(without(CODED, place))
    assert (status, found) == (422, f"ClinicalDocument.{expression}")


@pytest.mark.parametrize(
    ("raw", "status", "words"),
    [
        (b"", 400, "not well-formed"),
        (CODED[:-20], 400, "not well-formed"),
        (b'<Bundle xmlns="http://hl7.org/fhir"/>', 400, "no CDA document"),
        (CODED.replace(b"<Clin", b'<!DOCTYPE x SYSTEM "file:///x"><Clin', 1), 400, "document type"),
        (CODED.decode().encode("utf-16"), 400, "not well-formed"),
        (CODED.replace(b"11504-8", b"18842-5"), 422, "no operative note"),
        (CODED.replace(b"999 000 0018", b"9990000019"), 422, "check digit"),
        (CODED.replace(b'extension="RTH"', b'extension="?"'), 422, "ODS code"),
        (
            CODED.replace(b"<text>20 mL</text>", b"<component><section>" * 9
            + b"<text>x</text>" + b"</section></component>" * 9), 422, f"{DEEPEST} deep",
        ),
        (b"<a>" * 300 + b"</a>" * 300, 400, "not well-formed"),
    ],
)  # fmt: skip
def test_what_is_no_operative_note_is_refused_with_the_reason(raw, status, words):
    found, _, diagnostics = refused(raw)
    assert found == status
    assert words in diagnostics


def test_the_narrative_keeps_text_and_layout_and_nothing_that_acts():
    (composition,) = of(mapped(CODED), "Composition")
    div = composition["section"][1]["text"]["div"]
    assert "<ol><li>Supine.</li><li>Biopsy &amp; <b>frozen section</b>.</li></ol>" in div
    assert '<caption>Levels</caption><tbody><tr><td colspan="2">' in div
    assert "<span>a link</span>[picture: see the original document]" in div
    assert "script" not in div
    hostile = etree.fromstring(
        '<text xmlns="urn:hl7-org:v3"><script onload="x()">a</script><paragraph style="x">'
        "<!-- c -->&lt;b&gt;<?pi x?></paragraph></text>"
    )
    assert xhtml(hostile) == (
        '<div xmlns="http://www.w3.org/1999/xhtml"><span>a</span><p>&lt;b&gt;</p></div>'
    )
    assert xhtml(etree.fromstring('<text xmlns="urn:hl7-org:v3"> <br/></text>')) is None


def test_a_narrative_may_be_as_deep_as_the_parser_lets_it():
    deep = CODED.replace(b"20 mL", b"<content>" * 245 + b"20 mL" + b"</content>" * 245)
    (composition,) = of(mapped(deep), "Composition")
    assert composition["section"][2]["text"]["div"].count("<span>") == 245


WORDS = st.sampled_from(
    ["", " ", "x", "2.999", "2.16.840.1.113883.6.1", "11504-8", "RTH", "é|,$\\"]
)
VALUES = WORDS | st.sampled_from(
    ["20260230", "2026", "-1", "1e9", "NaN", "PQ", "CD", "PT24H", "UNK"]
)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_note_is_a_valid_bundle_or_a_refusal(data):
    root = etree.fromstring(data.draw(st.sampled_from([CODED, NARRATIVE])))
    for _ in range(data.draw(st.integers(1, 4))):
        nodes = [node for node in root.iter("*") if node is not root]
        node = data.draw(st.sampled_from(nodes))
        deed = data.draw(st.sampled_from(["remove", "attribute", "text", "double"]))
        if deed == "remove":
            node.getparent().remove(node)
        elif deed == "attribute" and node.attrib:
            node.set(data.draw(st.sampled_from(sorted(node.attrib))), data.draw(VALUES))
        elif deed == "text":
            node.text = data.draw(VALUES)
        else:
            node.getparent().append(etree.fromstring(etree.tostring(node, with_tail=False)))
    _holds_up(etree.tostring(root, encoding="utf-8"))


@given(st.integers(0, len(CODED)), st.binary(max_size=4), st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_bytes_that_were_changed_are_a_valid_bundle_or_a_refusal(place, put, dropped):
    _holds_up(CODED[:place] + put + CODED[place + dropped :])


def _holds_up(raw: bytes) -> None:
    try:
        bundle = mapped(raw)
    except FhirError as found:
        refusal = found
    else:
        assert [issue for issue in validate(bundle, TERMINOLOGY) if issue.is_error] == []
        return
    assert refusal.status in (400, 422)
    assert refusal.issues[0].diagnostics
