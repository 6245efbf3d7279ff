"""PID and MRG to Patient: identifiers, demographics, death, deletion, merges."""

from urllib.parse import unquote

import pytest

from tests.mappings.messages import SEGMENTS, deletions, entries, mapped, one, refused


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
        "Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|9990000018,"
        "https://csor.example/fhir/sid/RTH/mrn|12345"
    )


def test_a_child_may_be_known_by_any_usable_number_of_pid_2_to_4():
    pid = "PID|1|222^^^RTH^MR|9990000018^^^NHS~12345^^^RTH^MR~99^^^RTH^AN~7^^^R0A^MR|333^^^EPI^MR"
    (patient,) = entries(mapped(PID=pid), "Patient")
    systems = "https://csor.example/fhir/sid"
    assert patient["request"]["url"].removeprefix("Patient?identifier=").split(",") == [
        "https://fhir.nhs.uk/Id/nhs-number|9990000018",
        f"{systems}/RTH/mrn|12345",
        f"{systems}/RTH/mrn|222",
        f"{systems}/R0A/mrn|7",
        f"{systems}/RTH/mrn.EPI|333",
    ]
    assert f"{systems}/RTH/account" in [i["system"] for i in patient["resource"]["identifier"]]


def test_characters_that_search_gives_a_meaning_are_escaped_in_each_number():
    pid = "PID|1||1,2$3\\E\\4\\F\\5^^^RTH^MR~9990000018^^^NHS"
    (patient,) = entries(mapped(PID=pid), "Patient")
    assert unquote(patient["request"]["url"]) == (
        "Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|9990000018,"
        "https://csor.example/fhir/sid/RTH/mrn|1\\,2\\$3\\\\4\\|5"
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
    (patient,) = entries(bundle, "Patient")
    assert [i["value"] for i in patient["resource"]["identifier"]] == ["12345", "633"]
    assert "/RTH/mrn|12345," in patient["request"]["url"]


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


def test_a_number_that_mrg_1_names_is_the_priors_and_finds_no_survivor():
    bundle = mapped(**MERGE, MRG="MRG|12345^^^RTH^MR~99887^^^RTH^MR")
    survivor, prior = entries(bundle, "Patient")
    assert survivor["request"]["url"].endswith("=https://fhir.nhs.uk/Id/nhs-number|9990000018")
    assert [i["value"] for i in survivor["resource"]["identifier"]] == ["9990000018"]
    assert prior["request"]["url"] == (
        "Patient?identifier=https://csor.example/fhir/sid/RTH/mrn|12345,"
        "https://csor.example/fhir/sid/RTH/mrn|99887"
    )


def test_a_patient_cannot_be_merged_into_itself():
    itself = "MRG|12345^^^RTH^MR~9990000018^^^NHS"
    assert refused(**MERGE, MRG=itself)[1] == ("205", "MRG^1^1")


def test_a_merge_needs_a_prior_patient():
    assert refused(**MERGE)[1] == ("101", "MRG^1")
    assert refused(**MERGE, MRG="MRG|")[1] == ("101", "MRG^1^1")
