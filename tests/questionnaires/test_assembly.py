"""A modular form is put together from its modules, as SDC says, or refused with the reason."""

from functools import partial
from typing import Any

import pytest

from questionnaires import artefacts, forms, module
from questionnaires.assembly import Modules, assemble
from r4.artefacts import load
from r4.definitions import definition
from r4.issue import FhirError
from r4.json import Resource
from tests.questionnaires.support import find

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
CORE = "http://hl7.org/fhir/StructureDefinition/"
BASE = "urn:example:"


def form(name: str, *items: Any, **more: Any) -> Resource:
    made = {"resourceType": "Questionnaire", "id": name, "url": BASE + name, "status": "active"}
    return {**made, **more, "item": list(items)}


def uses(name: str, link_id: str = "place") -> dict[str, Any]:
    extension = {"url": SDC + "subQuestionnaire", "valueCanonical": BASE + name}
    return {"linkId": link_id, "type": "display", "text": name, "extension": [extension]}


def group(link_id: str, *items: Any, **more: Any) -> dict[str, Any]:
    return {"linkId": link_id, "type": "group", **more, "item": list(items)}


def question(link_id: str, **more: Any) -> dict[str, Any]:
    return {"linkId": link_id, "text": link_id, "type": "string", **more}


def variable(name: str, expression: str) -> dict[str, Any]:
    held = {"name": name, "language": "text/fhirpath", "expression": expression}
    return {"url": CORE + "variable", "valueExpression": held}


def prefix(expression: str) -> list[dict[str, Any]]:
    return [variable("linkIdPrefix", expression)]


def known(*resources: Resource) -> Modules:
    by_url = {each["url"]: each for each in resources}
    return lambda canonical: by_url.get(canonical.partition("|")[0])


def assembled(root: Resource, *resources: Resource) -> Resource:
    return assemble(root, known(*resources)).questionnaire


def link_ids(container: Resource) -> list[str]:
    found: list[str] = []
    for item in container.get("item", ()):
        found += [item["linkId"], *link_ids(item)]
    return found


def refused(root: Resource, *resources: Resource) -> str:
    with pytest.raises(FhirError) as refusal:
        assemble(root, known(*resources))
    assert refusal.value.status == 422
    assert {issue.rule for issue in refusal.value.issues} == {"assembly"}
    return str(refusal.value)


def test_a_module_stands_in_the_place_of_the_display_that_names_it() -> None:
    root = form("root", question("a"), group("g", uses("m"), question("z")), question("b"))
    made = assembled(root, form("m", question("m1"), group("m2", question("m3"))))
    assert link_ids(made) == ["a", "g", "m1", "m2", "m3", "z", "b"]
    assert (made["id"], made["url"]) == ("root", BASE + "root")


def test_a_form_without_modules_comes_back_as_it_is() -> None:
    for each in forms().values():
        assert assemble(each, known()).questionnaire == each


def test_what_was_used_is_named_with_its_version_and_the_expectation_is_met() -> None:
    expected = {"url": SDC + "assemble-expectation", "valueCode": "assemble-root-or-child"}
    meta = {"profile": [SDC + "modular"]}
    root = form("root", uses("m"), extension=[expected], text={"div": "<div/>"}, meta=meta)
    made = assembled(root, form("m", uses("n")), form("n", question("n1"), version="2"))
    assert [each["valueCanonical"] for each in made["extension"] if "valueCanonical" in each] == [
        f"{BASE}m", f"{BASE}n|2"
    ]  # fmt: skip
    assert made["extension"][0] == {**expected, "valueCode": "independent-root-or-child"}
    assert "text" not in made
    assert made["meta"]["profile"] == [SDC.removesuffix("-")]
    only_root = {**root, "extension": [{**expected, "valueCode": "assemble-root"}]}
    expectations = [each["url"] for each in assembled(only_root, form("m"))["extension"]]
    assert expectations == [SDC + "assembledFrom"]


def test_a_prefix_lets_one_module_be_used_twice_and_again_within() -> None:
    name = form("name", question("1"), question("2", enableWhen=[
        {"question": "1", "operator": "exists", "answerBoolean": True}
    ]))  # fmt: skip
    contact = form("contact", group("1", uses("name"), extension=prefix("%linkIdPrefix + 'n.'")))
    root = form(
        "root",
        group("a", uses("name"), extension=prefix("'child.'")),
        group("b", uses("contact"), extension=prefix("'parent.'")),
    )
    made = assembled(root, name, contact)
    assert link_ids(made) == ["a", "child.1", "child.2", "b", "parent.1", "parent.n.1",
                              "parent.n.2"]  # fmt: skip
    assert find(made, "parent.n.2")["enableWhen"][0]["question"] == "parent.n.1"


def test_what_a_module_contains_is_contained_once_or_under_its_prefix() -> None:
    held = {"resourceType": "ValueSet", "id": "sides", "status": "active"}
    module = form("m", question("side", type="choice", answerValueSet="#sides"), contained=[held])
    other = form("n", question("limb", type="choice", answerValueSet="#sides"), contained=[held])
    made = assembled(form("root", uses("m"), uses("n")), module, other)
    assert made["contained"] == [held]
    made = assembled(form("root", group("g", uses("m"), extension=prefix("'left-'"))), module)
    assert [each["id"] for each in made["contained"]] == ["left-sides"]
    assert find(made, "left-side")["answerValueSet"] == "#left-sides"


def test_a_template_of_a_module_keeps_the_reference_to_it() -> None:
    template = {"url": SDC + "templateExtract", "extension": [
        {"url": "template", "valueReference": {"reference": "#made"}}]}  # fmt: skip
    held = {"resourceType": "Observation", "id": "made", "status": "final", "code": {"text": "x"}}
    module = form("m", group("g", question("q"), extension=[template]), contained=[held])
    root = form("root", group("o", uses("m"), extension=prefix("'p.'")))
    made = find(assembled(root, module), "p.g")["extension"][0]
    assert made["extension"][0]["valueReference"] == {"reference": "#p.made"}


def test_what_a_modules_root_declares_goes_where_it_is_used_or_to_the_forms_root() -> None:
    constraint = {"url": CORE + "targetConstraint", "extension": [{"url": "key", "valueId": "k"}]}
    patient = {"url": SDC + "launchContext", "extension": [
        {"url": "name", "valueCoding": {"code": "patient"}}, {"url": "type", "valueCode": "Patient"}
    ]}  # fmt: skip
    allocated = {"url": SDC + "extractAllocateId", "valueString": "procedureId"}
    ignored = {"url": SDC + "width", "valueQuantity": {"value": 1}}
    declared = [constraint, variable("v", "1"), allocated, patient, ignored]
    module = form("m", question("q"), extension=declared)
    made = assembled(form("root", group("g", uses("m"))), module)
    assert find(made, "g")["extension"] == [constraint, variable("v", "1"), allocated]
    assert made["extension"][0] == patient
    made = assembled(form("root", uses("m"), extension=[patient]), module)
    assert made["extension"][:-1] == [patient, constraint, variable("v", "1"), allocated]


def test_a_module_says_which_variables_it_needs() -> None:
    needs = {"url": SDC + "assembleContext", "valueString": "person"}
    module = form("m", question("q"), extension=[needs])
    root = form("root", group("g", uses("m")))
    assert "needs the variable 'person'" in refused(root, module)
    root["extension"] = [variable("person", "%patient")]
    assert link_ids(assembled(root, module)) == ["g", "q"]


ON_ROOT = [{"url": SDC + "templateExtract", "extension": []}]
ROOT_ONLY = [{"url": SDC + "assemble-expectation", "valueCode": "assemble-root"}]
TEMPLATE = {"resourceType": "Basic", "id": "x", "code": {"text": "a"}}


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (form("other"), "is not known here"),
        (form("m", uses("m")), f"circle: {BASE}root -> {BASE}m -> {BASE}m"),
        (form("m", question("a")), "Two items have the linkId 'a'"),
        (form("m", extension=ON_ROOT), "put it on a group of the module"),
        (form("m", extension=ROOT_ONLY), "it is a root only"),
        (form("m", modifierExtension=ON_ROOT), "modifierExtension"),
        (form("m", language="cy"), "its language is not the form's"),
        (form("m", meta={"security": [{"code": "R"}]}), "its meta.security"),
        (form("m", extension=[variable("v", "2")]), "'v' is declared there already"),
        (form("m", contained=[TEMPLATE]), "Two different contained resources have the id 'x'"),
    ],
)
def test_a_module_that_cannot_be_put_in_place_is_refused(module: Resource, reason: str) -> None:
    contained = [{**TEMPLATE, "code": {"text": "b"}}]
    declared = [variable("v", "1")]
    root = form("root", question("a"), uses("m"), extension=declared, contained=contained)
    assert reason in refused(root, module)


def test_modules_that_name_each_other_twice_do_not_grow_without_end() -> None:
    doubling = [
        form(f"m{at}", group("l", uses(f"m{at + 1}"), extension=prefix("%linkIdPrefix + 'l'")),
             group("r", uses(f"m{at + 1}"), extension=prefix("%linkIdPrefix + 'r'")))
        for at in range(13)
    ]  # fmt: skip
    root = form("root", group("g", uses("m0"), extension=prefix("''")))
    doubling.append(form("m13", question("end")))
    assert "more than 10000 items" in refused(root, *doubling)


def test_definitions_do_not_make_more_items_than_a_form_may_have() -> None:
    element = f"{CORE}Patient#Patient"
    groups = [{"linkId": f"{at}", "type": "group", "definition": element} for at in range(100)]
    with pytest.raises(FhirError, match="more than 10000 items"):
        assemble(form("root", *groups), partial(definition, "StructureDefinition"))


LIBRARY = form(
    "library",
    question("sex", text="Sex", type="choice", answerValueSet="#sex"),
    group("address", question("city", text="City"), question("state", enableWhen=[
        {"question": "city", "operator": "exists", "answerBoolean": True}]), text="Address"),
    contained=[{"resourceType": "ValueSet", "id": "sex", "status": "active"}],
)  # fmt: skip


def test_an_item_takes_from_a_library_of_questions_what_it_does_not_say_itself() -> None:
    sex = {"linkId": "1", "type": "choice", "definition": f"{BASE}library#sex"}
    home = {"linkId": "2", "type": "group", "definition": f"{BASE}library#address", "text": "Home"}
    made, issues = assemble(form("root", sex, home), known(LIBRARY))
    assert made["item"][0] == {**sex, "text": "Sex", "answerValueSet": "#sex"}
    assert made["contained"] == LIBRARY["contained"]
    assert link_ids(made) == ["1", "2", "2.city", "2.state"]
    assert find(made, "2")["text"] == "Home"
    assert find(made, "2.state")["enableWhen"][0]["question"] == "2.city"
    assert [(each.severity, each.expression) for each in issues] == [
        ("warning", "Questionnaire.repeat(item).where(linkId='2')")
    ]


def test_a_definition_that_is_not_known_is_a_warning_where_the_item_stands_by_itself() -> None:
    item = question("1", definition=f"{BASE}nowhere#x")
    made, issues = assemble(form("root", item), known())
    assert made["item"] == [item]
    assert [each.code for each in issues] == ["not-found"]
    bare = {"linkId": "1", "type": "string", "definition": f"{BASE}nowhere#x"}
    assert "no text or options of its own" in refused(form("root", bare))
    assert "has no element y" in refused(
        form("root", {**item, "definition": f"{BASE}library#y"}), LIBRARY
    )


@pytest.mark.parametrize("roots", [[{"valueBoolean": False}], [{"valueUri": "urn:other"}]])
def test_a_form_can_say_that_a_definition_is_not_for_assembly(roots: list[Any]) -> None:
    held = [{"url": SDC + "assembleDefinitionRoot", **each} for each in roots]
    bare = {"linkId": "1", "type": "string", "definition": f"{BASE}nowhere#x"}
    assert assembled(form("root", bare, extension=held))["item"] == [bare]
    own = {**bare, "extension": held}
    assert assembled(form("root", own))["item"] == [own]


def test_a_group_asks_for_the_children_of_its_element() -> None:
    contact = {"linkId": "3", "type": "group", "definition": f"{CORE}Patient#Patient.contact"}
    made, issues = assemble(form("root", contact), partial(definition, "StructureDefinition"))
    assert find(made, "3.gender") == {
        "linkId": "3.gender",
        "definition": f"{CORE}Patient#Patient.contact.gender",
        "type": "choice",
        "text": "male | female | other | unknown",
        "answerValueSet": "http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1",
    }
    assert find(made, "3.name.given")["repeats"] is True
    assert find(made, "3.relationship")["type"] == "open-choice"
    assert find(made, "3.organization")["type"] == "reference"
    assert issues == []


def test_the_registry_hands_out_its_forms_assembled_and_its_modules_as_they_are() -> None:
    written = {each["id"]: each for each in load("questionnaires")}
    carried = {each["id"]: each for each in artefacts()}
    assert carried.keys() == written.keys()
    for url, each in forms().items():
        assert carried[each["id"]] is each
        assert "subQuestionnaire" not in str(each), url
        assert module(url) == written[each["id"]]
        assert module(f"{url}|no-version") is None
    modules = [each for each in artefacts() if each["url"] not in forms()]
    assert modules == [written[each["id"]] for each in modules]
