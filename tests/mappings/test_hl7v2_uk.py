"""Structures and habits of UK senders: what differs from HL7's own grammar comes to the same."""

import pytest

from mappings.hl7v2 import parse, to_bundle
from tests.mappings.messages import CONTEXT, SEGMENTS, entries, mapped, one

PV1 = SEGMENTS["PV1"] + "|202505071200"
DISCHARGE = SEGMENTS["MSH"].replace("A01^ADT_A01", "A03^ADT_A03")
CODED = {"DG1": "DG1|1||Q43.1^x^I10", "PR1": "PR1|1||H41.1^x^OPCS4||20250507"}


@pytest.mark.parametrize("structure", ["^ADT_A02", "^ADT_A01", ""])
def test_a_discharge_is_the_same_in_whichever_structure(structure):
    written = DISCHARGE.replace("^ADT_A03", structure)
    assert mapped(MSH=written, PV1=PV1, **CODED) == mapped(MSH=DISCHARGE, PV1=PV1, **CODED)
    assert entries(mapped(MSH=written, PV1=PV1, **CODED), "Procedure")


XML = """<?xml version="1.0" encoding="UTF-8"?>
<ADT_A03 xmlns="urn:hl7-org:v2xml">
<MSH><MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2><MSH.3><HD.1>EPR</HD.1></MSH.3><MSH.4><HD.1>RTH</HD.1></MSH.4>
<MSH.7><TS.1>202505071300</TS.1></MSH.7><MSH.9><MSG.1>ADT</MSG.1><MSG.2>A03</MSG.2></MSH.9>
<MSH.10>M1</MSH.10><MSH.12><VID.1>2.4</VID.1></MSH.12></MSH>
<PID><PID.3><CX.1>12345</CX.1></PID.3></PID>
<PV1><PV1.2>I</PV1.2><PV1.19><CX.1>V1</CX.1></PV1.19></PV1>{procedures}</ADT_A03>"""
PROCEDURE = "<PR1><PR1.3><CE.1>{}</CE.1><CE.3>OPCS4</CE.3></PR1.3></PR1>"


def test_procedures_give_the_same_tree_with_their_group_and_without():
    listed = [PROCEDURE.format(code) for code in ("H41.1", "Y75.2")]
    grouped = "".join(f"<ADT_A03.PROCEDURE>{one}</ADT_A03.PROCEDURE>" for one in listed)
    bundles = [
        to_bundle(parse(XML.format(procedures=text).encode()), CONTEXT)
        for text in ("".join(listed), grouped)
    ]
    assert bundles[0] == bundles[1]
    assert len(entries(bundles[0], "Procedure")) == 2


@pytest.mark.parametrize("number", range(1, 9))
def test_segments_of_hl7_uk_are_passed_over_wherever_they_stand(number):
    plain = mapped(PV1=PV1, **CODED)
    for after in ("EVN", "PID", "PV1", "DG1", "PR1"):
        segments = {**SEGMENTS, "PV1": PV1, **CODED}
        segments[after] += f"\rZU{number}|1|any^thing~at all"
        assert mapped(**segments) == plain


@pytest.mark.parametrize(
    ("code", "method", "destination"),
    [
        ("1", "1", None),
        ("4", "4", None),
        ("19", None, "19"),
        ("79", None, "79"),
        ("X1", "X1", None),
    ],
)
def test_what_pv1_36_holds_is_told_by_its_code(code, method, destination):
    fields = PV1.split("|") + [""] * 10
    fields[36] = code
    encounter = one(mapped(MSH=DISCHARGE, PV1="|".join(fields).rstrip("|")), "Encounter")
    assert shown(encounter.get("extension", [{}])[0].get("valueCodeableConcept")) == method
    found = encounter["hospitalization"].get("dischargeDisposition")
    assert shown(found) == destination


def shown(concept):
    return concept and (concept["coding"][0]["code"] if "coding" in concept else concept["text"])


def test_where_pv1_37_holds_the_destination_pv1_36_does_not_replace_it():
    fields = PV1.split("|") + [""] * 10
    fields[36], fields[37] = "51", "19"
    encounter = one(mapped(MSH=DISCHARGE, PV1="|".join(fields).rstrip("|")), "Encounter")
    assert shown(encounter["hospitalization"]["dischargeDisposition"]) == "19"


def test_the_account_number_stands_for_an_absent_visit_number_and_for_no_other():
    pid = SEGMENTS["PID"] + "|" * 10 + "A77^^^RTH^AN"
    unnumbered = SEGMENTS["PV1"].replace("|V1|", "||")
    assert one(mapped(PID=pid, PV1=unnumbered), "Encounter")["identifier"][0]["value"] == "A77"
    assert one(mapped(PID=pid), "Encounter")["identifier"][0]["value"] == "V1"
    person = SEGMENTS["MSH"].replace("A01^ADT_A01", "A31")
    of_child = mapped(MSH=person, PID=pid, PV1="", DG1=CODED["DG1"])
    assert one(of_child, "Condition")["identifier"][0]["value"] == "9990000018.Q43.1"


def test_every_diagnosis_is_the_visits_and_each_once():
    listed = "DG1|1||Q43.1^x^I10\rDG1|2||Q42.0^x^I10\rDG1|3||Q431^x^I10"
    bundle = mapped(DG1=listed)
    conditions = [entry["fullUrl"] for entry in entries(bundle, "Condition")]
    told = [each["condition"]["reference"] for each in one(bundle, "Encounter")["diagnosis"]]
    assert (len(told), told) == (2, conditions)


def test_of_two_who_swap_beds_both_visits_need_a_number():
    other = "PID|2||9990000026^^^NHS||Testchild^Cas||20250429|2"
    swap = {"MSH": SEGMENTS["MSH"].replace("A01^ADT_A01", "A17"), "PD1": f"{other}\rPV1|2|I|B1"}
    lines = [*SEGMENTS.values(), swap["PD1"]]
    text = "\r".join(lines).replace(SEGMENTS["MSH"], swap["MSH"])
    with pytest.raises(Exception, match="PV1-19") as refusal:
        to_bundle(parse(text.encode()), CONTEXT)
    assert [issue.expression for issue in refusal.value.issues] == ["PV1^2^19"]
