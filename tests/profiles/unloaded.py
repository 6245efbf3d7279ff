"""What the registry uses of other publishers' packages, which an operator loads: unknown here."""

from collections.abc import Iterable

from r4.issue import Issue

_SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
UNLOADED = frozenset(
    {
        "http://hl7.org/fhir/StructureDefinition/cqf-criteriaReference",
        "http://hl7.org/fhir/StructureDefinition/targetConstraint",
        "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-AdmissionMethod",
        "http://hl7.org/fhir/uv/deqm/StructureDefinition/deqm-measureScoring",
        "http://hl7.org/fhir/uv/cqm/StructureDefinition/cqm-limitations",
        *(
            f"http://hl7.org/fhir/5.0/StructureDefinition/extension-MeasureReport.group.{name}linkId"
            for name in ("", "population.", "stratifier.", "stratifier.stratum.population.")
        ),
        *(
            f"{_SDC}{name}"
            for name in (
                "assemble-expectation",
                "assembledFrom",
                "calculatedExpression",
                "extractAllocateId",
                "initialExpression",
                "launchContext",
                "observationLinkPeriod",
                "subQuestionnaire",
                "templateExtract",
                "templateExtractBundle",
                "templateExtractContext",
                "templateExtractValue",
            )
        ),
    }
)
_ITEM_CONTROL = "http://hl7.org/fhir/StructureDefinition/questionnaire-itemControl|4.0.1"


def beyond(issues: Iterable[Issue]) -> list[Issue]:
    """List the issues but for the warnings that these are unknown.

    `page` is an item control of SDC, and R4's value set has it not.
    """
    return [issue for issue in issues if not _is_unloaded(issue)]


def _is_unloaded(issue: Issue) -> bool:
    if issue.rule == "binding-extensible":
        return issue.profile == _ITEM_CONTROL and "item-control|page" in issue.diagnostics
    words = issue.diagnostics.split()
    return issue.rule == "extension-unknown" and len(words) > 2 and words[2] in UNLOADED
