"""PV1, DG1 and PR1 to Encounter, Condition, EpisodeOfCare and Procedure."""

import pytest

from tests.mappings.messages import SEGMENTS, entries, mapped, one, refused


def test_the_visit_is_known_by_its_number_and_ends_with_its_discharge():
    pv1 = SEGMENTS["PV1"]
    (entry,) = entries(mapped(), "Encounter")
    assert (
        entry["request"]["url"] == "Encounter?identifier=https://csor.example/fhir/sid/RTH/visit|V1"
    )
    assert entry["resource"]["status"] == "in-progress"
    ended = one(mapped(PV1=pv1 + "|202505071200"), "Encounter")
    assert (ended["status"], ended["period"]["end"]) == ("finished", "2025-05-07T12:00:00+01:00")


def test_an_event_recorded_on_a_day_has_the_time_of_day_of_its_message():
    for evn, recorded in (
        ("20250506", "2025-05-06T09:30:00+01:00"),
        ("202505060915", "2025-05-06T09:15:00+01:00"),
        ("", "2025-05-06T09:30:00+01:00"),
    ):
        (entry,) = entries(mapped(EVN=f"EVN|A01|{evn}"), "Encounter")
        found = [each for each in entry["request"]["extension"] if "valueDateTime" in each]
        assert [each["valueDateTime"] for each in found] == [recorded]


def test_an_admission_needs_a_visit_number_or_an_admission_time():
    assert refused(PV1="PV1|1|I")[1] == ("101", "PV1^1^19")
    assert refused(PV1="")[1] == ("101", "PV1^1^19")
    without_number = SEGMENTS["PV1"].replace("|V1|", "||")
    (entry,) = entries(mapped(PV1=without_number), "Encounter")
    assert [i["value"] for i in entry["resource"]["identifier"]] == ["9990000018.202505060915"]
    visit = "https://csor.example/fhir/sid/RTH/visit"
    assert entry["request"]["url"] == (
        f"Encounter?identifier={visit}|9990000018.202505060915,{visit}|12345.202505060915"
    )


def test_without_visit_number_another_hospitals_number_names_no_visit_here():
    pid = "PID|1||12345^^^RTH^MR~633^^^R0A^MR"
    bundle = mapped(PID=pid, PV1=SEGMENTS["PV1"].replace("|V1|", "||"))
    assert "633" not in entries(bundle, "Encounter")[0]["request"]["url"]


def test_a_diagnosis_outside_a_visit_may_be_known_by_any_number_of_the_child():
    event = SEGMENTS["MSH"].replace("A01^ADT_A01", "A31")
    known, done = "DG1|1||Q43.1^x^I10", "PR1|1||H41.1^x^OPCS4||20250507"
    bundle = mapped(MSH=event, PV1="", DG1=known, PR1=done)
    for kind, rest in (("Condition", "Q43.1"), ("Procedure", "20250507.H41.1")):
        url = entries(bundle, kind)[0]["request"]["url"]
        assert [token.rpartition("|")[2] for token in url.split(",")] == [
            f"9990000018.{rest}",
            f"12345.{rest}",
        ]


def updated(pv1: str) -> dict:
    """Map an update (A08) of a visit."""
    msh = SEGMENTS["MSH"].replace("A01^ADT_A01", "A08^ADT_A01")
    return one(mapped(MSH=msh, PV1=pv1), "Encounter")


def test_an_update_gives_no_visit_another_status_than_its_segment_says():
    pv1 = SEGMENTS["PV1"]
    preadmitted = pv1.replace("PV1|1|I|", "PV1|1|P|")
    assert updated(preadmitted)["status"] == "planned"
    assert one(mapped(PV1=preadmitted), "Encounter")["status"] == "in-progress"
    assert updated(f"{pv1}|202505071200")["status"] == "finished"


def test_an_update_without_discharge_leaves_the_end_of_the_visit_alone():
    for discharged in ("", '|""'):
        encounter = updated(SEGMENTS["PV1"] + discharged)
        assert encounter["status"] == "in-progress", "a visit that is not yet known needs one"
        assert encounter["period"] == {"start": "2025-05-06T09:15:00+01:00"}


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
        ("Q431^x^^L1^Local^L", "Q43.1"),
    ],
)
def test_icd_10_codes_are_dotted_without_padding_and_marks(sent, stored):
    condition = one(mapped(DG1=f"DG1|1|{'' if 'I' in sent else 'I10'}|{sent}"), "Condition")
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
    system = "https://csor.example/fhir/sid/case"
    assert case["request"]["ifNoneExist"] == (
        f"identifier={system}|{value},{system}|RTH:12345.{condition}"
    )
    assert case["resource"]["period"] == {"start": "2025-05-06"}
    assert case["resource"]["identifier"] == [{"system": system, "value": value}]


@pytest.mark.parametrize(
    ("event", "day"),
    [
        ("EVN|A01|20250504||||202505030100", "2025-05-03"),
        ("EVN|A01|202505042330", "2025-05-04"),
        ("EVN|A01|20250504", "2025-05-06"),
        ("EVN|A01", "2025-05-06"),
    ],
)
def test_a_case_without_an_admission_starts_when_it_happened_else_when_it_was_told(event, day):
    """By EVN-6; else by the first of EVN-2 and MSH-7 that is a time, as everything that is told."""
    bundle = mapped(EVN=event, PV1="PV1|1|I" + "|" * 17 + "V1", DG1="DG1|1||Q79.3^x^I10")
    assert one(bundle, "EpisodeOfCare")["period"]["start"] == day


@pytest.mark.parametrize(
    "code",
    ["Q39.2^x^I10", "Q79.2^x^I10", "Q43.1^x", "Q43.1^x^OPCS4", "K35.8^x^I10", "N44X^x^I10"],
)
def test_another_diagnosis_opens_none(code):
    assert entries(mapped(DG1=f"DG1|1||{code}"), "EpisodeOfCare") == []


@pytest.mark.parametrize(
    ("code", "condition"),
    [
        ("G073^x^OPCS4", "oesophageal-atresia"),
        ("T28.1^x^OPCS4", "gastroschisis"),
        ("T164^x^OPCS4", "diaphragmatic-hernia"),
        ("275014009^x^SCT", "hirschsprung"),
        ("N133^x^OPCS4", "suspected-torsion"),
        ("N08.2^x^OPCS4", "undescended-testis"),
        ("H013^x^OPCS4", "suspected-appendicitis"),
        ("174041007^x^SCT", "suspected-appendicitis"),
    ],
)
def test_a_procedure_that_names_a_registry_condition_opens_its_case_without_a_diagnosis(
    code, condition
):
    bundle = mapped(PR1=f"PR1|1||{code}||20250507")
    (case,) = entries(bundle, "EpisodeOfCare")
    assert case["resource"]["identifier"][0]["value"] == f"9990000018.{condition}"
    assert case["resource"]["type"][0]["coding"][0]["code"] == condition
    assert "diagnosis" not in case["resource"]


def test_a_diagnosis_and_a_procedure_open_one_case_that_refers_to_the_diagnosis():
    bundle = mapped(DG1="DG1|1||Q79.3^x^I10", PR1="PR1|1||T28.1^x^OPCS4||20250507")
    case = one(bundle, "EpisodeOfCare")
    assert (
        case["diagnosis"][0]["condition"]["reference"] == entries(bundle, "Condition")[0]["fullUrl"]
    )


@pytest.mark.parametrize(
    "code", ["H41.1", "H41.4", "G07.1", "M76.5", "T16.1", "T28.8", "G74.2", "N13.2"]
)
def test_a_procedure_that_proves_no_condition_opens_no_case(code):
    assert entries(mapped(PR1=f"PR1|1||{code}^x^OPCS4||20250507"), "EpisodeOfCare") == []


def test_a_case_without_national_number_is_known_by_hospital_and_its_number():
    for number, value in (
        ("12345^^^RTH^MR", "RTH:12345.hirschsprung"),
        ("633^^^R0A^MR", "R0A:633.hirschsprung"),
        ("633^^^EPI^MR", "RTH.EPI:633.hirschsprung"),
    ):
        bundle = mapped(PID=f"PID|1||{number}", DG1="DG1|1||Q43.1^x^I10")
        assert one(bundle, "EpisodeOfCare")["identifier"][0]["value"] == value


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
