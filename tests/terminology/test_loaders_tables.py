"""OPCS-4, ICD-10 (text and ClaML), ODS and LOINC: small releases whose titles are all invented."""

import pytest

from terminology.loaders import KINDS, claml, icd10, loinc, ods, opcs4
from terminology.loaders.rows import Concept, Name, Parent, Replacement, UnreadableError


def lines(*texts: str) -> list[bytes]:
    return [f"{text}\r\n".encode() for text in texts]


class Given:
    def __init__(self, name: str, content: list[bytes] | None = None) -> None:
        self.name = name
        self.content = content or []

    def lines(self) -> list[bytes]:
        return self.content


OPCS = lines("Z98\tFictitious operations", "Z98.1\tFirst fictitious operation")


def test_opcs_4_has_codes_and_titles_and_a_category_above_four_characters() -> None:
    assert list(opcs4.concepts("o.txt", OPCS)) == [
        Concept("Z98"), Name("Z98", "Fictitious operations", "en"),
        Concept("Z98.1", alias="Z981"), Name("Z98.1", "First fictitious operation", "en"),
    ]  # fmt: skip
    assert list(opcs4.parents("o.txt", OPCS)) == [Parent("Z98.1", "Z98")]


@pytest.mark.parametrize("line", ["Z98.1 no tab", "Z981\ttitle", "Z98.12\ttitle", "Z98.1\t"])
def test_another_line_than_a_code_a_tab_and_a_title_is_refused(line: str) -> None:
    with pytest.raises(UnreadableError, match=r"o\.txt, line 3: is not a code of OPCS-4"):
        list(opcs4.concepts("o.txt", [*OPCS, *lines(line)]))


def test_a_code_that_stands_twice_is_refused() -> None:
    with pytest.raises(UnreadableError, match=r"o\.txt, line 3: Z98 stands here a second time"):
        list(opcs4.concepts("o.txt", [*OPCS, OPCS[0]]))


ICD_HEADER = (
    "CODE\tALT_CODE\tUSAGE\tUSAGE_UK\tDESCRIPTION\tMODIFIER_4\tMODIFIER_5\tQUALIFIERS"
    "\tGENDER_MASK\tMIN_AGE\tMAX_AGE\tTREE_DESCRIPTION"
)


def icd_row(code: str, other: str, title: str, fourth: str = "", fifth: str = "") -> str:
    return f"{code}\t{other}\t\t\t{title}\t{fourth}\t{fifth}\t\t0\t0\t999\tInvented"


ICD = lines(
    ICD_HEADER,
    icd_row("U98", "U98X", "Invented disease"),
    icd_row("U97", "U97", "Invented fever"),
    icd_row("U97.0", "U970", "Invented fever", "with rash"),
    icd_row("U97.01", "U9701", "Invented fever", "with rash", "of the hand"),
)


def test_icd_10_has_titles_with_their_modifiers_and_the_form_without_a_dot() -> None:
    found = list(icd10.concepts("i.txt", ICD))
    assert [(row.code, row.alias) for row in found if isinstance(row, Concept)] == [
        ("U98", "U98X"), ("U97", None), ("U97.0", "U970"), ("U97.01", "U9701"),
    ]  # fmt: skip
    assert [row.term for row in found if isinstance(row, Name)][2:] == [
        "Invented fever with rash", "Invented fever with rash of the hand",
    ]  # fmt: skip
    assert list(icd10.parents("i.txt", ICD)) == [
        Parent("U97.0", "U97"), Parent("U97.01", "U97.0"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (icd_row("U9701", "U9701", "Invented"), "line 6: 'U9701' is no code"),
        (icd_row("U98", "U98X", "Invented"), "line 6: U98 stands here a second time"),
    ],
)
def test_a_table_of_icd_10_that_is_wrong_is_refused(line: str, said: str) -> None:
    with pytest.raises(UnreadableError, match=said):
        list(icd10.concepts("i.txt", [*ICD, *lines(line)]))


CLAML = b"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE ClaML SYSTEM "ClaML.dtd">
<ClaML version="2.0.0"><Title name="Invented" version="2026">Invented</Title>
<Class code="XXII" kind="chapter"><SubClass code="U97-U98"/>
 <Rubric kind="preferred"><Label xml:lang="en">Invented chapter</Label></Rubric></Class>
<Class code="U97-U98" kind="block"><SuperClass code="XXII"/><SubClass code="U97"/>
 <Rubric kind="preferred"><Label xml:lang="en">Invented block</Label></Rubric></Class>
<Class code="U97" kind="category"><SuperClass code="U97-U98"/>
 <Rubric kind="preferred"><Label xml:lang="en">Invented <Term>fever</Term></Label></Rubric>
 <Rubric kind="preferredLong"><Label xml:lang="en">Invented fever, at length</Label></Rubric>
 <Rubric kind="inclusion"><Label xml:lang="en">not a title</Label></Rubric></Class>
</ClaML>
""".splitlines(keepends=True)


def test_claml_has_chapters_blocks_and_categories_below_one_another() -> None:
    found = list(claml.concepts("c.xml", CLAML))
    assert [(row.code, dict(row.properties)["kind"]) for row in found if isinstance(row, Concept)] == [
        ("XXII", "chapter"), ("U97-U98", "block"), ("U97", "category"),
    ]  # fmt: skip
    assert [row for row in found if isinstance(row, Name)][2:] == [
        Name("U97", "Invented fever", "en"), Name("U97", "Invented fever, at length", "en", 1),
    ]  # fmt: skip
    assert list(claml.parents("c.xml", CLAML)) == [
        Parent("U97-U98", "XXII"), Parent("U97", "U97-U98"),
    ]  # fmt: skip


def test_a_release_in_claml_says_its_version_and_is_complete_without_modifiers() -> None:
    release = KINDS["icd10"]([Given("icd.xml", CLAML)], None, "")
    assert (release.version, release.is_complete) == ("2026", True)
    modified = [line.replace(b"<Rubric", b'<ModifiedBy code="S1"/><Rubric', 1) for line in CLAML]
    assert not KINDS["icd10"]([Given("icd.xml", modified)], None, "").is_complete


def test_an_entity_of_claml_is_not_resolved_and_bad_xml_is_refused_with_its_line() -> None:
    with pytest.raises(UnreadableError, match=r"c\.xml, line 5"):
        list(claml.concepts("c.xml", [*CLAML[:4], b"</ClaML>\n"]))
    stated = b'<!DOCTYPE ClaML [<!ENTITY secret SYSTEM "file:///etc/hostname">]>\n'
    entity = [CLAML[0], stated, *CLAML[2:4], b'<Rubric kind="preferred"><Label>a&secret;b</Label>']
    found = list(claml.concepts("c.xml", [*entity, b"</Rubric></Class></ClaML>"]))
    assert [row.term for row in found if isinstance(row, Name)] == ["a&secret;b"]


def organisation(code: str, name: str, closed: str = "") -> str:
    cells = [code, name, "Y99", "Q99", *[""] * 6, "20010401", closed, *[""] * 15]
    return ",".join(f'"{cell}"' for cell in cells)


def test_an_organisation_is_inactive_from_the_day_after_it_closed() -> None:
    table = lines(organisation("X9X", 'INVENTED "TRUST"'.replace('"', '""')))
    table += lines(
        organisation("X8X", "CLOSED", "20260101"), organisation("X7X", "LAST", "20260102")
    )
    found = list(ods.concepts("etr.csv", table, "20260102"))
    concepts = [row for row in found if isinstance(row, Concept)]
    assert [(row.code, row.is_active) for row in concepts] == [
        ("X9X", True), ("X8X", False), ("X7X", True),
    ]  # fmt: skip
    assert concepts[1].properties == (("openDate", "2001-04-01"), ("closeDate", "2026-01-01"))
    assert found[1] == Name("X9X", 'INVENTED "TRUST"', "en")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("X9X,NAME", "etr.csv, line 1: has 2 columns, not 27"),
        (organisation("Organisation Code", "Name"), "is no code of an organisation"),
        (organisation("X9X", "NAME", "soon"), "is no date"),
        ('"X9X"x,', "etr.csv, line 1"),
    ],
)
def test_another_table_than_that_of_organisations_is_refused(line: str, said: str) -> None:
    with pytest.raises(UnreadableError, match=said):
        list(ods.concepts("etr.csv", lines(line), "20260102"))


LOINC = lines(
    "LOINC_NUM,COMPONENT,PROPERTY,TIME_ASPCT,SYSTEM,SCALE_TYP,METHOD_TYP,CLASS,STATUS,SHORTNAME,"
    "LONG_COMMON_NAME",
    '99990-1,"Invented, thing",MCnc,Pt,Bld,Qn,,INVENTED,ACTIVE,Inv Bld,"Invented, in Blood"',
    "99991-2,Old,MCnc,Pt,Bld,Qn,,INVENTED,DEPRECATED,,Invented and old",
)
HIERARCHY = lines(
    "PATH_TO_ROOT,SEQUENCE,IMMEDIATE_PARENT,CODE,CODE_TEXT",
    ",1,,LP99998-1,Invented part",
    "LP99998-1,1,LP99998-1,99990-1,Invented",
    "LP99998-1,2,LP99998-1,99990-1,Invented",
)


def test_loinc_has_names_axes_and_deprecated_terms_that_are_inactive() -> None:
    found = list(loinc.concepts("Loinc.csv", LOINC))
    concepts = [row for row in found if isinstance(row, Concept)]
    assert [(row.code, row.is_active) for row in concepts] == [
        ("99990-1", True),
        ("99991-2", False),
    ]
    assert dict(concepts[0].properties)["COMPONENT"] == "Invented, thing"
    assert found[1:3] == [
        Name("99990-1", "Invented, in Blood", "en"), Name("99990-1", "Inv Bld", "en", 1),
    ]  # fmt: skip


def test_the_parts_of_loinc_stand_above_its_terms_and_old_terms_have_replacements() -> None:
    assert list(loinc.parts("h.csv", HIERARCHY)) == [
        Concept("LP99998-1"), Name("LP99998-1", "Invented part", "en"),
    ]  # fmt: skip
    assert list(loinc.parents("h.csv", HIERARCHY)) == [Parent("99990-1", "LP99998-1")]
    table = lines("LOINC,MAP_TO,COMMENT", "99991-2,99990-1,")
    assert list(loinc.replacements("m.csv", table)) == [Replacement("99991-2", "", "99990-1")]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (lines("LOINC_NUM,STATUS"), "Loinc.csv, line 1: the header has no column LONG_COMMON_NAME"),
        ([*LOINC, *lines("1,2")], "Loinc.csv, line 4: has 2 columns, the header 11"),
        ([*LOINC, b'"open'], "Loinc.csv, line 4"),
    ],
)
def test_a_table_of_loinc_that_is_wrong_is_refused(table: list[bytes], said: str) -> None:
    with pytest.raises(UnreadableError, match=said):
        list(loinc.concepts("Loinc.csv", table))


def test_a_version_that_the_files_do_not_say_has_to_be_given() -> None:
    names = {"opcs4": "OPCS CodesAndTitles.txt", "ods": "etr.csv", "loinc": "a/Loinc.csv"}
    for kind, name in names.items():
        with pytest.raises(ValueError, match="give --version"):
            KINDS[kind]([Given(name)], None, "20260101")
        assert KINDS[kind]([Given(name)], "1", "20260101").version == "1"


def test_the_files_of_a_kind_are_told_by_their_names() -> None:
    trud = [Given("x/ICD10_Edition5_CodesAndTitlesAndMetadata_GB.txt"), Given("x/other.txt")]
    assert [part.file.name for part in KINDS["icd10"](trud, "5", "").parts] == [trud[0].name] * 2
    two = [Given("one.txt"), Given("two.txt")]
    with pytest.raises(ValueError, match="2 files could be the text file of codes and titles"):
        KINDS["opcs4"](two, "1", "")
    with pytest.raises(ValueError, match="there is no CSV file"):
        KINDS["ods"](two, "1", "20260101")
