"""What HL7 v2 messages are taken: type, version, sender, order of segments."""

import pytest

from mappings.hl7v2 import MappingContext, ack_code, parse, to_bundle
from tests.mappings.messages import CONTEXT, SEGMENTS, TERMINOLOGY, mapped, one, refused


def test_the_same_message_gives_the_same_bundle_and_another_other_urns():
    assert mapped() == mapped()
    other = mapped(MSH=SEGMENTS["MSH"].replace("|M1|", "|M2|"))
    assert other["entry"][1]["fullUrl"] != mapped()["entry"][1]["fullUrl"]
    assert other["entry"][1]["resource"] == mapped()["entry"][1]["resource"]


def test_one_provenance_names_message_sender_and_all_targets():
    bundle = mapped(EVN="EVN|A01|202505060930||||202505060900")
    provenance = one(bundle, "Provenance")
    assert provenance["recorded"] == "2025-05-06T09:30:00+01:00"
    assert provenance["occurredDateTime"] == "2025-05-06T09:00:00+01:00"
    assert provenance["entity"][0]["what"]["identifier"]["value"] == "RTH:M1"
    assert provenance["agent"][0]["who"]["reference"].endswith("ods-organization-code|RTH")
    others = [e["fullUrl"] for e in bundle["entry"] if e["resource"] is not provenance]
    assert [target["reference"] for target in provenance["target"]] == others


def test_a_message_without_time_needs_the_time_of_receipt():
    msh = SEGMENTS["MSH"].replace("202505060930", "")
    assert refused(MSH=msh)[1] == ("101", "MSH^1^7")
    lines = "\r".join([msh, *list(SEGMENTS.values())[1:]]).encode()
    bundle = to_bundle(parse(lines), MappingContext(TERMINOLOGY, "2026-11-22T09:00:00Z"))
    assert one(bundle, "Provenance")["recorded"] == "2026-11-22T09:00:00Z"


@pytest.mark.parametrize(
    ("old", "new", "rule", "place"),
    [
        ("ADT^A01^ADT_A01", "RDE^O11", "200", "MSH^1^9^1^1"),
        ("ADT^A01^ADT_A01", "ADT^A99", "201", "MSH^1^9^1^2"),
        ("|2.4", "|2.9", "203", "MSH^1^12"),
        ("|2.4", "|", "203", "MSH^1^12"),
    ],
)
def test_an_unsupported_message_is_rejected(old, new, rule, place):
    error, found = refused(MSH=SEGMENTS["MSH"].replace(old, new))
    assert (error.status, found) == (400, (rule, place))
    assert ack_code(error.issues) == "AR"


@pytest.mark.parametrize(
    ("old", "new", "rule", "place"),
    [
        ("|RTH|", "||", "101", "MSH^1^4"),
        ("|RTH|", "|R/H|", "102", "MSH^1^4"),
        ("|M1|", "||", "101", "MSH^1^10"),
        ("|202505060930|", "|yesterday|", "102", "MSH^1^7"),
    ],
)
def test_a_header_must_say_who_when_and_which(old, new, rule, place):
    error, found = refused(MSH=SEGMENTS["MSH"].replace(old, new))
    assert (error.status, found) == (422, (rule, place))
    assert ack_code(error.issues) == "AE"


def test_msh_9_3_decides_nothing():
    assert mapped(MSH=SEGMENTS["MSH"].replace("^ADT_A01", "^ADT_A45")) == mapped()


def test_a_message_of_too_many_segments_is_rejected_before_it_is_mapped():
    lines = "\r".join([*SEGMENTS.values(), *["ZU1|x"] * (5000 - len(SEGMENTS))])
    assert to_bundle(parse(lines.encode()), CONTEXT) == mapped()
    error, found = refused(ZU1="\r".join(["DG1|1"] * 5000))
    assert (error.status, found) == (400, ("100", "MSH^1"))
    assert [issue.code for issue in error.issues] == ["too-long"]
    assert "5004 segments" in error.issues[0].diagnostics
    assert ack_code(error.issues) == "AR"


def test_unknown_segments_and_z_segments_are_tolerated():
    assert mapped(ZU1="ZU1|a|b", ACC="ACC|202505060900", IN1="IN1|1") == mapped()


def test_segments_out_of_order_find_their_place():
    dg1, zu1 = "DG1|1||Q43.1^Hirschsprung^I10", "ZU1|x"
    late = mapped(DG1=dg1, ZU1=zu1)
    order = ("MSH", "DG1", "PV1", "EVN", "PID")
    lines = [(SEGMENTS | {"DG1": dg1})[name] for name in order]
    assert to_bundle(parse("\r".join(lines).encode()), CONTEXT) == late


def test_a_second_patient_is_refused():
    assert refused(ZU1="ZU1|x\r" + SEGMENTS["PID"])[1] == ("100", "PID^2")


def test_all_errors_are_reported_at_once():
    pid = "PID|1||9990000019^^^NHS||Testchild||31122025|Q"
    error, _ = refused(PID=pid)
    assert [issue.expression for issue in error.issues] == ["PID^1^3", "PID^1^7", "PID^1^8"]


def test_translations_of_codes_are_remembered_and_those_of_free_text_are_not():
    context = MappingContext(TERMINOLOGY)
    url = "https://csor.example/fhir/ConceptMap/v2-media-type"
    for code in ("a" * 64, "a" * 65):
        assert list(context.translate(url, "", code)) == []
    assert [len(code) for _, _, code in context.known] == [64]
