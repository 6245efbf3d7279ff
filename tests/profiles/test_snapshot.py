"""Snapshots from differentials: each rule of merging, on the smallest profile that shows it."""

from typing import Any

import pytest

from profiles.snapshot import snapshot
from r4 import definitions
from r4.issue import FhirError
from r4.json import Resource

CSOR = "https://csor.example/fhir/StructureDefinition/"
CORE = "http://hl7.org/fhir/StructureDefinition/"


def profile(
    type: str, *elements: Resource, base: str | None = None, name: str = "tested"
) -> Resource:
    return {
        "resourceType": "StructureDefinition",
        "url": CSOR + name,
        "type": type,
        "derivation": "constraint",
        "baseDefinition": base or CORE + type,
        "differential": {"element": list(elements)},
    }


def element(id: str, **said: Any) -> Resource:
    """Return a differential's element: its path and slice's name are those of its id."""
    path = ".".join(part.partition(":")[0] for part in id.split("."))
    slice_name = id.rpartition(".")[2].partition(":")[2]
    return {"id": id, "path": path, **({"sliceName": slice_name} if slice_name else {}), **said}


def made(structure: Resource, *others: Resource) -> dict[str, Resource]:
    """Return the elements of a structure's snapshot by id, in order."""
    known = {other["url"]: other for other in (structure, *others)}
    generated = snapshot(structure, lambda url: known.get(url) or definitions.structure(url))
    listed = generated["snapshot"]["element"]
    by_id = {each["id"]: each for each in listed}
    assert len(by_id) == len(listed)
    return by_id


def refused(structure: Resource, *others: Resource) -> list[tuple[str | None, str]]:
    """Return expression and sentence of each issue with which a structure is refused."""
    with pytest.raises(FhirError) as refusal:
        made(structure, *others)
    assert refusal.value.status == 422
    return [(issue.expression, issue.diagnostics) for issue in refusal.value.issues]


def keys(each: Resource) -> set[str]:
    return {constraint["key"] for constraint in each["constraint"]}


BY_SYSTEM = {"discriminator": [{"type": "value", "path": "system"}], "rules": "open"}
NUMBER = (
    element("Patient.identifier", slicing=BY_SYSTEM),
    element("Patient.identifier:number", max="1"),
)


class TestMerging:
    def test_an_empty_differential_makes_the_base(self):
        base = definitions.structure("Patient")
        assert base is not None
        assert list(made(profile("Patient")).values()) == base["snapshot"]["element"]

    def test_the_base_stays_as_it_was(self):
        before = str(definitions.structure("Patient"))
        made(profile("Patient", element("Patient.name", min=1, constraint=[{"key": "a-1"}])))
        assert str(definitions.structure("Patient")) == before

    def test_rules_accumulate(self):
        said = element("Patient.contact", constraint=[{"key": "a-1"}], condition=["a-1"])
        found = made(profile("Patient", said))["Patient.contact"]
        assert keys(found) == {"ele-1", "pat-1", "a-1"}
        assert found["condition"] == ["a-1"]

    def test_cardinality_and_types_narrow(self):
        found = made(
            profile(
                "Observation",
                element("Observation.category", min=1, max="2"),
                element("Observation.value[x]", type=[{"code": "Quantity"}]),
            )
        )
        assert (found["Observation.category"]["min"], found["Observation.category"]["max"]) == (
            1,
            "2",
        )
        assert found["Observation.value[x]"]["type"] == [{"code": "Quantity"}]

    def test_what_widens_the_base_is_refused_all_at_once(self):
        wide = profile(
            "Observation",
            element("Observation.status", min=0),
            element("Observation.code", max="*"),
            element("Observation.issued", type=[{"code": "string"}]),
        )
        assert [expression for expression, _ in refused(wide)] == [
            "Observation.status",
            "Observation.code",
            "Observation.issued",
        ]

    def test_a_binding_keeps_what_the_differential_does_not_say(self):
        said = element(
            "Observation.status", binding={"strength": "required", "description": "ours"}
        )
        found = made(profile("Observation", said))["Observation.status"]["binding"]
        assert found["valueSet"].startswith("http://hl7.org/fhir/ValueSet/observation-status")
        assert found["description"] == "ours"

    def test_an_element_that_the_base_has_not_is_refused(self):
        ((expression, text),) = refused(
            profile("Patient", element("Patient.nickname.value", max="0"))
        )
        assert expression == "Patient.nickname.value"
        assert "Patient.nickname is not there" in text

    def test_an_element_of_another_type_is_refused(self):
        ((expression, _),) = refused(profile("Patient", element("Person.name", min=1)))
        assert expression == "Person.name"


class TestDeeperPaths:
    def test_a_type_is_expanded_although_its_parent_is_not_mentioned(self):
        found = made(profile("Patient", element("Patient.name.family", min=1)))
        assert found["Patient.name.family"]["min"] == 1
        assert "Patient.name.given" in found
        assert list(found).index("Patient.name.given") < list(found).index("Patient.telecom")

    def test_a_primitive_has_extensions(self):
        said = element(
            "Patient.birthDate.extension:time",
            type=[{"code": "Extension", "profile": [CORE + "patient-birthTime"]}],
        )
        found = made(profile("Patient", said))
        assert found["Patient.birthDate.extension"]["slicing"]["discriminator"] == [
            {"type": "value", "path": "url"}
        ]
        assert found["Patient.birthDate.extension:time"]["max"] == "1"

    def test_the_profile_of_a_type_is_expanded(self):
        profiled = profile("Identifier", element("Identifier.value", min=1), name="numbered")
        said = (
            element(
                "Patient.identifier", type=[{"code": "Identifier", "profile": [profiled["url"]]}]
            ),
            element("Patient.identifier.system", min=1),
        )
        found = made(profile("Patient", *said), profiled)
        assert (
            found["Patient.identifier.value"]["min"],
            found["Patient.identifier.use"]["min"],
        ) == (1, 0)

    def test_what_is_referred_to_gives_its_children(self):
        said = element("Questionnaire.item.item.text", min=1)
        found = made(profile("Questionnaire", said))
        assert found["Questionnaire.item.item.text"]["min"] == 1
        assert found["Questionnaire.item.text"]["min"] == 0
        assert "contentReference" not in found["Questionnaire.item.item"]
        assert found["Questionnaire.item.item.item"]["contentReference"] == "#Questionnaire.item"

    def test_of_several_types_only_what_all_have_can_be_said(self):
        found = made(profile("Observation", element("Observation.value[x].extension", max="0")))
        assert found["Observation.value[x].extension"]["max"] == "0"
        ((expression, _),) = refused(
            profile("Observation", element("Observation.value[x].unit", min=1))
        )
        assert expression == "Observation.value[x].unit"


class TestSlicing:
    def test_a_slice_stands_after_the_children_of_what_it_slices(self):
        found = made(profile("Patient", *NUMBER, element("Patient.identifier:number.value", min=1)))
        order = list(found)
        assert order.index("Patient.identifier") + 1 == order.index("Patient.identifier:number")
        assert found["Patient.identifier:number"]["path"] == "Patient.identifier"
        assert found["Patient.identifier:number.value"]["min"] == 1
        assert "slicing" not in found["Patient.identifier:number"]

    def test_a_slice_may_be_absent_although_what_it_slices_is_required(self):
        said = element("Patient.identifier", min=1, slicing=BY_SYSTEM)
        found = made(profile("Patient", said, element("Patient.identifier:number")))
        assert found["Patient.identifier"]["min"] == 1
        assert found["Patient.identifier:number"]["min"] == 0

    def test_a_slice_has_the_children_of_a_backbone(self):
        said = element("Observation.component", slicing=BY_SYSTEM)
        found = made(profile("Observation", said, element("Observation.component:length", min=1)))
        assert "Observation.component:length.code" in found
        assert "Observation.component:length.value[x]" in found

    def test_slices_of_the_base_are_inherited_and_added_to(self):
        base = profile("Patient", *NUMBER, name="base")
        found = made(
            profile(
                "Patient",
                element("Patient.identifier:other", min=1),
                element("Patient.identifier:number", min=1),
                base=base["url"],
            ),
            base,
        )
        assert [id for id in found if id.startswith("Patient.identifier")] == [
            "Patient.identifier",
            "Patient.identifier:number",
            "Patient.identifier:other",
        ]
        assert found["Patient.identifier:number"]["min"] == 1
        assert found["Patient.identifier:number"]["max"] == "1"

    def test_a_slice_of_a_slice_begins_as_that_and_stands_after_it(self):
        found = made(
            profile(
                "Patient",
                element("Patient.identifier", slicing=BY_SYSTEM),
                element("Patient.identifier:a", max="3", slicing=BY_SYSTEM),
                element("Patient.identifier:b"),
                element("Patient.identifier:a/first", min=1),
            )
        )
        assert [id for id in found if ":" in id] == [
            "Patient.identifier:a",
            "Patient.identifier:a/first",
            "Patient.identifier:b",
        ]
        assert found["Patient.identifier:a/first"]["max"] == "3"
        assert found["Patient.identifier:a/first"]["sliceName"] == "a/first"

    def test_extensions_are_sliced_by_url_without_saying_so(self):
        found = made(profile("Patient", element("Patient.extension:a", max="1")))
        assert found["Patient.extension"]["slicing"] == {
            "discriminator": [{"type": "value", "path": "url"}],
            "ordered": False,
            "rules": "open",
        }

    def test_a_slice_of_nothing_sliced_is_refused(self):
        ((expression, text),) = refused(profile("Patient", element("Patient.name:official")))
        assert expression == "Patient.name:official"
        assert "say the slicing of name" in text

    def test_a_type_of_a_choice_is_a_slice(self):
        quantity = element("Observation.value[x]:valueQuantity", min=1)
        unit = element("Observation.value[x]:valueQuantity.unit", min=1)
        found = made(profile("Observation", quantity, unit))
        assert found["Observation.value[x]"]["slicing"]["discriminator"] == [
            {"type": "type", "path": "$this"}
        ]
        assert [t["code"] for t in found["Observation.value[x]:valueQuantity"]["type"]] == [
            "Quantity"
        ]
        assert found["Observation.value[x]:valueQuantity.unit"]["min"] == 1
        assert found["Observation.value[x]"]["slicing"]["rules"] == "open"
        assert len(found["Observation.value[x]"]["type"]) > 1

    def test_a_type_of_a_choice_that_alone_is_spoken_of_is_the_only_one(self):
        said = (
            element("Observation.valueQuantity", min=1),
            element("Observation.valueQuantity.unit", min=1),
        )
        found = made(profile("Observation", *said))
        assert found["Observation.value[x]"]["type"] == [{"code": "Quantity"}]
        assert found["Observation.value[x]"]["slicing"]["rules"] == "closed"
        assert found["Observation.value[x]:valueQuantity"]["min"] == 1
        assert found["Observation.value[x]:valueQuantity.unit"]["min"] == 1

    def test_a_type_of_a_choice_may_be_spoken_of_by_a_part_of_it(self):
        found = made(profile("Observation", element("Observation.valueQuantity.unit", min=1)))
        assert found["Observation.value[x]"]["type"] == [{"code": "Quantity"}]
        assert found["Observation.value[x]:valueQuantity.unit"]["min"] == 1

    def test_several_types_of_a_choice_leave_the_others(self):
        said = element("Observation.valueQuantity"), element("Observation.valueString")
        found = made(profile("Observation", *said))
        assert found["Observation.value[x]"]["slicing"]["rules"] == "open"
        assert len(found["Observation.value[x]"]["type"]) > 2
        assert {"Observation.value[x]:valueQuantity", "Observation.value[x]:valueString"} <= set(
            found
        )

    def test_without_ids_the_order_says_which_slice_is_meant(self):
        def unnamed(id: str, **said: Any) -> Resource:
            return {key: value for key, value in element(id, **said).items() if key != "id"}

        found = made(
            profile(
                "Patient",
                unnamed("Patient.identifier", slicing=BY_SYSTEM),
                unnamed("Patient.identifier:a"),
                unnamed("Patient.identifier.system", fixedUri="urn:a"),
                unnamed("Patient.identifier:b"),
                unnamed("Patient.identifier.system", fixedUri="urn:b"),
            )
        )
        assert found["Patient.identifier:a.system"]["fixedUri"] == "urn:a"
        assert found["Patient.identifier:b.system"]["fixedUri"] == "urn:b"


class TestBases:
    def test_a_base_without_snapshot_is_given_one(self):
        base = profile("Patient", element("Patient.name", min=1), name="base")
        found = made(profile("Patient", element("Patient.gender", min=1), base=base["url"]), base)
        assert (found["Patient.name"]["min"], found["Patient.gender"]["min"]) == (1, 1)

    def test_a_missing_base_is_named_with_who_wants_it(self):
        ((_, text),) = refused(profile("Patient", base=CSOR + "nowhere"))
        assert CSOR + "nowhere" in text
        assert CSOR + "tested" in text

    def test_a_circle_is_named(self):
        one = profile("Patient", base=CSOR + "two", name="one")
        two = profile("Patient", base=CSOR + "one", name="two")
        ((_, text),) = refused(one, two)
        assert f"{CSOR}one -> {CSOR}two -> {CSOR}one" in text

    def test_an_extension_may_hold_itself(self):
        itself = [{"code": "Extension", "profile": [CSOR + "nested"]}]
        nested = profile(
            "Extension",
            element("Extension", max="1"),
            element("Extension.extension:nested", type=itself),
            name="nested",
        )
        assert made(nested)["Extension.extension:nested"]["max"] == "1"

    def test_a_model_of_its_own_adds_elements_to_its_base(self):
        model = {
            **profile(
                "Nest",
                element("Nest", max="*"),
                element("Nest.eggs", min=1, max="*", type=[{"code": "Quantity"}]),
                element("Nest.eggs.unit", min=1),
                base=CORE + "Element",
            ),
            "derivation": "specialization",
        }
        found = made(model)
        assert list(found)[:4] == ["Nest", "Nest.id", "Nest.extension", "Nest.eggs"]
        assert keys(found["Nest.eggs"]) == {"ele-1"}
        assert found["Nest.eggs.unit"]["min"] == 1
