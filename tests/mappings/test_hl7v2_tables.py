"""The mapping tables: every row runs, and a row that cannot is refused at load, by name."""

from importlib.resources import files
from pathlib import Path

import pytest

from mappings.hl7v2 import functions, observations, sites, structures, tables
from mappings.hl7v2.compile import compile_row, datatype_maps, segment_maps
from mappings.hl7v2.elements import place
from mappings.hl7v2.reference import page
from mappings.hl7v2.structure import grammar
from r4 import artefacts

GOOD = {
    "Identifier": "PID-7",
    "Name": "Date of birth",
    "Cardinality - Min": "0",
    "Condition": "",
    "FHIR Attribute": "birthDate",
    "Extension": "",
    "FHIR Data Type": "date",
    "Data Type Mapping": "TS[date]",
    "Vocabulary Mapping": "",
    "Assignment": "",
    "Function": "",
}


def test_every_table_compiles():
    assert set(structures()) == {"ADT_A01", "ADT_A03", "ADT_A05", "ADT_A39", "ORU_R01"}
    assert all(segment_maps().values())


def test_every_event_has_a_table_and_every_table_an_event():
    assert {event.structure for event in tables.events().values()} == set(structures())


def test_every_segment_map_is_used_by_a_message():
    used = {
        row["Segment Map"]
        for name in tables.names("messages")
        for row in tables.rows(f"messages/{name}.csv")
    }
    assert used - {""} == set(segment_maps())


def test_every_datatype_mapping_is_used_by_a_segment():
    used = {row["Data Type Mapping"] for _, rows in tables.segment_maps() for row in rows}
    assert used - {""} == set(datatype_maps())


def test_every_vocabulary_is_a_concept_map_with_its_source():
    concept_maps = artefacts.by_url("terminology", "ConceptMap")
    for vocabulary in tables.vocabularies().values():
        sources = {group["source"] for group in concept_maps[vocabulary.concept_map]["group"]}
        assert sources == {vocabulary.system}


def test_every_site_file_names_known_kinds_and_vocabularies_with_reasons():
    assert sites.every()
    for site in sites.every().values():
        assert set(site.authorities.values()) <= set(tables.kinds())
        assert set(site.concept_maps) <= set(tables.vocabularies())
        assert all(len(reason) > 20 for reason in site.reasons)
    assert sites.site("nobody") == sites.Site()


def test_tables_hold_no_expressions():
    for _, rows in tables.segment_maps():
        for row in rows:
            for column in ("Condition", "Function"):
                assert not row[column] or row[column].isidentifier()


def test_a_good_row_compiles():
    compile_row("PID", "Patient", GOOD)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"FHIR Attribute": "dateOfBirth"}, "R4 has no element Patient.dateOfBirth"),
        ({"FHIR Attribute": "birth-date"}, "is no step of a path"),
        ({"FHIR Attribute": "birthDate("}, "is no path"),
        ({"FHIR Data Type": "dateTime"}, "has type date, not dateTime"),
        ({"Data Type Mapping": "TS[dateTime]"}, r"TS\[dateTime\] gives dateTime, not date"),
        ({"Data Type Mapping": "TS[day]"}, r"no datatype mapping TS\[day\]"),
        ({"Data Type Mapping": ""}, "needs a Data Type Mapping"),
        ({"Function": "birthday"}, "there is no function `birthday`"),
        ({"Function": "_key"}, "there is no function `_key`"),
        ({"Condition": "PID-8 VALUED"}, "there is no function"),
        ({"Vocabulary Mapping": "Nothing"}, "there is no vocabulary Nothing"),
        ({"Vocabulary Mapping": "YesNo"}, "a date cannot be coded"),
        ({"Identifier": "PID"}, "neither a field of its segment"),
        ({"Assignment": "today"}, "cannot be assigned"),
        ({"Extension": "https://example.org/x"}, "only `extension` can hold"),
        ({"FHIR Attribute": "deceased[x]"}, "is no step of a path"),
        ({"FHIR Attribute": "deceased"}, "R4 has no element Patient.deceased"),
        (
            {"FHIR Attribute": "managingOrganization(Practitioner)", "FHIR Data Type": "Reference"},
            "cannot refer to Practitioner",
        ),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(changes, reason):
    with pytest.raises(ValueError, match=reason):
        compile_row("PID", "Patient", GOOD | changes)


@pytest.mark.parametrize(
    ("resource_type", "path", "type_name", "is_list"),
    [
        ("Patient", "name", "HumanName", True),
        ("Patient", "deceasedDateTime", "dateTime", False),
        ("Patient", "link[1].other", "Reference", False),
        ("Encounter", "participant[7].type.coding.code", "code", False),
        ("Observation", "valueQuantity", "Quantity", False),
        ("Extension", "valueCodeableConcept", "CodeableConcept", False),
    ],
)
def test_paths_resolve_against_the_definitions(resource_type, path, type_name, is_list):
    found = place(resource_type, path)
    assert (found.type, found.is_list) == (type_name, is_list)


def test_groups_must_close():
    begin = {"Identifier": "X.G", "Syntax": "{", "Name": "--- G begin"}
    with pytest.raises(ValueError, match="group G does not end"):
        grammar("X", [begin])
    with pytest.raises(ValueError, match="closes a group that is not open"):
        grammar("X", [{"Identifier": "/X.G", "Syntax": "}", "Name": "--- G end"}])


def test_every_public_function_is_named_by_a_table():
    named = {row[cell] for row in all_rows() for cell in ("Condition", "Function") if row.get(cell)}
    for module in (functions, observations):
        own = {
            n for n, f in vars(module).items() if getattr(f, "__module__", "") == module.__name__
        }
        public = {name for name in own if not name.startswith("_")}
        assert public - named <= {"registry_condition"}  # which the functions for a case share


def all_rows():
    for name in tables.names("messages"):
        yield from tables.rows(f"messages/{name}.csv")
    for _, rows in tables.segment_maps():
        yield from rows


def test_every_example_is_fictitious():
    for example in (files("mappings.hl7v2") / "examples").iterdir():
        if example.name.endswith(".hl7"):
            pid = next(
                line
                for line in example.read_text().replace("\r", "\n").split("\n")
                if line[:3] == "PID"
            )
            assert pid.split("|")[5].startswith("Testchild^")


def test_the_page_for_integrators_shows_the_tables():
    document = Path(__file__).parents[2] / "docs/hl7v2.md"
    assert document.read_text() == page(document.read_text())
