"""What an operator lays over the tables: it maps as it says, and a fault is named with file and line."""

import pytest

from mappings import layers
from mappings.hl7v2 import MappingContext, own, parse, to_bundle
from mappings.hl7v2.rows import message_changes, segment_changes
from r4.issue import FhirError
from tests.mappings.messages import SEGMENTS, TERMINOLOGY, one
from tests.support.mapping_folders import (
    CHANGE,
    WHY,
    change,
    concept_map,
    keep,
    lay,
    message_change,
)

PID = "overlay/segments/PID[Patient]"
LANGUAGE = change(
    *("add", "PID-15", "communication[1].language"),
    gives="CodeableConcept",
    maps="CWE[CodeableConcept]",
)
ADMISSIONS = "https://example.org/fictitious/ConceptMap/admissions"
V2_0007 = "https://csor.example/fhir/sid/hl7v2/0007"
METHOD = "https://fhir.hl7.org.uk/CodeSystem/UKCore-AdmissionMethodEngland"


def mapped(folder, **changed):
    """Map an admission, single segments changed, by the layers of a folder."""
    context = MappingContext(TERMINOLOGY, engine=layers.engine(folder))
    lines = [line for line in (SEGMENTS | changed).values() if line]
    return to_bundle(parse("\r".join(lines).encode()), context)


def from_hospital(ods, **changed):
    return {"MSH": SEGMENTS["MSH"].replace("|RTH|", f"|{ods}|"), **changed}


def pid(**fields):
    """The PID segment with single fields set, as `f15="..."`."""
    cells = SEGMENTS["PID"].split("|") + [""] * 20
    for name, value in fields.items():
        cells[int(name[1:])] = value
    return "|".join(cells)


def test_without_a_folder_and_with_an_empty_one_the_package_maps(tmp_path):
    assert layers.engine(None) is own()
    assert mapped(tmp_path) == mapped(None)
    assert layers.engine(tmp_path).version == own().version


def test_an_added_row_maps_what_the_package_does_not(tmp_path):
    lay(tmp_path, PID, change("drop", "PID-15"), LANGUAGE)
    spoken = pid(f15="cy^Welsh^ISO639")
    assert "communication" not in one(mapped(None, PID=spoken), "Patient")
    found = one(mapped(tmp_path, PID=spoken), "Patient")
    assert found["communication"][0]["language"]["text"] == "Welsh"
    assert layers.engine(tmp_path).version != own().version


def test_a_dropped_row_maps_no_more(tmp_path):
    lay(tmp_path, PID, change("drop", "PID-8", "gender"))
    assert one(mapped(None), "Patient")["gender"] == "female"
    assert "gender" not in one(mapped(tmp_path), "Patient")


def test_a_replaced_row_maps_as_the_new_one_says(tmp_path):
    lay(tmp_path, PID, change("replace", "PID", "active", gives="boolean", assigned='"false"'))
    assert one(mapped(tmp_path), "Patient")["active"] is False


def test_a_row_keeps_its_place_when_it_is_replaced(tmp_path):
    lay(tmp_path, PID, change("replace", "PID", "active", gives="boolean", assigned='"false"'))
    assert list(one(mapped(tmp_path), "Patient")) == list(one(mapped(None), "Patient"))


def test_a_segment_of_the_operators_own_is_added_to_a_message_and_its_group(tmp_path):
    row = message_change(
        "add", "ADT_A01.ZPR", "Procedure[2]", syntax="[{ ZPR }]", maps="ZPR[Procedure]",
        references="Procedure[2].subject.reference=Patient[1].id",
    )  # fmt: skip
    lay(tmp_path, "overlay/messages/ADT_A01", row)
    status = change("add", "ZPR", "status", gives="code", assigned='"completed"')
    number = change("add", "ZPR-1", "code.text", gives="string")
    lay(tmp_path, "overlay/segments/ZPR[Procedure]", status, number)
    found = one(mapped(tmp_path, ZPR="ZPR|Fictitious"), "Procedure")
    assert (found["status"], found["code"]) == ("completed", {"text": "Fictitious"})
    assert found["subject"]["reference"].startswith("urn:uuid:")


def test_a_message_of_the_operators_own_is_chosen_by_its_structure_or_its_event(tmp_path):
    rows = [
        message_change("add", f"ZZZ_Z01.{name}", target, syntax=name, maps=f"{name}[{target[:-3]}]")
        for name, target in (("MSH", "Provenance[1]"), ("PID", "Patient[1]"))
    ]
    lay(tmp_path, "overlay/messages/ZZZ_Z01", *rows)
    for event in ("ZZZ^Z01", "ZZZ^Z09^ZZZ_Z01"):
        header = SEGMENTS["MSH"].replace("ADT^A01^ADT_A01", event)
        bundle = mapped(tmp_path, MSH=header, EVN="", PV1="")
        assert one(bundle, "Patient")["birthDate"] == "2025-04-30"
    for event in ("ZZZ^Z09", "ADT^A99^ADT_A01"):
        with pytest.raises(FhirError, match="not supported"):
            mapped(tmp_path, MSH=SEGMENTS["MSH"].replace("ADT^A01^ADT_A01", event))


@pytest.mark.parametrize(
    ("name", "row", "reason"),
    [
        (PID, change("add", "PID-15", "language.word", gives="string"), "R4 has no element"),
        (PID, change("add", "PID-15", "language"), "has type code, not"),
        (PID, change("add", "PID-8", "gender", gives="code"), "has this row already: replace it"),
        (PID, change("replace", "PID-8", "sex"), "replace must hit one row of sex, not: no row"),
        (PID, change("drop", "PID-8"), "drop must hit one row of no target, not: no row"),
        (PID, change("alter", "PID-8", "gender"), "Op is `alter`, not one of add, replace, drop"),
        (PID, change("drop", "PID-8", "gender", why=""), "the row gives no Reason"),
        (PID, change("drop", "PID-8", "gender", when="has_visit"), "must hit one row"),
        ("overlay/messages/ADT_A01", message_change("add", "ADT_A01.X.ZZ1"), "no group ADT_A01.X"),
        (
            "overlay/messages/ADT_A01",
            message_change("add", "ADT_A01.ZZ1", "Patient[1]", syntax="ZZ1", maps="ZZ1[Patient]"),
            r"no segment map ZZ1\[Patient\] for Patient\[1\]",
        ),
        ("overlay/datatypes/XAD[Address]", change("add", "XAD.9", "town"), "R4 has no element"),
    ],
)
def test_a_row_that_cannot_be_used_stops_the_start_and_is_named(tmp_path, name, row, reason):
    with pytest.raises(ValueError, match=reason) as refused:
        layers.engine(lay(tmp_path, name, row))
    assert str(refused.value).startswith(f"{name}, line 3 ({row[0]}): ")


def test_a_change_that_hits_several_rows_is_refused(tmp_path):
    drop = change("drop", "PD1-3", "generalPractitioner")
    rows = [*([change("add", "XPN.9", "text", gives="string")] * 2), drop]
    with pytest.raises(ValueError, match=r"line 4 .* has this row already"):
        layers.engine(lay(tmp_path, "overlay/datatypes/XPN[HumanName]", *rows))


@pytest.mark.parametrize("read", [segment_changes, message_changes])
def test_an_overlay_has_the_columns_of_a_table_and_no_others(read):
    target = "FHIR Attribute" if read is segment_changes else "Primary Target"
    good = f"HL7 v2\nIdentifier,Condition Function,{target},Op,Reason\nPID-1,,,drop,none"
    assert [(each.op, each.reason) for each in read(good, "overlay", "x")] == [("drop", "none")]
    with pytest.raises(ValueError, match="has no column remarks there"):
        read(good.replace("Reason", "Reason,Remarks"), "overlay", "x")
    with pytest.raises(ValueError, match="must be headed Identifier, Op and Reason"):
        read(good.replace(",Op,", ",,"), "overlay", "x")
    with pytest.raises(ValueError, match="no rows of headings"):
        read("Identifier,Op", "overlay", "x")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("overlays/segments/PID[Patient].csv", "", "no such file is read here"),
        ("overlay/segment/PID[Patient].csv", "", "no such file is read here"),
        ("overlay/events.csv", "", "no such file is read here"),
        ("sites/R/T/H.toml", "", "no such file is read here"),
        ("conceptmaps/a.json", "", "no such file is read here"),
        ("overlay/segments/ZZ1[Patient].csv", "a", "has no rows of headings"),
        ("overlay/segments/ZZ1[Patient].csv", 'a\n"b"c', "line 2: this is no CSV"),
        ("sites/RTH.toml", "a\nb", "sites/RTH.toml: .*line 1"),
        ("sites/RTH.toml", "[defaults]\nzone = 1", "unknown entries"),
        ("sites/RTH.toml", "authority = 1", "is to be written as"),
        ("sites/RTH.toml", '\n[[authority]]\nfield = "PID-2"', "line 2: .*lacks 'kind'"),
        (
            "sites/RTH.toml",
            '[[authority]]\nfield = "PID-2"\nkind = "nhs"\nreason = " "',
            "lacks 'reason'",
        ),
        (
            "sites/RTH.toml",
            '[[authority]]\nfield = "PID-2"\nkind = "passport"\nreason = "x"',
            "line 1: .*no kind of number passport, but nhs",
        ),
        (
            "sites/RTH.toml",
            '[[system]]\nname = "A"\nuri = "urn:a"\nreason = "x"\n\n[[system]]\nname = "B"\nuri = "b"',
            "line 6: .*lacks 'reason'",
        ),
        (
            "sites/RTH.toml",
            '[[system]]\nname = "B"\nuri = "b"\nreason = "x"',
            "line 1: .*`b` is no URI",
        ),
        (
            "sites/RTH.toml",
            '[[vocabulary]]\nname = "Stars"\nconcept-map = "b"\nreason = "x"',
            "no vocabulary Stars",
        ),
        (
            "sites/RTH.toml",
            '[[vocabulary]]\nname = "YesNo"\nconcept-map = "urn:b"\nreason = "x"',
            "no ConceptMap urn:b in conceptmaps/RTH",
        ),
        ("conceptmaps/RTH/a.json", "{", "is not JSON"),
        ("conceptmaps/RTH/a.json", "[]", "is no ConceptMap"),
        ("conceptmaps/RTH/a.json", '{"resourceType": "ConceptMap"}', "ConceptMap.status"),
        (
            "conceptmaps/RTH/a.json",
            '{"resourceType": "ConceptMap", "status": "draft"}',
            "has no url",
        ),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_start_and_is_named(tmp_path, name, content, reason):
    with pytest.raises(ValueError, match=reason) as refused:
        layers.engine(keep(tmp_path, name, content))
    assert str(refused.value).startswith(name.removesuffix(".csv"))


def test_a_segment_map_that_no_message_names_is_refused(tmp_path):
    row = change("add", "ZZ1-1", "birthDate", gives="date", maps="TS[date]")
    with pytest.raises(ValueError, match=r"ZZ1\[Patient\]: no message table names"):
        layers.engine(lay(tmp_path, "overlay/segments/ZZ1[Patient]", row))


def test_notes_may_stand_beside_the_tables(tmp_path):
    keep(tmp_path, "README.md", "why")
    keep(tmp_path, ".git/config", "x")
    assert mapped(tmp_path) == mapped(None)


def test_a_place_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is no folder"):
        layers.engine(tmp_path / "absent")


def test_an_overlay_of_one_hospital_changes_its_messages_alone(tmp_path):
    lay(tmp_path, PID, change("drop", "PID-8", "gender"))
    lay(tmp_path, "sites/RHM/segments/PID[Patient]", LANGUAGE)
    spoken = pid(f15="cy^Welsh")
    theirs = one(mapped(tmp_path, **from_hospital("RHM", PID=spoken)), "Patient")
    others = one(mapped(tmp_path, PID=spoken), "Patient")
    assert ("communication" in theirs, "communication" in others) == (True, False)
    assert "gender" not in {*theirs, *others}


def test_a_hospitals_coding_system_is_the_one_its_site_file_names(tmp_path):
    keep(
        tmp_path,
        "sites/RTH.toml",
        '[[system]]\nname = "LOCAL10"\nuri = "http://hl7.org/fhir/sid/icd-10"\nreason = "x"',
    )
    diagnosed = "DG1|1||Q431^Hirschsprung's disease^Local10"
    found = one(mapped(tmp_path, DG1=diagnosed), "Condition")["code"]["coding"][0]
    assert (found["system"], found["code"]) == ("http://hl7.org/fhir/sid/icd-10", "Q43.1")
    other = mapped(tmp_path, **from_hospital("RHM", DG1=diagnosed))
    assert one(other, "Condition")["code"]["coding"][0]["system"].endswith("/RHM/codes.Local10")


NAMED = f'[[vocabulary]]\nname = "AdmissionMethod"\nconcept-map = "{ADMISSIONS}"\nreason = "own"\n'


def test_a_hospitals_codes_are_mapped_by_its_own_concept_map(tmp_path):
    keep(
        tmp_path,
        "conceptmaps/RTH/admissions.json",
        concept_map(ADMISSIONS, V2_0007, METHOD, GP="22"),
    )
    keep(tmp_path, "sites/RTH.toml", NAMED)
    sent = {"PV1": SEGMENTS["PV1"].replace("|28|", "|GP|")}
    assert "22" in str(one(mapped(tmp_path, **sent), "Encounter"))
    assert "22" not in str(one(mapped(tmp_path, **from_hospital("RHM", **sent)), "Encounter"))


def test_a_concept_map_that_hands_over_to_ours_takes_what_ours_gives(tmp_path):
    handing = concept_map(ADMISSIONS, V2_0007, METHOD, GP="22")
    ours = "https://csor.example/fhir/ConceptMap/v2-admission-method"
    handing["group"][0]["unmapped"] = {"mode": "other-map", "url": ours}
    keep(tmp_path, "conceptmaps/RTH/admissions.json", handing)
    keep(tmp_path, "sites/RTH.toml", NAMED)
    assert mapped(tmp_path) == mapped(None)


def test_a_concept_map_that_hands_over_to_an_unknown_one_is_refused(tmp_path):
    handing = concept_map(ADMISSIONS, V2_0007, METHOD, GP="22")
    handing["group"][0]["unmapped"] = {"mode": "other-map", "url": "urn:example:absent"}
    keep(tmp_path, "conceptmaps/RTH/admissions.json", handing)
    with pytest.raises(ValueError, match="hands over to urn:example:absent, which is not here"):
        layers.engine(tmp_path)


def test_a_concept_map_of_other_codes_than_the_vocabularys_is_refused(tmp_path):
    keep(tmp_path, "conceptmaps/RTH/a.json", concept_map(ADMISSIONS, "urn:x", METHOD, GP="22"))
    keep(tmp_path, "sites/RTH.toml", NAMED)
    with pytest.raises(ValueError, match=f"no group has source {V2_0007}"):
        layers.engine(tmp_path)


def test_two_concept_maps_of_one_url_are_refused(tmp_path):
    admissions = concept_map(ADMISSIONS, V2_0007, METHOD, A="22")
    for name in ("a", "b"):
        keep(tmp_path, f"conceptmaps/RTH/{name}.json", admissions)
    with pytest.raises(ValueError, match=r"a\.json has the url"):
        layers.engine(tmp_path)


def test_what_the_operator_says_of_a_hospital_counts_beside_what_the_package_says(tmp_path):
    keep(
        tmp_path,
        "sites/RGT.toml",
        '[[authority]]\nfield = "PID-4"\nkind = "chi"\nreason = "PID-4 holds the CHI number."',
    )
    found = layers.engine(tmp_path).sites["RGT"]
    assert found.authorities == {"PID-2": "nhs", "PID-4": "chi"}


def test_a_folder_is_told_by_what_it_holds(tmp_path):
    lay(tmp_path, PID, LANGUAGE, change("drop", "PID-8", "gender"))
    lay(tmp_path, "sites/RHM/segments/PID[Patient]", change("drop", "PID-7", "birthDate"))
    keep(tmp_path, "conceptmaps/RTH/a.json", concept_map(ADMISSIONS, V2_0007, METHOD, GP="22"))
    _, found = layers.check(tmp_path)
    assert found.changes == {
        ("overlay", "add"): 1,
        ("overlay", "drop"): 1,
        ("sites/RHM", "drop"): 1,
    }
    assert (found.sites, found.concept_maps) == (("RHM",), 1)
    assert found.unused == ("conceptmaps/RTH/a.json",)


def test_the_columns_of_the_tests_are_those_that_analysts_use():
    assert CHANGE[-2:] == ["Op", "Reason"]
    assert WHY
