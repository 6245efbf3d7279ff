"""Target cells of HL7's tables: read as trees, bound to R4, and mended by named rules alone."""

import pytest

from mappings.hl7v2.elements import children, place
from mappings.hl7v2.targets import Step, Target, bind, parse, parse_resource

SYSTEM_STRING = "http://hl7.org/fhirpath/System.String"
"""What R4 says is the type of an extension's `url`."""


def test_a_cell_is_a_tree():
    assert parse("participant[2].individual(PractitionerRole[1].practitioner(Practitioner))") == (
        Target(
            (Step("participant", "2"), Step("individual")),
            types=("PractitionerRole",),
            tag="1",
            inner=Target((Step("practitioner"),), types=("Practitioner",)),
        )
    )
    assert parse("[4].identifier[each].value") == Target(
        (Step("identifier", "each"), Step("value")), group="4"
    )
    assert parse("who(Organization|Device)").types == ("Organization", "Device")
    assert parse("extension[1]:group.url").steps[0] == Step("extension", "1:group")


def test_a_cell_of_a_message_table_begins_with_a_resource():
    note = parse_resource("Observation[2].note")
    assert (note.types, note.tag, note.inner) == (
        ("Observation",),
        "2",
        Target((Step("note"),)),
    )
    assert parse_resource("ServiceRequest[1..n]").tag == "1..n"
    assert bind(parse_resource("Provenance[1].entity.what(Device)"), "").type == "Device"
    assert bind(parse_resource("Bundle"), "").places == ()


@pytest.mark.parametrize(
    ("base", "cell", "end", "type_name"),
    [
        ("Patient", "name[1].given", "given", "string"),
        ("Observation", "component[each].valueQuantity", "valueQuantity", "Quantity"),
        ("Observation", "component.referenceRange.text", "text", "string"),
        ("Encounter", "location.location(Location.name)", "name", "string"),
        ("Location", "partOf.reference(Location[5])", "partOf", "Location"),
        ("Provenance", "entity.what(DocumentReference.status)", "status", "code"),
        ("MessageHeader.source", "endpoint", "endpoint", "url"),
        ("Patient", "Patient.gender", "gender", "code"),
    ],
)
def test_a_target_is_bound_to_what_r4_defines(base, cell, end, type_name):
    found = bind(parse(cell), base)
    assert (found.places[-1].name, found.type, found.repairs) == (end, type_name, ())


def test_a_target_may_be_the_value_itself():
    assert bind(parse("$value"), "code").type == "code"
    assert bind(parse("$this"), "HumanName").places == ()
    assert bind(parse("$this.family"), "HumanName").type == "string"


@pytest.mark.parametrize(
    ("rule", "base", "cell", "path", "type_name"),
    [
        ("r1", "Patient", "extension[1].uri", "extension[1].url", SYSTEM_STRING),
        ("r2", "Procedure", "code.coding.uri", "code.coding.system", "uri"),
        ("r2", "Procedure", "code.coding.value", "code.coding.code", "code"),
        ("r3", "Encounter", 'status="finished"', "status", "code"),
        ("r4", "Patient", "name.suffix[2}", "name.suffix[1]", "string"),
        ("r4", "CodeableConcept", "coding[3.version", "coding[3].version", "string"),
        ("r5", "Specimen", "note(Annotation.text)", "note.text", "markdown"),
        ("r6", "Extension", "valuedateTime", "valueDateTime", "dateTime"),
        (
            "r8",
            "DocumentReference",
            "content[2].data",
            "content[2].attachment.data",
            "base64Binary",
        ),
        ("r10", "Observation", "value.CodeableConcept.text", "valueCodeableConcept.text", "string"),
        ("r11", "Location", "[1].location(Location.description)", "description", "string"),
    ],
)
def test_a_repair_says_what_is_meant_and_is_named(rule, base, cell, path, type_name):
    found = bind(parse(cell), base)
    assert found.places[-1] == place(base, path)
    assert (found.type, found.repairs) == (type_name, (rule,))


def test_a_bracket_that_is_not_closed_is_closed():
    found = bind(parse("diagnosis.condition(Condition.asserter(Practitioner)"), "Encounter")
    assert (found.type, found.repairs) == ("Practitioner", ("r4",))
    assert parse("partOf.(Location)").types == ("Location",)


def test_a_choice_without_its_type_takes_the_data_type_or_the_reference():
    assert bind(parse("occurred"), "Provenance", hint="dateTime").repairs == ("r7",)
    medication = bind(parse("medication(Medication.code)"), "MedicationRequest")
    assert [place.name for place in medication.places] == ["medicationReference", "code"]
    assert medication.repairs == ("r7",)
    with pytest.raises(ValueError, match=r"R4 has no element Provenance\.occurred"):
        bind(parse("occurred"), "Provenance")


def test_a_path_that_begins_with_a_tag_is_about_what_the_table_makes():
    mode = bind(parse("[4].mode"), "PractitionerRole", made="Location")
    assert (mode.places[-1].name, mode.repairs) == ("mode", ("r9",))
    with pytest.raises(ValueError, match="PractitionerRole"):
        bind(parse("[4].mode"), "PractitionerRole")


def test_an_extension_of_r5_holds_a_reference():
    cell = "Basic.extension-EncounterHistory.subject"
    found = bind(parse_resource(cell), "")
    assert (found.type, found.repairs) == ("Reference", ("r12",))


@pytest.mark.parametrize(
    ("base", "cell", "reason"),
    [
        ("Patient", "", "names no element"),
        ("Patient", "date of birth!", "is no step of a path"),
        ("Patient", "dateOfBirth", "R4 has no element Patient.dateOfBirth"),
        ("Patient", "managingOrganization(Practitioner)", "cannot refer to Practitioner"),
        ("Patient", "managingOrganization(Organisation)", "R4 has no resource Organisation"),
        ("Patient", "managingOrganization([1]Organization)", "begins with no resource"),
        ("Patient", "birthDate(Organization)", "refers to no Organization"),
        ("Patient", "name(HumanName.first)", "R4 has no element HumanName.first"),
        ("Basic", "location.extension.url", "R4 has no element Basic.location"),
        ("Address", "line(", "begins with no resource"),
    ],
)
def test_what_r4_does_not_have_is_refused(base, cell, reason):
    with pytest.raises(ValueError, match=reason):
        bind(parse(cell), base)


def test_the_elements_below_a_path_can_be_listed():
    assert children("DocumentReference", "content")["attachment"] == "Attachment"
    assert children("Observation", "component.referenceRange")["low"] == "Quantity"
    assert "value[x]" not in children("Observation")
    with pytest.raises(ValueError, match="R4 has no element"):
        children("Patient", "wings")
