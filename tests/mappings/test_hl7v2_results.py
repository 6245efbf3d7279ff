"""OBR and OBX to Observation: values by type, identity, times."""

import pytest

from r4.issue import FhirError
from r4.json import decode
from tests.mappings.messages import SEGMENTS, entries, mapped, one


def result(obx: str, obr: str = "OBR|1||F1^LAB|c^Panel^L|||202505060800") -> dict:
    msh = SEGMENTS["MSH"].replace("ADT^A01^ADT_A01", "ORU^R01")
    return one(mapped(MSH=msh, EVN="", PV1="", OBR=obr, OBX=obx), "Observation")


@pytest.mark.parametrize(
    ("obx", "element", "value"),
    [
        (
            "NM|x||5.10|g^^UCUM",
            "valueQuantity",
            '{"value":5.10,"unit":"g","system":"http://unitsofmeasure.org","code":"g"}',
        ),
        (
            "NM|x||2840|g",
            "valueQuantity",
            '{"value":2840,"unit":"g","system":"http://unitsofmeasure.org","code":"g"}',
        ),
        ("NM|x||7|furlongs", "valueQuantity", '{"value":7,"unit":"furlongs"}'),
        (
            "NM|x||<15|mL",
            "valueQuantity",
            '{"value":15,"comparator":"<","unit":"mL","system":"http://unitsofmeasure.org","code":"mL"}',
        ),
        ("NM|x||14", "valueInteger", "14"),
        ("NM|x||14.0", "valueQuantity", '{"value":14.0}'),
        ("SN|x||>=^5", "valueQuantity", '{"value":5,"comparator":">="}'),
        ("SN|x||^1^:^128", "valueRatio", '{"numerator":{"value":1},"denominator":{"value":128}}'),
        ("SN|x||^10^-^20", "valueRange", '{"low":{"value":10},"high":{"value":20}}'),
        ("SN|x||^2^+", "valueString", '"2+"'),
        (
            "CE|x||grade-1^Grade 1^CSOR",
            "valueCodeableConcept",
            '{"coding":[{"system":"https://csor.example/fhir/CodeSystem/outcome-grade",'
            '"code":"grade-1","display":"Grade 1"}],"text":"Grade 1"}',
        ),
        ("CE|x||Y^Yes^HL70136", "valueBoolean", "true"),
        ("ID|x||N", "valueBoolean", "false"),
        ("ID|x||AB", "valueString", '"AB"'),
        ("ST|x||some text", "valueString", '"some text"'),
        ("TX|x||one~two", "valueString", '"one\\ntwo"'),
        ("|x||untyped", "valueString", '"untyped"'),
        ("DT|x||20250506", "valueDateTime", '"2025-05-06"'),
        ("TS|x||202505061200", "valueDateTime", '"2025-05-06T12:00:00+01:00"'),
        ("TM|x||0930", "valueTime", '"09:30:00"'),
        ("NR|x||10^20", "valueRange", '{"low":{"value":10},"high":{"value":20}}'),
        ("DR|x||20250506^20250507", "valuePeriod", '{"start":"2025-05-06","end":"2025-05-07"}'),
    ],
)
def test_values_by_type(obx, element, value):
    observation = result(f"OBX|1|{obx}")
    assert observation[element] == decode(value)
    assert [key for key in observation if key.startswith("value")] == [element]


@pytest.mark.parametrize(
    ("obx", "place"),
    [
        ("NM|x||five", "OBX^1^5"),
        ("DT|x||soon", "OBX^1^5"),
        ("TM|x||noon", "OBX^1^5"),
        ("XCN|x||^Doe^Ann", "OBX^1^2"),
        ("NM|x||5~six", "OBX^1^5^2"),
        ("NM|||5~6", "OBX^1^3"),
        ("NM|x||5||||||?", "OBX^1^11"),
        ("NM|||5", "OBX^1^3"),
    ],
)
def test_values_that_cannot_be_read_are_refused(obx, place):
    with pytest.raises(FhirError) as error:
        result(f"OBX|1|{obx}")
    assert [issue.expression for issue in error.value.issues] == [place]


def test_a_value_that_repeats_has_a_component_for_each():
    observation = result("OBX|1|NM|x^X^L||5~~7.5|mm")
    assert [key for key in observation if key.startswith("value")] == []
    assert [part["code"]["text"] for part in observation["component"]] == ["X", "X"]
    values = [part["valueQuantity"] for part in observation["component"]]
    assert [str(value["value"]) for value in values] == ["5", "7.5"]
    assert {value["code"] for value in values} == {"mm"}


@pytest.mark.parametrize(
    ("value", "status", "expected"),
    [
        ("5", "D", "entered-in-error"),
        ('""', "D", "entered-in-error"),
        ("5", "W", "entered-in-error"),
        ("", "X", "cancelled"),
        ("", "N", "cancelled"),
        ("5", "V", "final"),
        ("5", "B", "amended"),
    ],
)
def test_the_status_of_a_result_follows_table_0085(value, status, expected):
    observation = result(f"OBX|1|NM|x^^L||{value}|mm|||||{status}")
    assert observation["status"] == expected
    assert ("valueQuantity" in observation) == (value == "5")
    assert ("dataAbsentReason" in observation) == (status == "N")


def test_a_result_without_a_status_has_that_of_its_report():
    statuses = {
        code: result("OBX|1|NM|x^^L||5", f"OBR|1||F1|c^^L|{'|' * 20}{code}")["status"]
        for code in ("F", "A", "S", "")
    }
    assert statuses == {"F": "final", "A": "preliminary", "S": "registered", "": "unknown"}


def test_every_note_on_a_result_is_kept():
    observation = result("OBX|1|NM|x^^L||5\rNTE|1||one~two\rNTE|2||three")
    assert [note["text"] for note in observation["note"]] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("obx", "obr", "value"),
    [
        ("OBX|1|NM|x^^L||1", "OBR|1|P1|F1^LAB", "F1.x"),
        ("OBX|1|NM|x^^L|2|1", "OBR|1|P1", "P1.x.2"),
        ("OBX|1|NM|x^^L||1", "", "M1.9990000018.x"),
    ],
)
def test_an_observation_is_known_by_order_code_and_sub_id(obx, obr, value):
    assert result(obx, obr)["identifier"][0]["value"] == value


def test_a_correction_hits_the_same_resource():
    first, second = (result(f"OBX|1|NM|x^^L||{v}||||||{s}") for v, s in (("1", "F"), ("2", "C")))
    assert first["identifier"] == second["identifier"]
    assert (first["status"], second["status"]) == ("final", "corrected")


def test_results_of_two_orders_keep_their_own_times():
    msh = SEGMENTS["MSH"].replace("ADT^A01^ADT_A01", "ORU^R01")
    bundle = mapped(
        MSH=msh,
        EVN="",
        PV1="",
        A="OBR|1||F1||||202505060800",
        B="OBX|1|NM|x^^L||1\rOBX|2|NM|x^^L||2|||||||||202505060830",
        C="OBR|2||F2||||202505070800\rOBX|1|NM|x^^L||3",
    )
    observations = [e["resource"] for e in entries(bundle, "Observation")]
    found = [(o["identifier"][0]["value"], o["effectiveDateTime"][8:16]) for o in observations]
    assert found == [("F1.x", "06T08:00"), ("F1.x.2", "06T08:30"), ("F2.x", "07T08:00")]


def test_a_result_opens_a_visit_only_if_it_is_unknown():
    msh = SEGMENTS["MSH"].replace("ADT^A01^ADT_A01", "ORU^R01")
    (visit,) = entries(mapped(MSH=msh, EVN="", OBX="OBX|1|NM|x^^L||1"), "Encounter")
    assert visit["request"]["method"] == "POST"
    assert visit["request"]["ifNoneExist"].endswith("/visit|V1")
