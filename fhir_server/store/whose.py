"""Whose a version is: one child's, an organisation's own, everybody's, or for the registry alone.

It is told from the version itself and from what it refers to, and stands beside it as the key of a
place. What is about somebody who cannot be told is for the registry alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_server.store.search.keys import place
from r4.json import Resource
from r4.reference import literal
from terminology.systems import CSOR

Named = tuple[str, str]
Whose = int | None
"""The place of a Patient or Organization, EVERYBODYS or REGISTRYS."""

EVERYBODYS: Whose = None
REGISTRYS: Whose = 0
"""What no hospital sees: no place has this key."""

ABOUT_NOBODY = frozenset({
    "ActivityDefinition", "CapabilityStatement", "ChargeItemDefinition", "CodeSystem",
    "CompartmentDefinition", "ConceptMap", "Device", "DeviceDefinition", "EffectEvidenceSynthesis",
    "Endpoint", "EventDefinition", "Evidence", "EvidenceVariable", "ExampleScenario",
    "GraphDefinition", "HealthcareService", "ImplementationGuide", "InsurancePlan", "Library",
    "Location", "Measure", "Medication", "MedicationKnowledge", "MessageDefinition", "NamingSystem",
    "ObservationDefinition", "OperationDefinition", "Organization", "OrganizationAffiliation",
    "PlanDefinition", "Practitioner", "PractitionerRole", "Questionnaire", "ResearchDefinition",
    "ResearchElementDefinition", "RiskEvidenceSynthesis", "SearchParameter", "SpecimenDefinition",
    "StructureDefinition", "StructureMap", "Substance", "SubstanceSpecification",
    "TerminologyCapabilities", "ValueSet",
})  # fmt: skip
"""The types whose resources are everybody's, unless they refer to somebody's."""
_OF_HOSPITAL = f"{CSOR}/StructureDefinition/outcome-hospital"
"""Says of which hospital a summary is that the nation's evaluation has made."""
ALONE = frozenset({"AuditEvent", "Bundle", "Group", "Subscription"})
"""What is the registry's alone, whatever it says; a document follows the Provenance of its signature."""
_FAMILY = frozenset({"Patient", "RelatedPerson"})


def asks(resource: Resource, refers: Sequence[Named]) -> list[Named]:
    """List the resources of which has to be known whose they are, to tell it of this one."""
    if resource["resourceType"] == "Patient" or resource["resourceType"] in ALONE:
        return []
    if any(kind == "Patient" for kind, _ in refers):
        return [each for each in refers if each[0] == "QuestionnaireResponse"]
    return _leading(resource, refers)


def whose(resource: Resource, refers: Sequence[Named], known: Mapping[Named, Whose]) -> Whose:
    """Tell whose a version is, by what is known of those that it asks for; of others nothing is.

    refers: type and id of all that it refers to here, its references being literal.
    """
    kind = resource["resourceType"]
    if kind == "Patient":
        return place("Patient", resource["id"])
    if kind in ALONE or _is_the_familys(resource):
        return REGISTRYS
    if kind == "MeasureReport" and resource.get("type") != "individual":
        return _of_many(resource, refers)
    patients = {each for each in refers if each[0] == "Patient"}
    if len(patients) > 1:
        return REGISTRYS
    if patients:
        answers = (known.get(each, REGISTRYS) for each in asks(resource, refers))
        return REGISTRYS if REGISTRYS in answers else place(*patients.pop())
    if leading := _leading(resource, refers):
        found = {known.get(each, REGISTRYS) for each in leading}
        one = found.pop() if len(found) == 1 else REGISTRYS
        return REGISTRYS if one is EVERYBODYS and kind != "Provenance" else one
    return EVERYBODYS if kind in ABOUT_NOBODY and not _holds_somebody(resource) else REGISTRYS


def _leading(resource: Resource, refers: Sequence[Named]) -> list[Named]:
    """List what a version that names no Patient refers to and may be somebody's."""
    is_told = resource["resourceType"] == "Provenance"
    return [
        each
        for each in refers
        if each[0] not in ABOUT_NOBODY and not (is_told and each[0] == "Bundle")
    ]


def _of_many(report: Resource, refers: Sequence[Named]) -> Whose:
    """Tell whose a report about many children is: its hospital's, or the nation's and so everybody's."""
    kinds = {kind for kind, _ in refers}
    if report.get("type") != "summary" or _holds_somebody(report) or kinds - ABOUT_NOBODY:
        return REGISTRYS
    extensions = report.get("extension") or ()
    of = [each.get("valueReference") for each in extensions if each.get("url") == _OF_HOSPITAL]
    for told in (*of, report.get("subject"), report.get("reporter")):
        if said := _reference(told):
            found = literal(said)
            is_here = found is not None and found.base is None
            own = found is not None and is_here and found.type == "Organization"
            return place("Organization", found.id) if found and own else REGISTRYS
        if told in of:
            return REGISTRYS
    return EVERYBODYS


def _is_the_familys(resource: Resource) -> bool:
    """Tell whether a version is what the child or a relative has answered."""
    if resource["resourceType"] != "QuestionnaireResponse":
        return False
    said = (_reference(resource.get(each)) for each in ("source", "author"))
    return any(text.partition("/")[0] in _FAMILY for text in said)


def _reference(node: Any) -> str:
    found = node.get("reference") if isinstance(node, dict) else None
    return found if isinstance(found, str) else ""


def _holds_somebody(resource: Resource) -> bool:
    held = resource.get("contained", [])
    return any(each.get("resourceType") not in ABOUT_NOBODY for each in held)
