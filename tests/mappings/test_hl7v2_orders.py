"""ORC, TQ1, OBR and DG1 to ServiceRequest: which order, how far it has come, why and when."""

import pytest

from tests.mappings.messages import SEGMENTS, entries, mapped, one, refused

KINDS = ("OML^O21", "ORM^O01", "OMG^O19", "OMI^O23")
OBR = "OBR|1|P1^EPR||fbc^Full blood count^L"


def orders(*lines: str, kind: str = "OML^O21") -> dict:
    msh = SEGMENTS["MSH"].replace("ADT^A01^ADT_A01", kind)
    return mapped(MSH=msh, EVN="", PV1="", REST="\r".join(lines))


def order(*lines: str, kind: str = "OML^O21") -> dict:
    return one(orders(*lines, kind=kind), "ServiceRequest")


def refusal(*lines: str, kind: str = "OML^O21") -> tuple[str | None, str | None]:
    msh = SEGMENTS["MSH"].replace("ADT^A01^ADT_A01", kind)
    return refused(MSH=msh, EVN="", PV1="", REST="\r".join(lines))[1]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_order_is_a_service_request_of_the_child(kind):
    bundle = orders("ORC|NW|P1^EPR|||||||202505060800", OBR, "NTE|1||urgent", kind=kind)
    found = one(bundle, "ServiceRequest")
    (child,) = entries(bundle, "Patient")
    assert found["subject"]["reference"] == child["fullUrl"]
    assert (found["status"], found["intent"]) == ("active", "order")
    assert found["code"]["text"] == "Full blood count"
    assert found["authoredOn"] == "2025-05-06T08:00:00+01:00"
    assert found["note"] == [{"text": "urgent"}]


@pytest.mark.parametrize(
    ("control", "status", "expected"),
    [
        *(("NW", "", "active"), ("OK", "", "active"), ("XO", "", "active"), ("RO", "", "active")),
        *(("CA", "", "revoked"), ("OC", "", "revoked"), ("DC", "", "revoked")),
        *(("RP", "", "revoked"), ("RU", "", "revoked"), ("UC", "", "active")),
        *(("HD", "", "on-hold"), ("RL", "", "active")),
        *(("SC", "CM", "completed"), ("SC", "IP", "active"), ("XX", "CA", "revoked")),
        *(("SC", "ER", "entered-in-error"), ("", "HD", "on-hold"), ("nw", "", "active")),
    ],
)
def test_the_status_is_that_of_orc_5_else_what_orc_1_makes_of_it(control, status, expected):
    assert order(f"ORC|{control}|P1|||{status}", OBR)["status"] == expected


@pytest.mark.parametrize(
    ("orc", "found"),
    [
        ("ORC|SC|P1", ("103", "ORC^1^1")),
        ("ORC|RE|P1", ("103", "ORC^1^1")),
        ("ORC|ZZ|P1", ("103", "ORC^1^1")),
        ("ORC|SC|P1|||QQ", ("103", "ORC^1^5")),
        ("ORC||P1", ("101", "ORC^1^1")),
    ],
)
def test_a_control_that_says_no_status_is_refused_as_it_would_replace_a_known_one(orc, found):
    assert refusal(orc, OBR) == found


def test_an_order_is_found_by_the_number_of_its_placer_or_filler():
    bundle = orders("ORC|OK|P1^EPR|F1^^2.16.840.1.1^ISO", OBR)
    (entry,) = entries(bundle, "ServiceRequest")
    assert [number["value"] for number in entry["resource"]["identifier"]] == ["P1", "F1"]
    system = "https://csor.example/fhir/sid/RTH/placer-order.EPR"
    assert entry["request"]["url"] == (
        f"ServiceRequest?identifier={system}|P1,urn:oid:2.16.840.1.1|F1"
    )
    assert entry["request"]["extension"][0]["valueBoolean"] is True, "a merge"


def test_numbers_may_stand_in_obr_alone():
    found = order("ORC|NW", "OBR|1|P1|F1|fbc^^L")
    assert [number["value"] for number in found["identifier"]] == ["P1", "F1"]


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (("ORC|NW", "OBR|1|||fbc^^L"), ("101", "ORC^1^2")),
        (("ORC|NW|P1", OBR, "ORC|NW|P1^EPR", OBR), None),
        (("ORC|NW|P1", OBR, "ORC|NW|P1", OBR), ("205", "ORC^2^2")),
        (("ORC|NW|P1", "OBR|1|P1||"), ("101", "OBR^1^4")),
        (("ORC|NW|P1||||||||||x", "OBR|1|P1||a^^L||soon"), ("102", "OBR^1^6")),
        (("ORC|NW|P1", OBR, SEGMENTS["PID"], "ORC|RE|P0", OBR), ("100", "PATIENT^2")),
    ],
)
def test_orders_that_cannot_be_told_apart_or_read_are_refused(lines, found):
    if found is None:
        assert len(entries(orders(*lines), "ServiceRequest")) == 2
    else:
        assert refusal(*lines) == found


@pytest.mark.parametrize("other", ["RXO|drug^^L", "RQD|1", "ODS|D"])
def test_orders_of_drugs_supplies_and_diets_are_refused_as_such(other):
    assert refusal("ORC|NW|P1", other, kind="ORM^O01")[0] == "200"


def test_who_asked_is_orc_12_else_obr_16():
    doctor = "C9999991^Testsurgeon^Fictitious^^^Dr^^^GMC"
    bundle = orders(f"ORC|NW|P1||||||||||{doctor}", OBR + "|" * 12 + "7^Other")
    (practitioner,) = entries(bundle, "Practitioner")
    assert one(bundle, "ServiceRequest")["requester"]["reference"] == practitioner["fullUrl"]
    assert order("ORC|NW|P1", OBR + "|" * 12 + "7^Other")["requester"]["display"] == "Other"


def test_when_and_how_urgently_is_tq1_else_what_came_before_it():
    new = order("ORC|NW|P1", "TQ1|1||||||202505070800||S", OBR + "|R|20250101")
    assert (new["occurrenceDateTime"][:10], new["priority"]) == ("2025-05-07", "stat")
    old = order("ORC|NW|P1|||||^^^20250508^^A", OBR)
    assert (old["occurrenceDateTime"], old["priority"]) == ("2025-05-08", "asap")
    assert "priority" not in order("ORC|NW|P1", OBR + "|PRN")


def test_authored_is_when_the_order_was_new_not_when_it_was_changed():
    assert "authoredOn" not in order("ORC|CA|P1||||||20250507", OBR)


def test_a_reason_to_ask_is_no_diagnosis_and_opens_no_case():
    bundle = orders("ORC|NW|P1", OBR, "DG1|1||Q43.1^Hirschsprung^I10", "DG1|2|||in words")
    reasons = one(bundle, "ServiceRequest")["reasonCode"]
    assert reasons[0]["coding"][0]["code"] == "Q43.1"
    assert reasons[1] == {"text": "in words"}
    assert [*entries(bundle, "Condition"), *entries(bundle, "EpisodeOfCare")] == []


def test_what_the_laboratory_should_know_is_supporting_information():
    bundle = orders("ORC|NW|P1", OBR, "OBX|1|NM|weight^^L||2840|g", "SPM|1|S1||BLD^Blood^L")
    found = one(bundle, "ServiceRequest")
    for element, kind in (("supportingInfo", "Observation"), ("specimen", "Specimen")):
        (entry,) = entries(bundle, kind)
        assert found[element] == [{"reference": entry["fullUrl"]}]


def test_each_order_of_a_message_has_its_own_details():
    bundle = orders(
        *("ORC|NW|P1", "OBR|1|P1||a^A^L", "NTE|1||first"),
        *("ORC|CA|P2", "OBR|1|P2||b^B^L", "NTE|1||second"),
    )
    found = [entry["resource"] for entry in entries(bundle, "ServiceRequest")]
    said = [(each["code"]["text"], each["status"], each["note"][0]["text"]) for each in found]
    assert said == [("A", "active", "first"), ("B", "revoked", "second")]
