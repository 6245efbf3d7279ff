"""HL7 v2 messages to transaction Bundles: golden pairs, identities, refusals."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.hl7v2 import MappingContext, ack_code, parse, to_bundle
from profiles import validate
from r4.issue import FhirError
from r4.json import decode
from r4.reference import walk
from terminology import Terminology

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "mappings/hl7v2/examples").glob("*.hl7"))
WHISTLE = ROOT.parent / "shared/data/hl7v2/whistle"
TERMINOLOGY = Terminology.load()
CONTEXT = MappingContext(TERMINOLOGY)

SEGMENTS = {
    "MSH": "MSH|^~\\&|EPR|RTH|CSOR|CSOR|202505060930||ADT^A01^ADT_A01|M1|P|2.4",
    "EVN": "EVN|A01|202505060930",
    "PID": "PID|1||9990000018^^^NHS~12345^^^RTH^MR||Testchild^Ann||20250430|2",
    "PV1": "PV1|1|I|NEO^B1^C3|28|||||||||||||||V1|||||||||||||||||||||||||202505060915",
}


def mapped(**changed: str) -> dict:
    """Map an admission in which single segments are changed, added, or (empty) left out."""
    lines = [line for line in (SEGMENTS | changed).values() if line]
    return to_bundle(parse("\r".join(lines).encode()), CONTEXT)


def refused(**changed: str) -> tuple[FhirError, tuple[str | None, str | None]]:
    with pytest.raises(FhirError) as error:
        mapped(**changed)
    first = error.value.issues[0]
    return error.value, (first.rule, first.expression)


def entries(bundle: dict, resource_type: str) -> list[dict]:
    return [e for e in bundle["entry"] if e["resource"]["resourceType"] == resource_type]


def one(bundle: dict, resource_type: str) -> dict:
    (entry,) = entries(bundle, resource_type)
    return entry["resource"]


def deletions(entry: dict) -> list[str]:
    found = entry["request"]["extension"]
    return [e["valueString"] for e in found if e["url"].endswith("/merge-delete")]


# Golden pairs


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_gives_its_bundle(path):
    bundle = to_bundle(parse(path.read_bytes()), CONTEXT)
    assert bundle == decode(path.with_suffix(".bundle.json").read_bytes())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_bundle_is_valid(path):
    bundle = to_bundle(parse(path.read_bytes()), CONTEXT)
    assert [issue for issue in validate(bundle, TERMINOLOGY) if issue.is_error] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_request_has_one_of_the_three_shapes_and_each_urn_an_entry(path):
    bundle = to_bundle(parse(path.read_bytes()), CONTEXT)
    urns = {entry["fullUrl"] for entry in bundle["entry"]}
    assert len(urns) == len(bundle["entry"])
    for entry in bundle["entry"]:
        request, kind = entry["request"], entry["resource"]["resourceType"]
        if request["method"] == "PUT":
            assert request["url"].startswith(f"{kind}?identifier=")
        else:
            assert request["url"] == kind
            assert request.get("ifNoneExist", "identifier=").startswith("identifier=")
    for reference in walk(bundle):
        target = reference["reference"]
        assert target in urns or target.startswith("Organization?identifier=")


def test_the_examples_show_every_supported_event_and_nine_hospitals():
    headers = [parse(path.read_bytes()).header for path in EXAMPLES]
    assert {header.trigger_event for header in headers} == {
        *("A01", "A03", "A04", "A05", "A08", "A28", "A31", "A40", "R01")
    }
    hospitals = {header.sending_facility for header in headers}
    assert hospitals == {"RTH", "RHM", "RGT", "RQM", "RQ3", "RJ1", "RBS", "R0A", "G513H"}


# The message


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
        ("|2.4", "|2.1", "203", "MSH^1^12"),
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


def test_unknown_segments_and_z_segments_are_tolerated():
    assert mapped(ZU1="ZU1|a|b", NK1="NK1|1|Testparent^Pat", IN1="IN1|1") == mapped()


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


# The patient


@pytest.mark.parametrize(
    "cx",
    [
        "9990000018^^^NHS",
        "9990000018^^^NH",
        "9990000018^^^NHS^NH",
        "9990000018^^^NHSNBR^NHSNMBR",
        "9990000018^^^^NI",
        "9990000018^06^^^NI",
        "999 000 0018^^^NHS",
        "999-000-0018^^^NHS",
    ],
)
def test_an_nhs_number_is_known_in_all_its_clothes(cx):
    patient = entries(mapped(PID=f"PID|1||12345^^^RTH^MR~{cx}"), "Patient")[0]
    assert patient["request"]["url"] == (
        "Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|9990000018"
    )


def test_a_wrong_check_digit_is_refused_where_the_number_is_typed():
    error, found = refused(PID="PID|1||12345^^^RTH^MR~9990000019^^^NHS")
    assert found == ("103", "PID^1^3^2")
    assert "Invalid NHS number" in error.issues[0].diagnostics
    assert refused(PID="PID|1||9990000019^^^CHI")[1] == ("103", "PID^1^3")


def test_an_untyped_number_of_ten_digits_is_a_hospital_number():
    for number in ("9990000018", "9990000019"):
        patient = one(mapped(PID=f"PID|1||{number}"), "Patient")
        assert patient["identifier"][0]["system"] == "https://csor.example/fhir/sid/RTH/mrn"


def test_pid_2_holds_the_nhs_number_only_where_the_site_file_says_so():
    pid = "PID|1|9990000018|12345"
    systems = [i["system"] for i in one(mapped(PID=pid), "Patient")["identifier"]]
    assert systems == ["https://csor.example/fhir/sid/RTH/mrn"] * 2
    rgt = one(mapped(PID=pid, MSH=SEGMENTS["MSH"].replace("RTH", "RGT")), "Patient")
    assert [i["system"] for i in rgt["identifier"]] == [
        "https://fhir.nhs.uk/Id/nhs-number",
        "https://csor.example/fhir/sid/RGT/mrn",
    ]
    bad = "PID|1|9990000019|12345"
    assert refused(PID=bad, MSH=SEGMENTS["MSH"].replace("RTH", "RGT"))[1] == ("103", "PID^1^2")


@pytest.mark.parametrize(
    ("cx", "system"),
    [
        ("7^^^RTH^MR", "RTH/mrn"),
        ("7^^^RTH", "RTH/mrn"),
        ("7", "RTH/mrn"),
        ("7^^^R0A^MR", "R0A/mrn"),
        ("7^^^EPI^MR", "RTH/mrn.EPI"),
        ("7^^^RTH^AN", "RTH/account"),
        ("7^^^RTH^PPN", "RTH/ppn"),
    ],
)
def test_a_local_number_belongs_to_its_giver(cx, system):
    patient = one(mapped(PID=f"PID|1||{cx}~9990000018^^^NHS"), "Patient")
    assert patient["identifier"][1]["system"] == f"https://csor.example/fhir/sid/{system}"


def test_the_senders_own_number_names_the_child_before_anothers():
    bundle = mapped(PID="PID|1||633^^^R0A^MR~12345^^^RTH^MR")
    assert entries(bundle, "Patient")[0]["request"]["url"].endswith("/RTH/mrn|12345")


@pytest.mark.parametrize("pid", ["PID|1", "PID|1||^^^NHS", 'PID|1||""', "PID|1||99^^^RTH^AN"])
def test_a_patient_without_usable_identifier_is_refused(pid):
    assert refused(PID=pid)[1] == ("101", "PID^1^3")


def test_a_missing_pid_is_refused():
    assert refused(PID="")[1] == ("101", "PID^1")


@pytest.mark.parametrize(("pid_32", "code"), [("NSTS01", "01"), ("08", "08")])
def test_the_trace_status_stands_on_the_nhs_number(pid_32, code):
    pid = SEGMENTS["PID"] + "|" * 24 + pid_32
    number, local = one(mapped(PID=pid), "Patient")["identifier"]
    assert number["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] == code
    assert "extension" not in local


@pytest.mark.parametrize(
    ("sex", "gender"),
    [
        ("1", "male"),
        ("2", "female"),
        ("9", "other"),
        ("X", "unknown"),
        ("M", "male"),
        ("F", "female"),
    ],
)
def test_sex_as_letters_or_as_nhs_codes(sex, gender):
    assert one(mapped(PID=f"PID|1||1|||||{sex}"), "Patient")["gender"] == gender


def test_an_unknown_sex_code_is_refused():
    assert refused(PID="PID|1||1|||||Q")[1] == ("103", "PID^1^8")


@pytest.mark.parametrize(
    ("born", "date"),
    [("20180121", "2018-01-21"), ("20180121+^D", "2018-01-21"), ("201801211530", "2018-01-21")],
)
def test_birth_dates(born, date):
    assert one(mapped(PID=f"PID|1||1||||{born}"), "Patient")["birthDate"] == date


def test_an_unreadable_birth_date_is_refused():
    assert refused(PID="PID|1||1||||21/01/2018")[1] == ("102", "PID^1^7")


def test_two_quotes_delete_and_an_empty_field_changes_nothing():
    (entry,) = entries(mapped(PID='PID|1||1||""||""|1|||||""|'), "Patient")
    assert deletions(entry) == ["name", "birthDate", "telecom"]
    (entry,) = entries(mapped(PID="PID|1||1"), "Patient")
    assert deletions(entry) == []


def test_identifiers_and_extensions_are_never_deleted():
    pid = 'PID|1||1^^^RTH^MR~""' + "|" * 19 + '""'
    (entry,) = entries(mapped(PID=pid), "Patient")
    assert deletions(entry) == []


def test_a_death_is_dated_by_pid_29_or_by_the_discharge():
    pv1 = SEGMENTS["PV1"].split("|")
    pv1 += [""] * 10
    pv1[36], pv1[45] = "4", "202505071200"
    discharge = "|".join(pv1)
    dated = SEGMENTS["PID"] + "|" * 21 + "202505071130|Y"
    assert one(mapped(PID=dated), "Patient")["deceasedDateTime"] == "2025-05-07T11:30:00+01:00"
    (entry,) = entries(mapped(PV1=discharge), "Patient")
    assert entry["resource"]["deceasedDateTime"] == "2025-05-07T12:00:00+01:00"
    assert "deceasedBoolean" not in entry["resource"]
    assert deletions(entry) == ["deceasedBoolean"]


def test_a_death_without_a_date_and_its_revocation():
    for flag, deceased in (("Y", True), ("N", False)):
        (entry,) = entries(mapped(PID=SEGMENTS["PID"] + "|" * 22 + flag), "Patient")
        assert entry["resource"]["deceasedBoolean"] is deceased
        assert deletions(entry) == ["deceasedDateTime"]


# The visit


def test_the_visit_is_known_by_its_number_and_ends_with_its_discharge():
    pv1 = SEGMENTS["PV1"]
    (entry,) = entries(mapped(), "Encounter")
    assert (
        entry["request"]["url"] == "Encounter?identifier=https://csor.example/fhir/sid/RTH/visit|V1"
    )
    assert entry["resource"]["status"] == "in-progress"
    ended = one(mapped(PV1=pv1 + "|202505071200"), "Encounter")
    assert (ended["status"], ended["period"]["end"]) == ("finished", "2025-05-07T12:00:00+01:00")


def test_an_admission_needs_a_visit_number_or_an_admission_time():
    assert refused(PV1="PV1|1|I")[1] == ("101", "PV1^1^19")
    assert refused(PV1="")[1] == ("101", "PV1^1^19")
    without_number = SEGMENTS["PV1"].replace("|V1|", "||")
    identifier = one(mapped(PV1=without_number), "Encounter")["identifier"][0]
    assert identifier["value"] == "9990000018.202505060915"


def test_a_discharge_before_the_admission_is_refused():
    assert refused(PV1=SEGMENTS["PV1"] + "|202505050000")[1] == ("102", "PV1^1^45")


def test_a_person_message_writes_no_visit():
    for event in ("A28", "A31"):
        bundle = mapped(MSH=SEGMENTS["MSH"].replace("A01^ADT_A01", event))
        assert entries(bundle, "Encounter") == []


def test_an_unknown_admission_method_stays_text():
    encounter = one(mapped(PV1=SEGMENTS["PV1"].replace("|28|", "|28b|")), "Encounter")
    extension = encounter["hospitalization"]["extension"][0]
    assert extension["valueCodeableConcept"] == {"text": "28b"}


def test_a_patient_class_is_required_and_must_be_known():
    assert refused(PV1=SEGMENTS["PV1"].replace("|I|", "||", 1))[1] == ("101", "PV1^1^2")
    assert refused(PV1=SEGMENTS["PV1"].replace("|I|", "|?|", 1))[1] == ("103", "PV1^1^2")


def test_a_doctor_with_a_gmc_number_is_one_practitioner_another_a_name():
    darwin = "C3456789^Darwin^Sam^^^Dr^^^GMC"
    pv1 = (
        SEGMENTS["PV1"]
        .replace("|28|||", f"|28|||{darwin}|X9^Fox^Ann|{darwin}")
        .replace("|||||||||||||V1", "|||||||||||V1", 1)
    )
    parts = pv1.split("|")
    parts[10:] = ["", "", "", "", "", "", "", "", "", "V1"] + [""] * 24 + ["202505060915"]
    bundle = mapped(PV1="|".join(parts))
    (practitioner,) = entries(bundle, "Practitioner")
    assert practitioner["request"]["ifNoneExist"].endswith("gmc-number|3456789")
    attending, referring, consulting = one(bundle, "Encounter")["participant"]
    assert attending["individual"] == consulting["individual"]
    assert attending["individual"] == {"reference": practitioner["fullUrl"]}
    assert referring["individual"]["display"] == "Ann Fox"
    codes = [p["type"][0]["coding"][0]["code"] for p in (attending, referring, consulting)]
    assert codes == ["ATND", "REF", "CON"]


# Diagnoses, procedures and cases


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("Q43.1^x^I10", "Q43.1"),
        ("Q431^x^I10", "Q43.1"),
        ("q431^x^ICD10", "Q43.1"),
        ("P77X^x^I10", "P77"),
        ("P77^x^I10", "P77"),
        ("P77.X^x^I10", "P77"),
        ("G01XA^x^I10", "G01"),
        ("A17.0D^x^I10", "A17.0"),
        ("A170†^x^I10", "A17.0"),
        ("M01.30^x^I10", "M01.30"),
        ("nonsense^x^I10", "nonsense"),
    ],
)
def test_icd_10_codes_are_dotted_without_padding_and_marks(sent, stored):
    condition = one(mapped(DG1=f"DG1|1||{sent}"), "Condition")
    assert condition["code"]["coding"][0]["code"] == stored
    assert condition["identifier"][0]["value"] == f"V1.{stored}"


@pytest.mark.parametrize(
    ("code", "condition"),
    [
        ("Q39.0^x^I10", "oesophageal-atresia"),
        ("Q391^x^I10", "oesophageal-atresia"),
        ("Q79.3^x^I10", "gastroschisis"),
        ("Q43.1^x^I10", "hirschsprung"),
        ("Q64.2^x^I10", "posterior-urethral-valves"),
        ("Q79.0^x^I10", "diaphragmatic-hernia"),
        ("P77X^x^I10", "necrotising-enterocolitis"),
        ("204739008^x^SCT", "hirschsprung"),
    ],
)
def test_a_registry_diagnosis_opens_one_case(code, condition):
    (case,) = entries(mapped(DG1=f"DG1|1||{code}"), "EpisodeOfCare")
    value = f"9990000018.{condition}"
    assert case["request"]["ifNoneExist"] == (
        f"identifier=https://csor.example/fhir/sid/case|{value}"
    )
    assert case["resource"]["period"] == {"start": "2025-05-06"}
    assert case["resource"]["identifier"][0]["value"] == value


@pytest.mark.parametrize("code", ["Q39.2^x^I10", "Q79.2^x^I10", "Q43.1^x", "Q43.1^x^OPCS4"])
def test_another_diagnosis_opens_none(code):
    assert entries(mapped(DG1=f"DG1|1||{code}"), "EpisodeOfCare") == []


def test_a_case_without_national_number_is_known_by_hospital_and_its_number():
    bundle = mapped(PID="PID|1||12345^^^RTH^MR", DG1="DG1|1||Q43.1^x^I10")
    assert one(bundle, "EpisodeOfCare")["identifier"][0]["value"] == "RTH:12345.hirschsprung"


def test_the_same_diagnosis_twice_is_one_condition_and_one_case():
    dg1 = "DG1|1||Q43.1^x^I10|||A\rDG1|2||Q431^x^I10|||F"
    bundle = mapped(DG1=dg1)
    assert len(entries(bundle, "Condition")) == len(entries(bundle, "EpisodeOfCare")) == 1


@pytest.mark.parametrize("sent", ["H41.1^x^OPCS4", "H411^x^OPCS4", "h411^x^OPCS"])
def test_procedures_are_dotted_dated_and_linked(sent):
    bundle = mapped(PR1=f"PR1|1||{sent}||202505070900")
    procedure = one(bundle, "Procedure")
    assert procedure["code"]["coding"][0]["code"] == "H41.1"
    assert procedure["identifier"][0]["value"] == "V1.202505070900.H41.1"
    assert procedure["status"] == "completed"
    assert procedure["performedDateTime"] == "2025-05-07T09:00:00+01:00"
    urns = {e["resource"]["resourceType"]: e["fullUrl"] for e in bundle["entry"]}
    assert procedure["subject"]["reference"] == urns["Patient"]
    assert procedure["encounter"]["reference"] == urns["Encounter"]


def test_a_procedure_or_diagnosis_without_code_is_refused():
    assert refused(PR1="PR1|1||||202505070900")[1] == ("101", "PR1^1^3")
    assert refused(DG1="DG1|1||Q43.1^x^I10\rDG1|2|")[1] == ("101", "DG1^2^3")


# Merges


MERGE = {"MSH": SEGMENTS["MSH"].replace("A01^ADT_A01", "A40^ADT_A39"), "PV1": ""}


def test_a_merge_links_survivor_and_prior_both_ways():
    survivor, prior = entries(mapped(**MERGE, MRG="MRG|99887^^^RTH^MR"), "Patient")
    assert survivor["resource"]["active"] is True
    assert prior["resource"]["active"] is False
    assert survivor["resource"]["link"] == [
        {"type": "replaces", "other": {"reference": prior["fullUrl"]}}
    ]
    assert prior["resource"]["link"] == [
        {"type": "replaced-by", "other": {"reference": survivor["fullUrl"]}}
    ]
    assert prior["request"]["url"].endswith("/RTH/mrn|99887")


def test_a_patient_cannot_be_merged_into_itself():
    assert refused(**MERGE, MRG="MRG|12345^^^RTH^MR")[1] == ("205", "MRG^1^1")
    assert refused(**MERGE, MRG="MRG|99887^^^RTH^MR~9990000018^^^NHS")[1] == ("205", "MRG^1^1")


def test_a_merge_needs_a_prior_patient():
    assert refused(**MERGE)[1] == ("101", "MRG^1")
    assert refused(**MERGE, MRG="MRG|")[1] == ("101", "MRG^1^1")


# Results


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
        ("ED|x||^^PDF^Base64^AAAA", "OBX^1^2"),
        ("NM|x||5||||||?", "OBX^1^11"),
        ("NM|||5", "OBX^1^3"),
    ],
)
def test_values_that_cannot_be_read_are_refused(obx, place):
    with pytest.raises(FhirError) as error:
        result(f"OBX|1|{obx}")
    assert [issue.expression for issue in error.value.issues] == [place]


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


# Messages from elsewhere


@pytest.mark.skipif(not WHISTLE.is_dir(), reason="the foreign sample messages are not here")
def test_foreign_messages_are_mapped_or_refused_with_a_reason():
    outcomes = {}
    for path in sorted(WHISTLE.glob("*.hl7")):
        try:
            bundle = to_bundle(parse(path.read_bytes()), CONTEXT)
        except FhirError as error:
            outcomes[path.stem] = error.issues[0].rule
        else:
            outcomes[path.stem] = "mapped"
            assert not [issue for issue in validate(bundle, TERMINOLOGY) if issue.is_error]
    assert len(outcomes) == 20
    mapped_ones = {name for name, outcome in outcomes.items() if outcome == "mapped"}
    assert mapped_ones == {
        *("adt_a01_ex2", "adt_a01_ex3", "adt_a08_ex1"),
        *("oru_r01_ex1", "oru_r01_ex2", "oru_r01_ex6"),
    }
    refused_as = {re.sub("_.*", "", n): r for n, r in outcomes.items() if r != "mapped"}
    assert refused_as["oml"] == refused_as["orm"] == refused_as["rde"] == "200"


FIELD = st.text(st.sampled_from('^^^~&\\"|0123456789ANHSR.:+- é'), max_size=24)


@settings(deadline=None)
@given(st.sampled_from([path.read_bytes() for path in EXAMPLES]), st.data())
def test_a_damaged_message_is_mapped_to_something_valid_or_refused(raw, data):
    lines = raw.decode().rstrip("\r").split("\r")
    for _ in range(data.draw(st.integers(1, 4))):
        row = data.draw(st.integers(0, len(lines) - 1))
        fields = lines[row].split("|")
        column = data.draw(st.integers(2 if row == 0 else 1, len(fields) + 1))
        fields += [""] * (column - len(fields) + 1)
        fields[column] = data.draw(FIELD)
        lines[row] = "|".join(fields)
    try:
        bundle = to_bundle(parse("\r".join(lines).encode()), CONTEXT)
    except FhirError:
        return
    assert not [issue for issue in validate(bundle, TERMINOLOGY) if issue.is_error]
