"""NK1 and ROL: the child's contacts, and who takes part in a visit or a procedure."""

import pytest

from profiles import validate
from tests.mappings.messages import SEGMENTS, TERMINOLOGY, entries, mapped, one


def contacts(*segments):
    bundle = mapped(NK1="\r".join(segments))
    assert not [issue for issue in validate(bundle, TERMINOLOGY) if issue.is_error]
    return one(bundle, "Patient").get("contact", [])


def test_each_next_of_kin_is_a_contact_of_its_own():
    mother, friend = contacts(
        "NK1|1|Testparent^Pat~Testother^Pat|MTH^Mother^HL70063|1 Road^^Oxford|"
        "01632 960001~01632 960002||N^Next-of-Kin^HL70131|20250430",
        "NK1|2|Testfriend^Kim|||||||20250601",
    )
    assert mother["name"]["family"] == "Testparent"
    assert [each["coding"][0]["code"] for each in mother["relationship"]] == ["MTH", "N"]
    assert [each["value"] for each in mother["telecom"]] == ["01632 960001", "01632 960002"]
    assert (mother["address"]["city"], mother["period"]) == ("Oxford", {"start": "2025-04-30"})
    assert friend == {
        "name": {"family": "Testfriend", "given": ["Kim"]},
        "period": {"end": "2025-06-01"},
    }


@pytest.mark.parametrize(
    "fields",
    ["||FTH^Father^HL70063", '|""', "|^^^^Mrs", "||||^PRN^PH^nobody", "|||||||||||||||2"],
)
def test_a_contact_that_cannot_be_reached_is_none(fields):
    assert contacts(f"NK1|1{fields}") == []


def test_a_business_number_is_one_of_work_and_an_organisation_a_contact():
    nursery = "|".join(["NK1", "2", *[""] * 11, "Fictitious Nursery"])
    business, nursery = contacts("NK1|1|Testparent||||01632 960003", nursery)
    assert business["telecom"] == [{"system": "phone", "value": "01632 960003", "use": "work"}]
    assert nursery == {"organization": {"display": "Fictitious Nursery"}}


def test_a_sex_that_is_not_known_leaves_the_contact():
    (contact,) = contacts("NK1|1|Testparent" + "|" * 13 + "?")
    assert "gender" not in contact


GMC = "C9999991^Testsurgeon^Sam^^^Mr^^^GMC"


def test_a_role_after_the_visit_is_the_visits_and_one_after_a_procedure_the_procedures():
    pv1 = f"{SEGMENTS['PV1']}\rROL|1|AD|AT^Attending^HL70443|{GMC}|20250506"
    pr1 = f"PR1|1||H41.1^x^OPCS4||20250507\rROL|2|AD|SURG^Surgeon^L|{GMC}\rROL|3|AD|ASST^x^L|^Testa"
    other = "\rPR1|2||Y75.2^x^OPCS4||20250507\rROL|4|AD|SURG^Surgeon^L|^Testb"
    bundle = mapped(PV1=pv1, PR1=pr1 + other)
    assert not [issue for issue in validate(bundle, TERMINOLOGY) if issue.is_error]
    (practitioner,) = entries(bundle, "Practitioner")
    known = {"reference": practitioner["fullUrl"]}
    (attending,) = one(bundle, "Encounter")["participant"]
    assert attending["individual"] == known
    assert attending["type"][0]["coding"][0]["code"] == "AT"
    assert attending["period"] == {"start": "2025-05-06"}
    first, second = (entry["resource"]["performer"] for entry in entries(bundle, "Procedure"))
    assert [each["actor"] for each in first] == [known, {"display": "Testa"}]
    assert [each["actor"] for each in second] == [{"display": "Testb"}]


@pytest.mark.parametrize("role", ["ROL|1|DE|AT^x|^Testa", "ROL|1|AD|AT^x", 'ROL|1|AD|AT^x|""'])
def test_a_role_that_is_deleted_or_nobodys_is_left_out(role):
    bundle = mapped(PV1=f"{SEGMENTS['PV1']}\r{role}", PR1=f"PR1|1||H41.1^x^OPCS4\r{role}")
    assert "participant" not in one(bundle, "Encounter")
    assert "performer" not in one(bundle, "Procedure")


def test_a_role_makes_no_visit_of_a_message_about_a_person():
    person = SEGMENTS["MSH"].replace("A01^ADT_A01", "A31")
    bundle = mapped(MSH=person, PV1=f"PV1|1|I\rROL|1|AD|AT^x|{GMC}")
    assert entries(bundle, "Encounter") == []
