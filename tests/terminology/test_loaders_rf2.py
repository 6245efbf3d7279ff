"""SNOMED CT's release format: every concept and term here is fictitious, its check digit right.

Only the identifiers of the format itself (is-a, kinds of description, …) are real.
"""

import pytest

from terminology.loaders import KINDS, rf2
from terminology.loaders.rows import Concept, Member, Name, Parent, Replacement, UnreadableError

TIMES = "20260101\t1\t19999999103"
ONE, TWO, THREE = (rf2.with_check_digit(f"{n}999999910") for n in (11, 12, 13))
FIRST, SECOND, OTHER = (rf2.with_check_digit(f"{n}999999911") for n in (21, 22, 23))
GB, US = "900000000000508004", "900000000000509007"
CONCEPTS = "id\teffectiveTime\tactive\tmoduleId\tdefinitionStatusId"
DESCRIPTIONS = (
    "id\teffectiveTime\tactive\tmoduleId\tconceptId\tlanguageCode\ttypeId\tterm\tcaseSignificanceId"
)
RELATIONSHIPS = (
    "id\teffectiveTime\tactive\tmoduleId\tsourceId\tdestinationId\trelationshipGroup\ttypeId"
    "\tcharacteristicTypeId\tmodifierId"
)
LANGUAGE = "id\teffectiveTime\tactive\tmoduleId\trefsetId\treferencedComponentId\tacceptabilityId"
PRIMITIVE = "900000000000074008"


def lines(*texts: str) -> list[bytes]:
    return [f"{text}\r\n".encode() for text in texts]


@pytest.mark.parametrize("identifier", [rf2.IS_A, rf2.FULLY_SPECIFIED, GB, ONE])
def test_an_identifier_ends_in_verhoeffs_check_digit(identifier: str) -> None:
    assert rf2.has_check_digit(identifier)
    last = (int(identifier[-1]) + 1) % 10
    assert not rf2.has_check_digit(f"{identifier[:-1]}{last}")
    swapped = identifier[:-3] + identifier[-2] + identifier[-3] + identifier[-1]
    assert swapped == identifier or not rf2.has_check_digit(swapped)


@pytest.mark.parametrize("identifier", ["", "12345", "1" * 19, "11668000x", "-116680003"])
def test_what_is_not_6_to_18_digits_is_no_identifier(identifier: str) -> None:
    assert not rf2.has_check_digit(identifier)


def test_concepts_are_read_by_the_headers_names_active_or_not() -> None:
    swapped = "active\tid\teffectiveTime\tmoduleId\tdefinitionStatusId"
    found = list(
        rf2.concepts(
            "c.txt",
            lines(
                swapped, f"1\t{ONE}\t20260101\t5\t{PRIMITIVE}", f"0\t{TWO}\t20260101\t5\t{rf2.DEFINED}"
            ),
        )
    )  # fmt: skip
    module = ("moduleId", "5")
    assert found == [
        Concept(ONE, True, None, (module, ("sufficientlyDefined", False))),
        Concept(TWO, False, None, (module, ("sufficientlyDefined", True))),
    ]


def test_quotes_are_letters_of_a_term() -> None:
    term = 'Fictitious "quoted" finding, 5"'
    row = f"{FIRST}\t{TIMES}\t{ONE}\ten\t{rf2.SYNONYM}\t{term}\t1"
    assert list(rf2.names("d.txt", lines(DESCRIPTIONS, row), {})) == [
        Name(ONE, term, "en", 90, rf2.SYNONYM)
    ]


def test_the_display_is_what_the_first_dialect_prefers_then_the_fully_specified_name() -> None:
    preferences = rf2.preferred(
        [
            (
                "l.txt",
                lines(
                    LANGUAGE,
                    f"a\t{TIMES}\t{US}\t{FIRST}\t{rf2.PREFERRED}",
                    f"b\t{TIMES}\t{GB}\t{SECOND}\t{rf2.PREFERRED}",
                    f"c\t{TIMES}\t{GB}\t{FIRST}\t900000000000549004",
                    f"d\t20260101\t0\t5\t{GB}\t{OTHER}\t{rf2.PREFERRED}",
                ),
            )
        ]
    )
    rows = [
        f"{FIRST}\t{TIMES}\t{ONE}\ten\t{rf2.SYNONYM}\tFictitious color\t1",
        f"{SECOND}\t{TIMES}\t{ONE}\ten\t{rf2.SYNONYM}\tFictitious colour\t1",
        f"{OTHER}\t{TIMES}\t{ONE}\ten\t{rf2.SYNONYM}\tFictitious hue\t1",
        f"{OTHER}\t{TIMES}\t{ONE}\ten\t{rf2.FULLY_SPECIFIED}\tFictitious colour (thing)\t1",
        f"{OTHER}\t20260101\t0\t5\t{ONE}\ten\t{rf2.SYNONYM}\tFictitious tint\t1",
    ]
    found = list(rf2.names("d.txt", lines(DESCRIPTIONS, *rows), preferences))
    assert [name.term for name in sorted(found, key=lambda name: name.rank)] == [
        "Fictitious colour", "Fictitious color", "Fictitious colour (thing)", "Fictitious hue",
    ]  # fmt: skip


def test_a_parent_is_an_active_is_a_relationship() -> None:
    rows = [
        f"1\t{TIMES}\t{TWO}\t{ONE}\t0\t{rf2.IS_A}\t0\t0",
        f"2\t{TIMES}\t{TWO}\t{THREE}\t1\t363698007\t0\t0",
        f"3\t20260101\t0\t5\t{TWO}\t{THREE}\t0\t{rf2.IS_A}\t0\t0",
    ]
    assert list(rf2.parents("r.txt", lines(RELATIONSHIPS, *rows))) == [Parent(TWO, ONE)]


def test_members_and_replacements_are_the_active_rows_of_their_reference_sets() -> None:
    header = "id\teffectiveTime\tactive\tmoduleId\trefsetId\treferencedComponentId"
    rows = [f"a\t{TIMES}\t9\t{ONE}", f"b\t20260101\t0\t5\t9\t{TWO}"]
    assert list(rf2.members("s.txt", lines(header, *rows))) == [Member("9", ONE)]
    header += "\ttargetComponentId"
    rows = [f"a\t{TIMES}\t{rf2.SAME_AS}\t{TWO}\t{ONE}", f"b\t20260101\t0\t5\t9\t{TWO}\t{THREE}"]
    assert list(rf2.replacements("h.txt", lines(header, *rows))) == [
        Replacement(TWO, rf2.SAME_AS, ONE)
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lines("id\tactive"), "c.txt, line 1: the header has no column moduleId"),
        ([], "c.txt, line 1: the header has no column id"),
        (lines(CONCEPTS, f"{ONE}\t20260101"), "c.txt, line 2: has 2 columns, the header 5"),
        (lines(CONCEPTS, f"{ONE[:-1]}x\t{TIMES}\t1"), "c.txt, line 2: .* is no identifier"),
        ([*lines(CONCEPTS), b"\xff\r\n"], "c.txt, line 2: is not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused_with_file_and_line(content: list[bytes], said: str) -> None:
    with pytest.raises(UnreadableError, match=said):
        list(rf2.concepts("c.txt", content))


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    def lines(self) -> list[bytes]:
        return []


def files(tag: str) -> list[Named]:
    return [
        Named(f"x/Snapshot/{name}_{tag}_20260101.txt")
        for name in (
            "sct2_Concept_Snapshot", "sct2_Description_Snapshot-en", "sct2_Relationship_Snapshot",
            "der2_cRefset_LanguageSnapshot-en", "sct2_StatedRelationship_Snapshot",
            "sct2_Concept_Full", "sct2_TextDefinition_Snapshot-en",
        )
    ]  # fmt: skip


def test_a_release_is_made_of_its_snapshot_files_and_names_its_edition() -> None:
    release = KINDS["snomed"](files("INT"), None, "")
    assert release.version == "http://snomed.info/sct/900000000000207008/version/20260101"
    assert [part.file.name.split("/")[2].split("_")[1] for part in release.parts] == [
        "Concept", "Description", "Relationship",
    ]  # fmt: skip
    assert len(release.files) == 4
    given = KINDS["snomed"](files("MONO"), "83821000000107", "")
    assert given.version == "http://snomed.info/sct/83821000000107/version/20260101"


def test_an_edition_that_cannot_be_told_has_to_be_given() -> None:
    with pytest.raises(ValueError, match="give --version"):
        KINDS["snomed"](files("MONO"), None, "")
    with pytest.raises(ValueError, match="give the folder or the zip"):
        KINDS["snomed"](files("INT")[:2], None, "")
