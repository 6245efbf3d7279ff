"""HL7's own tables load untouched: every row compiles, is decided, or is an erratum with its reason."""

import csv
import tarfile
from collections import Counter
from importlib.resources import files

import pytest

from mappings.hl7v2 import parse
from mappings.hl7v2.grammar import grammar, lay_out, missing
from mappings.hl7v2.official import Verdict, check, read
from mappings.hl7v2.official.codetables import coding
from mappings.hl7v2.official.compile import Names, message_row, segment_row
from mappings.hl7v2.official.decisions import Key, errata, narrative
from mappings.hl7v2.official.layer import KINDS
from tests.support.v2_tables import code, message, segment, write

GENDER = "http://hl7.org/fhir/administrative-gender"


@pytest.fixture(scope="module")
def official(library):
    return read(library / "v2-to-fhir-1.0.0-mappings.tgz")


@pytest.fixture(scope="module")
def report(official):
    return check(official)


COUNTS = {
    "messages": (402, 337, 24, 34, 7),
    "segments": (1055, 920, 11, 78, 46),
    "datatypes": (617, 531, 20, 46, 20),
    "codesystems": (2324, 2301, 0, 2, 21),
}
"""Rows that map something, and of them: compiled, decided, left out, errata."""
VERDICTS = (Verdict.COMPILED, Verdict.DECIDED, Verdict.LEFT_OUT, Verdict.ERRATUM)


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_of_the_official_tables_is_accounted_for(report, kind):
    counts = report.counts(kind)
    rows, *rest = COUNTS[kind]
    assert [counts[verdict] for verdict in VERDICTS] == rest
    assert counts[Verdict.FAULT] == 0
    assert sum(rest) == rows


@pytest.mark.parametrize("kind", KINDS)
def test_at_most_one_row_in_twenty_is_an_erratum(report, kind):
    counts = report.counts(kind)
    assert counts[Verdict.ERRATUM] / sum(COUNTS[kind][1:]) <= 0.05
    assert report.within(kind)
    assert report.is_good


def test_no_decision_is_stale(report):
    assert report.stale == ()
    assert len(narrative()) > 150
    assert len(errata()) > 50


def test_the_rows_of_the_archive_are_all_there(official, report):
    assert [len(getattr(official, kind)) for kind in KINDS] == [13, 75, 105, 99]
    targets = [
        row.origin
        for kind in KINDS
        for rows in getattr(official, kind).values()
        for row in rows
        if row.target
    ]
    assert [account.origin for account in report.accounts if account.kind != "codesystems"]
    assert {account.origin for account in report.accounts} == set(targets)
    assert len(report.accounts) == len(targets) == 402 + 1055 + 617 + 4763


def test_a_code_without_a_code_of_v2_maps_nothing(official, report):
    unmapped = report.counts("codesystems")[Verdict.UNMAPPED]
    rows = [row for table in official.codesystems.values() for row in table if row.target]
    assert unmapped == len([row for row in rows if not row.code]) == 2439


def test_every_repair_is_one_of_the_documented_rules(report):
    used = {repair for account in report.accounts for repair in account.repairs}
    assert used == {f"r{number}" for number in range(1, 13)}


def test_a_coded_value_keeps_its_code(report):
    """Its condition is a sentence: passing over sentences would lose every code."""
    coded = [
        account
        for account in report.accounts
        if account.origin.table == "datatypes/CWE[CodeableConcept]"
        and (account.origin.identifier, account.target) == ("CWE.1", "coding[1].code")
    ]
    assert [account.verdict for account in coded] == [Verdict.DECIDED]


def test_a_row_with_a_sentence_runs_or_is_left_out_as_its_decision_says(report):
    said = {Verdict.DECIDED: "always", Verdict.LEFT_OUT: "never"}
    decided = [account for account in report.accounts if account.verdict in said]
    assert len(decided) == 215
    for account in decided:
        key = Key(account.origin.table, account.origin.identifier, account.target)
        assert narrative()[key].decision == said[account.verdict]
        assert narrative()[key].reason == account.reason


def test_decisions_hold_no_more_of_the_tables_than_what_names_a_row():
    for name in ("narrative.csv", "errata.csv"):
        text = (files("mappings.hl7v2.official") / name).read_text(encoding="utf-8")
        rows = list(csv.DictReader(text.splitlines()))
        assert rows
        assert set(rows[0]) == {"table", "identifier", "target", "decision", "reason"}
        assert all(len(row["reason"]) > 20 for row in rows)


def test_a_row_of_a_code_table_gives_a_coding(official):
    (female,) = (row for row in official.codesystems["AdministrativeSex"] if row.code == "F")
    assert coding(female) == {"system": GENDER, "code": "female", "display": "Female"}


def test_every_message_table_is_a_grammar_and_a_result_stands_in_its_own_group_alone(official):
    grammars = {name: grammar(name, rows) for name, rows in official.messages.items()}
    assert len(grammars) == 13
    results = "".join(f"OBX|{number}|NM|1||{number}\r" for number in range(1, 31))
    sent = "MSH|^~\\&|EPR|RTH|CSOR|CSOR|202505060930||ORU^R01|M1|P|2.5\rPID|1\rPV1|1\rORC|RE\r"
    laid = lay_out(grammars["ORU_R01"], parse(f"{sent}OBR|1\r{results}SPM|1\rOBX|31".encode()))
    assert counted(laid) == {"OBSERVATION": 30, "SPECIMEN_OBSERVATION": 1}
    assert list(missing(laid)) == []


def counted(branch):
    """Count the OBX segments directly in each group."""
    found = Counter()
    for child, parts in zip(branch.node.children, branch.found, strict=True):
        for part in parts:
            if child.children:
                found += counted(part)
            elif child.name == "OBX":
                found[branch.node.name] += 1
    return found


def test_of_a_choice_no_segment_is_required(official):
    orders = grammar("ORM_O01", official.messages["ORM_O01"])
    choice = next(node for node in nodes(orders) if node.name == "CHOICE")
    assert {child.name for child in choice.children} >= {"OBR", "RXO"}
    assert not any(child.required for child in choice.children)


def nodes(node):
    yield node
    for child in node.children:
        yield from nodes(child)


def test_a_message_table_whose_groups_do_not_close_is_told(tables):
    begin = message("ZZZ_Z01.STARS", "", "")
    begin[2] = "[{"
    row = message("ZZZ_Z01.STARS.ZZ1", "Patient[1]", "ZZ1[Patient]")
    write(tables, "messages", "ZZZ_Z01", [begin, row])
    fault = check(read(tables)).accounts[0]
    assert fault.verdict is Verdict.FAULT
    assert fault.reason == "ZZZ_Z01: group STARS does not end"


@pytest.fixture
def tables(tmp_path):
    """A small base of our own: one message, a segment, a datatype and a table of codes."""
    write(tmp_path, "messages", "ZZZ_Z01", [message("ZZZ_Z01.ZZ1", "Patient[1]", "ZZ1[Patient]")])
    write(tmp_path, "segments", "ZZ1[Patient]", [segment("ZZ1-1", "gender", codes="Yes / No")])
    write(tmp_path, "datatypes", "CWE[CodeableConcept]", [segment("CWE.1", "coding.code")])
    write(tmp_path, "codesystems", "YesNo", [code("F", "HL70001", "female", GENDER)])
    return tmp_path


def verdicts(place):
    return [(account.origin.identifier, account.verdict) for account in check(read(place)).accounts]


def test_a_folder_and_an_archive_are_read_alike(tables, tmp_path_factory):
    archive = tmp_path_factory.mktemp("archive") / "tables.tgz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(tables, "mappings")
    assert read(archive) == read(tables)
    assert [verdict for _, verdict in verdicts(tables)] == [Verdict.COMPILED] * 4


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (segment("ZZ1-1", "sex"), "R4 has no element Patient.sex"),
        (segment("ZZ1-1", "name"), "a HumanName is no text"),
        (segment("ZZ1-1", "name", assigned='"Ann"'), "a text is assigned to it"),
        (segment("ZZ1-1", "gender", maps="ST[name]"), r"no map of datatypes ST\[name\]"),
        (segment("ZZ1-1", "gender", codes="Stars"), "no table of codes Stars"),
        (
            segment("ZZ1-1", "gender", maps="CWE[codeableconcept]"),
            "gives CodeableConcept, not code",
        ),
        (segment("ZZ1-1", "gender", antlr="IF BRIGHT ENOUGH"), "condition is a sentence"),
        (segment("ZZ1-1", "gender", narrative="if bright"), "condition is a sentence"),
        (segment("ZZ1-1", "gender", assigned="/as bright/"), "assignment is a sentence"),
    ],
)
def test_a_row_that_cannot_run_is_told_with_its_reason(tables, row, reason):
    write(tables, "segments", "ZZ1[Patient]", [row])
    report = check(read(tables))
    fault = next(account for account in report.accounts if account.verdict is Verdict.FAULT)
    assert fault.origin.table == "segments/ZZ1[Patient]"
    assert fault.origin.line == 3
    assert not report.is_good
    assert reason.replace("\\", "") in fault.reason


@pytest.mark.parametrize(
    ("references", "reason"),
    [
        ("Patient[1].managingOrganization.reference=Device[1].id", "cannot refer to Device"),
        ("Patient[1].gender.reference=Device[1].id", "is no reference"),
        ("Patient[1].managingOrganization=ZZ1-2", "refers to no resource"),
    ],
)
def test_a_reference_that_r4_forbids_is_refused(tables, references, reason):
    row = message("ZZZ_Z01.ZZ1", "Patient[1]", "ZZ1[Patient]", references)
    write(tables, "messages", "ZZZ_Z01", [row])
    accounts = check(read(tables)).accounts
    assert accounts[0].verdict is Verdict.FAULT
    assert reason in accounts[0].reason


def test_a_message_row_is_a_resource_a_map_and_its_links(tables):
    links = 'Provenance[2].target=Patient[1].id\nProvenance[2].entity.role="source"; '
    links += "EpisodeOfCare.diagnosis.reference=Condition[3].id"
    row = message("ZZZ_Z01.ZZ1", "Provenance[2]", "zz1[patient]", links, antlr="IF ZZ1 VALUED")
    write(tables, "messages", "ZZZ_Z01", [row])
    layer = read(tables)
    compiled = message_row(layer.messages["ZZZ_Z01"][0], Names.of(layer))
    assert (compiled.target.type, compiled.segment_map) == ("Provenance", "ZZ1[Patient]")
    assert compiled.condition is not None
    assert [(link.place.name, link.type, link.tag, link.literal) for link in compiled.links] == [
        ("target", "Patient", "1", None),
        ("role", "", "", "source"),
        ("condition", "Condition", "3", None),
    ]


def test_a_resource_without_a_map_is_refused_unless_it_is_assigned(tables):
    assigned = message("ZZZ_Z01.ZZ1", "Patient[1].gender=\"female'", "")
    bare = message("ZZZ_Z01.ZZ1", "Patient[1]", "")
    write(tables, "messages", "ZZZ_Z01", [assigned, bare])
    assert [verdict for _, verdict in verdicts(tables)][:2] == [Verdict.COMPILED, Verdict.FAULT]


def test_a_compiled_row_says_where_when_and_what(tables):
    row = segment("ZZ1-1", "name.text", antlr="IF ZZ1-2 VALUED", assigned='ZZ1-1+" "+ZZ1-2')
    write(tables, "segments", "ZZ1[Patient]", [row])
    layer = read(tables)
    compiled = segment_row(layer.segments["ZZ1[Patient]"][0], "", Names.of(layer))
    assert [place.name for place in compiled.target.places] == ["text"]
    assert compiled.condition is not None
    assert compiled.assignment is not None


@pytest.mark.parametrize(
    ("target", "system", "reason"),
    [
        ("femail", GENDER, "has no code"),
        ("female", "what FHIR says", "is no URI"),
        ("fe  male", "", "is no code"),
    ],
)
def test_a_code_that_r4_does_not_have_is_refused(tables, target, system, reason):
    write(tables, "codesystems", "YesNo", [code("F", "HL70001", target, system)])
    fault = check(read(tables)).accounts[-1]
    assert (fault.verdict, reason in fault.reason) == (Verdict.FAULT, True)


def test_what_is_no_table_is_refused(tables, tmp_path_factory):
    write(tables, "segments", "ZZ1[Patient]", [])
    (tables / "segments" / "ZZ1[Patient].csv").write_text("twice", encoding="utf-8")
    with pytest.raises(ValueError, match=r"two tables ZZ1\[Patient\]"):
        read(tables)
    (tables / "segments" / "ZZ1[Patient].csv").rename(tables / "segments" / "ZZ2[Patient].csv")
    with pytest.raises(ValueError, match="no rows of headings"):
        read(tables)
    (tables / "segments" / "ZZ2[Patient].csv").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is not UTF-8"):
        read(tables)
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(ValueError, match="has no tables"):
        read(empty)
    (empty / "tables.tgz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="neither a folder nor"):
        read(empty / "tables.tgz")
