"""Definitions that are valid FHIR, and mean whatever they mean, are used: nothing fails on them.

What an operator loads is validated against R4 and no further: a value in whose place an extension stands,
a profile of an element that is not there, a value set that imports itself are all valid.
"""

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

import profiles
import questionnaires
from profiles.validate import Options, own_structures, validate
from r4 import artefacts
from r4.definitions.catalogue import Catalogue
from r4.issue import FhirError
from r4.json import Resource, decode
from terminology import Expand, Terminology
from tests.profiles.generated import TERMINOLOGY, resources
from tests.questionnaires.support import NOTE, SURVEY, example
from tests.support.colours import CODES, COLOURS, MAP, REDS, TERMINOLOGIES
from tests.support.mutations import every, mutated, of_lengths


def is_valid(resource: Any) -> bool:
    """Tell whether it is taken, as the loader and the write door tell."""
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        return False
    found = validate(resource, TERMINOLOGY, options=Options(warnings=False))
    return not found and not profiles.unsaid(resource)


def a_terminology() -> st.SearchStrategy[Resource]:
    kinds = st.sampled_from(["CodeSystem", "ValueSet", "ConceptMap"])
    drawn = st.sampled_from(TERMINOLOGIES).flatmap(mutated) | kinds.flatmap(resources)
    return drawn.filter(is_valid)


@of_lengths(60, 3000)
def test_code_systems_value_sets_and_maps_that_are_valid_are_used(length: int) -> None:
    used = []

    def check(first: Resource, second: Resource) -> None:
        given = {each["resourceType"] + each.get("url", ""): each for each in TERMINOLOGIES}
        for each in (first, second):
            given[each["resourceType"] + str(each.get("url"))] = each
        use_terminology(Terminology.of(given.values()), first)
        used.append(first["resourceType"])

    every(length, check, a_terminology(), a_terminology())
    assert {"CodeSystem", "ValueSet", "ConceptMap"} <= set(used)


def use_terminology(terminology: Terminology, resource: Resource) -> None:
    """Ask all that can be asked, of a resource and of the others; a refusal is an answer."""
    system = resource.get("url", COLOURS)
    for url in {REDS, resource.get("url", REDS)}:
        with suppress(FhirError):
            terminology.expand(url)
    if resource["resourceType"] == "ValueSet":
        for asked in (Expand(), Expand(filter="r", count=2, offset=1), Expand(active_only=True)):
            with suppress(FhirError):
                terminology.expansion(resource, asked)
    for code in CODES:
        for value_set in (REDS, resource.get("url", REDS), None):
            terminology.check(value_set, {"system": system, "code": code, "display": "x"})
            terminology.check(value_set, {"system": COLOURS, "code": code})
        terminology.validate_code(REDS, None, code)
        for other in (system, COLOURS):
            with suppress(FhirError):
                terminology.concept(other, code)
            with suppress(FhirError):
                terminology.subsumes(other, "red", code)
            with suppress(FhirError):
                terminology.matches(MAP, other, code)
            if resource["resourceType"] == "ConceptMap":
                for reverse in (False, True):
                    with suppress(FhirError):
                        coding = {"system": other, "code": code}
                        terminology.matches_of(resource, coding, reverse=reverse)


@cache
def profiled() -> tuple[tuple[Resource, Resource], ...]:
    """Return each of the registry's profiles with each of its examples."""
    folder = Path(profiles.__file__).parent / "examples"
    found = []
    for package in ("profiles", "questionnaires", "outcome_engine"):
        for structure in artefacts.by_url(package, "StructureDefinition").values():
            for file in sorted(folder.glob(f"{structure['id']}/*/*.json")):
                if not file.name.endswith(".issues.json"):
                    found.append((structure, decode(file.read_bytes())))
    return tuple(found)


@of_lengths(25, 1000)
def test_a_resource_is_held_against_any_profile_that_is_valid(length: int) -> None:
    said = []

    def check(pair: tuple[Resource, Resource], data: st.DataObject) -> None:
        structure = data.draw(mutated(pair[0]).filter(is_valid))
        resource = data.draw(st.just(pair[1]) | mutated(pair[1]))
        url = structure.get("url", "")
        own = {**own_structures().own, ("StructureDefinition", url): [structure]}
        options = Options(profiles=(url,), structures=Catalogue(own))
        if isinstance(resource, dict):
            said.append(len(validate(resource, TERMINOLOGY, options=options)))

    every(length, check, st.sampled_from(profiled()), st.data())
    assert len(set(said)) > 3


@of_lengths(80, 4000)
def test_the_registrys_profiles_hold_any_resource_without_failing(length: int) -> None:
    said = []

    def check(pair: tuple[Resource, Resource], data: st.DataObject) -> None:
        resource = data.draw(mutated(pair[1]))
        options = Options(profiles=(pair[0]["url"],))
        for issue in validate(resource, TERMINOLOGY, options=options):
            said.append(issue.rule)
            assert issue.diagnostics
            assert issue.expression

    every(length, check, st.sampled_from(profiled()), st.data())
    assert len(set(said)) > 10


@of_lengths(25, 1500)
def test_any_response_to_the_registrys_forms_is_checked_and_read(length: int) -> None:
    extracted = []
    responses = [example(NOTE, "soave-laparoscopic"), example(SURVEY, "continent-child")]
    forms = questionnaires.forms()

    def check(original: Resource, data: st.DataObject) -> None:
        form = forms[original["questionnaire"].partition("|")[0]]
        response = data.draw(mutated(original).filter(is_valid_response))
        found = questionnaires.check(form, response, TERMINOLOGY, strict=False)
        if not any(issue.is_error for issue in found):
            with suppress(FhirError):
                questionnaires.extract(form, response, new_id=lambda: "00000000-0000-4000-8000-0")
                extracted.append(response)

    every(length, check, st.sampled_from(responses), st.data())
    assert extracted


def is_valid_response(resource: Any) -> bool:
    is_one = isinstance(resource, dict) and resource.get("resourceType") == "QuestionnaireResponse"
    return is_one and not validate(resource, TERMINOLOGY, options=Options(warnings=False))
