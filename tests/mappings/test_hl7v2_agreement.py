"""Our tables beside HL7's own: every row is the same, or differs for a reason that somebody wrote."""

import csv
from importlib.resources import files
from pathlib import Path

import pytest

from fhir_server.__main__ import main
from mappings.hl7v2 import tables
from mappings.hl7v2.official import read
from mappings.hl7v2.official.agreement import Agreement, Outcome, agreement, written
from mappings.hl7v2.official.decisions import Key
from mappings.hl7v2.official.layer import KINDS
from tests.support.v2_tables import code, message, segment, write


@pytest.fixture(scope="module")
def compared(library):
    return agreement(read(library / "v2-to-fhir-1.0.0-mappings.tgz"))


def test_every_difference_from_the_official_tables_has_a_reason(compared):
    unexplained = [
        f"{row.key.table},{row.key.identifier},{row.key.target}" for row in compared.unexplained
    ]
    assert unexplained == [], "say why in our row's comment, or in official/agreement.csv"


def test_no_reason_is_stale(compared):
    assert compared.stale == (), "take these rows out of official/agreement.csv"


def test_every_official_row_with_a_target_is_compared(compared):
    rows = {kind: compared.counts(kind).total() for kind in KINDS}
    assert rows == {"messages": 402, "segments": 1055, "datatypes": 617, "codesystems": 2324}


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_for_integrators_shows_how_far_they_agree(compared, kind):
    counts = compared.counts(kind)
    figures = " | ".join(f"{number:,}" for number in (counts.total(), *map(counts.get, Outcome)))
    page = (Path(__file__).parents[2] / "docs/hl7v2.md").read_text(encoding="utf-8")
    name = {"codesystems": "code systems"}.get(kind, kind)
    assert f"| {name} | {figures} |\n" in page


@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        ("messages", tables.messages),
        ("segments", tables.segment_maps),
        ("datatypes", tables.datatype_maps),
    ],
)
def test_a_table_is_ours_too_or_listed_as_theirs_alone(compared, kind, ours):
    rows = [row for row in compared.rows if row.key.table.startswith(f"{kind}/")]
    theirs_alone = {row.key.table for row in rows if row.outcome is Outcome.NO_TABLE}
    both = {row.key.table for row in rows} - theirs_alone
    assert both
    assert {table.partition("/")[2] for table in both} <= set(ours())
    assert not {table.partition("/")[2] for table in theirs_alone} & set(ours())


def test_the_reasons_hold_no_more_of_the_tables_than_what_names_a_row():
    text = (files("mappings.hl7v2.official") / "agreement.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert set(rows[0]) == {"table", "identifier", "target", "reason"}
    assert all(len(row["reason"]) > 20 and row["reason"].endswith(".") for row in rows)
    assert len(written()) == len(rows) > 30


def outcome(folder, reasons=None):
    """Compare a base of one row; return what became of it, ours instead, and the reason."""
    (row,) = agreement(read(folder), reasons or {}).rows
    return row.outcome, row.ours, row.reason


def of_pid(folder, *cells, **named):
    write(folder, "segments", "PID[Patient]", [segment(*cells, **named)])
    return folder


def test_the_same_target_is_the_same_whatever_its_tag(tmp_path):
    assert outcome(of_pid(tmp_path, "PID-5", "name[1]")) == (Outcome.SAME, "", "")
    assert outcome(of_pid(tmp_path, "PID-7", "$this.birthDate"))[0] is Outcome.SAME


def test_another_fixed_value_is_a_difference(tmp_path):
    assert outcome(of_pid(tmp_path, "PID", "active", assigned='"true"'))[0] is Outcome.SAME
    found = outcome(of_pid(tmp_path, "PID", "active", assigned='"false"'))
    assert found[:2] == (
        Outcome.DIFFERS,
        'active = "true", extension, managingOrganization',
    )


def test_a_difference_is_explained_by_the_comment_of_our_row(tmp_path):
    (ours,) = (row for row in tables.segment_maps()["PID[Patient]"] if row.identifier == "PID-16")
    assert ours.comment
    found = outcome(of_pid(tmp_path, "PID-16", "maritalStatus"))
    assert found == (Outcome.NOT_MAPPED, "", ours.comment)


@pytest.mark.parametrize(
    ("table", "identifier", "target"),
    [
        ("segments/PID[Patient]", "PID-8", "gender.extension"),
        ("segments/PID[Patient]", "PID-8", "*"),
        ("segments/PID[Patient]", "*", "*"),
    ],
)
def test_where_our_row_says_nothing_a_written_reason_counts(tmp_path, table, identifier, target):
    of_pid(tmp_path, "PID-8", "gender.extension")
    assert outcome(tmp_path) == (Outcome.DIFFERS, "gender", "")
    key = Key(table, identifier, target)
    assert outcome(tmp_path, {key: "Because."}) == (Outcome.DIFFERS, "gender", "Because.")


def test_one_reason_may_be_about_a_segment_of_every_message(tmp_path):
    write(tmp_path, "messages", "ADT_A01", [message("ADT_A01.X.ZZ9", "Basic", "ZZ9[Basic]")])
    reasons = {Key("messages/*", "*.ZZ9", "Basic"): "Because."}
    assert outcome(tmp_path, reasons) == (Outcome.NOT_MAPPED, "", "Because.")


def test_a_segment_is_found_in_whatever_group_we_have_it(tmp_path):
    rows = [
        message("ADT_A01.NEXT_OF_KIN.NK1", target, f"NK1[{target.partition('[')[0]}]")
        for target in ("Patient[1]", "RelatedPerson[1]")
    ]
    write(tmp_path, "messages", "ADT_A01", rows)
    found = agreement(read(tmp_path), {}).rows
    assert [(row.outcome, row.ours, row.reason) for row in found] == [
        (Outcome.SAME, "", ""),
        (Outcome.DIFFERS, "Patient[1]", ""),
    ]


def test_the_comment_of_a_row_about_the_whole_is_no_reason_for_a_part(tmp_path):
    (whole,) = (row for row in tables.segment_maps()["DG1[EpisodeOfCare]"] if row.target == "type")
    assert (whole.identifier, bool(whole.comment)) == ("DG1", True)
    write(tmp_path, "segments", "DG1[EpisodeOfCare]", [segment("DG1-6", "diagnosis.role")])
    assert outcome(tmp_path)[0::2] == (Outcome.DIFFERS, "")


def test_a_reason_for_one_target_comes_before_the_comment_of_our_row(tmp_path):
    of_pid(tmp_path, "PID-16", "maritalStatus")
    commented = outcome(tmp_path)[2]
    table = "segments/PID[Patient]"
    assert outcome(tmp_path, {Key(table, "PID-16", "maritalStatus"): "Because."})[2] == "Because."
    assert outcome(tmp_path, {Key(table, "PID-16", "*"): "Because."})[2] == commented != ""


def test_a_reason_that_nothing_needs_is_stale(tmp_path):
    of_pid(tmp_path, "PID-5", "name")
    key = Key("segments/PID[Patient]", "PID-5", "*")
    assert agreement(read(tmp_path), {key: "Because."}).stale == (key,)


def test_a_table_that_we_have_not_needs_no_reason(tmp_path):
    write(tmp_path, "segments", "ZZ1[Patient]", [segment("ZZ1-1", "birthDate")])
    found = agreement(read(tmp_path), {})
    assert [row.outcome for row in found.rows] == [Outcome.NO_TABLE]
    assert found.unexplained == ()


def test_codes_are_compared_with_our_concept_map_of_their_table(tmp_path):
    gender = "http://hl7.org/fhir/administrative-gender"
    rows = [
        code("F", "HL70001", "female", gender),
        code("F", "HL70001", "other", gender),
        code("QQ", "HL70001", "other", gender),
        code("F", "HL79999", "female", gender),
    ]
    write(tmp_path, "codesystems", "AdministrativeSex", rows)
    found = agreement(read(tmp_path), {}).rows
    assert [row.outcome for row in found] == [
        *(Outcome.SAME, Outcome.DIFFERS, Outcome.NOT_MAPPED, Outcome.NO_TABLE)
    ]
    assert found[1].ours == "female"


def test_the_command_tells_each_difference_with_its_reason(tmp_path, capsys):
    of_pid(tmp_path, "PID-16", "maritalStatus")
    assert main(["mappings", "agree", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "segments: 0 same, 0 differs, 1 not mapped by ours, 0 no table of ours" in told
    assert "  line 3 (PID-16) maritalStatus: not mapped by ours: not used by the registry" in told


def test_the_command_fails_where_a_difference_has_no_reason(tmp_path, capsys):
    of_pid(tmp_path, "PID-8", "gender.extension")
    assert main(["mappings", "agree", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "line 3 (PID-8) gender.extension: differs (gender): NO REASON" in told
    assert "1 differences have no reason" in told


def test_the_command_writes_every_row_as_csv(tmp_path, capsys):
    of_pid(tmp_path, "PID-5", "name")
    assert main(["mappings", "agree", "--csv", str(tmp_path)]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["identifier"], row["outcome"]) for row in rows] == [("PID-5", "same")]


def test_an_agreement_without_rows_is_empty():
    assert Agreement((), ()).unexplained == ()
