"""BAR and DFT: diagnoses, procedures and cases are taken from them, and no money."""

import pytest

from tests.mappings.messages import SEGMENTS, entries, mapped, one

DG1 = "DG1|1||Q43.1^Hirschsprung's disease^I10||20250506|F"
PR1 = "PR1|1||H41.1^Rectosigmoidectomy^OPCS4||202505081330"
OBX = "OBX|1|NM|3141-9^Body weight^LN||2.61|kg^^UCUM|||||F"
FT1 = "FT1|1|||20250508||CG|T^Theatre^L|||1|||||||||Q43.1^Hirschsprung^I10||||||H41.1^x^OPCS4"
MONEY = ("GT1|1||Testparent^Pat", "IN1|1|NHS|1", "IN2|1", "IN3|1", "ACC|20250506")
EVENTS = ("BAR^P01", "BAR^P05", "BAR^P12", "DFT^P03")


def charged(event: str, *segments: str, pv1: str = SEGMENTS["PV1"]) -> dict:
    msh = SEGMENTS["MSH"].replace("ADT^A01^ADT_A01", event)
    return mapped(MSH=msh, EVN=f"EVN|{event[4:]}|20250530", PV1=pv1, REST="\r".join(segments))


def kinds(bundle: dict) -> list[str]:
    return sorted(entry["resource"]["resourceType"] for entry in bundle["entry"])


@pytest.mark.parametrize("event", EVENTS)
def test_diagnoses_and_procedures_are_those_of_an_admission(event):
    """A bill and an admission that tell of the same operation are about one Procedure."""
    found = charged(event, *([FT1] if event == "DFT^P03" else []), PR1, DG1)
    told = mapped(DG1=DG1, PR1=PR1)
    for kind in ("Condition", "Procedure", "EpisodeOfCare"):
        (ours,), (theirs,) = entries(found, kind), entries(told, kind)
        assert ours["request"] == theirs["request"]
        assert ours["resource"]["identifier"] == theirs["resource"]["identifier"]
        assert ours["resource"].get("code") == theirs["resource"].get("code")


@pytest.mark.parametrize("event", EVENTS)
def test_a_bill_opens_a_visit_only_where_it_is_not_known(event):
    (visit,) = entries(charged(event, DG1), "Encounter")
    assert visit["resource"]["status"] == "unknown"
    assert (visit["request"]["method"], "ifNoneExist" in visit["request"]) == ("POST", True)


@pytest.mark.parametrize("event", EVENTS)
def test_without_diagnosis_and_procedure_it_tells_of_child_and_visit(event):
    """It is accepted: the sender has nothing to mend, and who the child is may be new."""
    assert kinds(charged(event)) == ["Encounter", "Patient", "Provenance"]
    assert kinds(charged(event, pv1="")) == ["Patient", "Provenance"]


@pytest.mark.parametrize("event", ["BAR^P01", "BAR^P05", "DFT^P03"])
def test_money_is_passed_over(event):
    bare = charged(event, DG1)
    assert charged(event, DG1, *MONEY) == bare


def test_a_charge_is_no_evidence_of_what_was_done():
    assert kinds(charged("DFT^P03", FT1)) == ["Encounter", "Patient", "Provenance"]


def test_several_charges_with_their_procedures():
    other = PR1.replace("PR1|1", "PR1|2").replace("H41.1", "H41.4")
    found = charged("DFT^P03", FT1, PR1, FT1.replace("FT1|1", "FT1|2"), other)
    codes = [e["resource"]["code"]["coding"][0]["code"] for e in entries(found, "Procedure")]
    assert codes == ["H41.1", "H41.4"]


@pytest.mark.parametrize("event", EVENTS)
def test_results_in_a_bill_are_observations(event):
    assert one(charged(event, OBX), "Observation")["valueQuantity"]["unit"] == "kg"


def test_an_account_may_be_of_several_visits():
    second = SEGMENTS["PV1"].replace("V1", "V2").replace("PV2", "PV1", 1)
    found = charged("BAR^P05", DG1, second, PR1)
    first, other = entries(found, "Encounter")
    assert [e["resource"]["identifier"][0]["value"] for e in (first, other)] == ["V1", "V2"]
    assert one(found, "Condition")["encounter"] == {"reference": first["fullUrl"]}
    assert one(found, "Procedure")["encounter"] == {"reference": other["fullUrl"]}


@pytest.mark.parametrize("event", EVENTS)
def test_a_segment_that_comes_late_belongs_to_the_visit_before_it(event):
    """Only a new PV1 begins another visit: DG1 before and after PR1 is the same diagnosis."""
    found = charged(event, PR1, DG1)
    assert found == charged(event, PR1, DG1, DG1)
    (visit,) = entries(found, "Encounter")
    assert one(found, "Condition")["encounter"] == {"reference": visit["fullUrl"]}
