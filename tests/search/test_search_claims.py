"""What the CapabilityStatement and the reference page claim is served, and nothing else is."""

from collections.abc import Iterator

import pytest

from fhir_server.interactions import audit_events
from fhir_server.interactions.capabilities import capabilities
from fhir_server.store.search.criteria import MODIFIERS, hierarchies, is_canonical
from fhir_server.store.search.parameters import Parameter, parameters
from fhir_server.store.search.parse import parse
from r4 import definitions
from r4.issue import FhirError
from tests.search.conftest import Registry

VALUES = {
    "token": "http://loinc.org|1-8",
    "reference": "Patient/p",
    "string": "x",
    "date": "2021-01-01",
    "number": "1",
    "quantity": "1|http://unitsofmeasure.org|mg",
    "uri": "http://x.example/a|1.2",
    "special": "1|2|3|km",
}
OF_MODIFIERS = {
    "missing": "true",
    "in": "http://hl7.org/fhir/ValueSet/administrative-gender",
    "not-in": "http://hl7.org/fhir/ValueSet/administrative-gender",
    "above": "http://terminology.hl7.org/CodeSystem/v3-ActCode|AMB",
    "below": "http://terminology.hl7.org/CodeSystem/v3-ActCode|AMB",
    "of-type": "http://x.example|MR|1",
}
EVERY_MODIFIER = sorted(
    {*sum(MODIFIERS.values(), ()), "iterate", "type", "named", "ends", "equals", "overlaps", "X"}
    - {""}
)


def value(parameter: Parameter, modifier: str) -> str:
    if parameter.type == "composite":
        return "$".join(VALUES[component.type] for component in parameter.components)
    if parameter.type == "token":
        return OF_MODIFIERS.get(modifier, VALUES["token"])
    return "true" if modifier == "missing" else VALUES[parameter.type]


def distinct() -> Iterator[tuple[str, Parameter]]:
    """Yield each parameter with one of the types that have it."""
    seen = set()
    for kind in definitions.resource_types():
        if kind == audit_events.TYPE:  # is searched by what the audit knows: its own tests say how
            continue
        for parameter in parameters(kind).values():
            if parameter.url not in seen:
                seen.add(parameter.url)
                yield kind, parameter


def is_served(parameter: Parameter, modifier: str) -> bool:
    """Tell what is claimed: the modifiers of a type; hierarchies where there are any."""
    if parameter.type == "reference" and modifier in ("above", "below"):
        return is_canonical(parameter) or bool(hierarchies(parameter))
    return modifier in MODIFIERS[parameter.type]


@pytest.mark.parametrize("of", sorted(MODIFIERS))
def test_each_parameter_takes_the_modifiers_of_its_type_alone(registry: Registry, of: str) -> None:
    asked = 0
    for kind, parameter in distinct():
        if parameter.type != of:
            continue
        for modifier in ["", *EVERY_MODIFIER]:
            name = f"{parameter.code}:{modifier}" if modifier else parameter.code
            pairs = [(name, value(parameter, modifier)), ("_count", "1")]
            if is_served(parameter, modifier):
                assert registry.bundle_of(kind, pairs)["resourceType"] == "Bundle", name
                asked += 1
            else:
                with pytest.raises(FhirError) as refusal:
                    registry.bundle_of(kind, pairs)
                assert refusal.value.status == 400, name
    assert asked


def test_each_include_that_is_claimed_is_read(registry: Registry) -> None:
    for resource in capabilities(registry.context)["rest"][0]["resource"]:
        for claimed, name in (("searchInclude", "_include"), ("searchRevInclude", "_revinclude")):
            for place in resource.get(claimed, ()):
                assert parse(resource["type"], [(name, place)]).includes, place


def test_each_reference_can_be_chained_by_id(registry: Registry) -> None:
    for kind, parameter in distinct():
        if parameter.type == "reference":
            target = parameter.targets[0]
            pairs = [(f"{parameter.code}:{target}._id", "x"), ("_count", "1")]
            if is_canonical(parameter) and "url" not in parameters(target):
                continue
            assert "entry" not in registry.bundle_of(kind, pairs), (kind, parameter.code)
