"""The capabilities interaction: what this server does, and nothing that it does not.

https://hl7.org/fhir/R4/capabilitystatement.html
"""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from fhir_server.context import Context, instant
from fhir_server.interactions.topics import TOPICS
from fhir_server.store.search.parameters import parameters
from r4 import definitions
from r4.json import Resource
from terminology.systems import CSOR

INTERACTIONS = (
    "read",
    "vread",
    "create",
    "update",
    "patch",
    "delete",
    "search-type",
    "history-instance",
    "history-type",
)
SYSTEM_INTERACTIONS = ("transaction", "batch", "history-system", "search-system")
_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport"
_TOPIC = f"{_BACKPORT}/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
OPERATIONS = {
    "Patient": {
        "everything": "http://hl7.org/fhir/OperationDefinition/Patient-everything",
        "purge": f"{CSOR}/OperationDefinition/Patient-purge",
        "export": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export",
    },
    "Group": {"export": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/group-export"},
    "Encounter": {"everything": "http://hl7.org/fhir/OperationDefinition/Encounter-everything"},
    "Observation": {
        "lastn": "http://hl7.org/fhir/OperationDefinition/Observation-lastn",
        "stats": "http://hl7.org/fhir/OperationDefinition/Observation-stats",
    },
    "": {
        "validate": "http://hl7.org/fhir/OperationDefinition/Resource-validate",
        "export": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export",
        "import": f"{CSOR}/OperationDefinition/import",
        "closure": "http://hl7.org/fhir/OperationDefinition/ConceptMap-closure",
    },
    "CodeSystem": {
        "lookup": "http://hl7.org/fhir/OperationDefinition/CodeSystem-lookup",
        "subsumes": "http://hl7.org/fhir/OperationDefinition/CodeSystem-subsumes",
        "validate-code": "http://hl7.org/fhir/OperationDefinition/CodeSystem-validate-code",
    },
    "ValueSet": {
        "expand": "http://hl7.org/fhir/OperationDefinition/ValueSet-expand",
        "validate-code": "http://hl7.org/fhir/OperationDefinition/ValueSet-validate-code",
    },
    "ConceptMap": {
        "translate": "http://hl7.org/fhir/OperationDefinition/ConceptMap-translate",
    },
    "QuestionnaireResponse": {
        "extract": "http://hl7.org/fhir/uv/sdc/OperationDefinition/QuestionnaireResponse-extract",
        "process-response": (
            "http://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-process-response"
        ),
        "sign": f"{CSOR}/OperationDefinition/QuestionnaireResponse-sign",
    },
    "Measure": {
        "evaluate": "http://hl7.org/fhir/uv/deqm/OperationDefinition/evaluate",
        "evaluate-measure": "http://hl7.org/fhir/OperationDefinition/Measure-evaluate-measure",
    },
    "Subscription": {
        "status": f"{_BACKPORT}/OperationDefinition/backport-subscription-status",
        "events": f"{_BACKPORT}/OperationDefinition/backport-subscription-events",
    },
}


def capabilities(context: Context) -> Resource:
    """Return the CapabilityStatement: every R4 type, its interactions and its search parameters."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(context.now()),
        "publisher": "CSOR",
        "kind": "instance",
        "instantiates": ["http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"],
        "software": {"name": "CSOR", "version": release()},
        "implementation": {"description": "CSOR FHIR R4 server", "url": context.base_url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "application/fhir+xml"],
        "patchFormat": [
            "application/json-patch+json",
            "application/xml-patch+xml",
            "application/fhir+json",
            "application/fhir+xml",
        ],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "cors": bool(context.settings.cors_origins),
                    "description": _SECURITY,
                },
                "resource": [
                    _type(name, updates_create=context.settings.update_create)
                    for name in definitions.resource_types()
                ],
                "interaction": [{"code": code} for code in SYSTEM_INTERACTIONS],
                "operation": _operations(""),
            }
        ],
    }


def terminology_capabilities(context: Context) -> Resource:
    """Return the TerminologyCapabilities: the code systems that are known, and what may be asked.

    https://hl7.org/fhir/R4/terminologycapabilities.html
    """
    return {
        "resourceType": "TerminologyCapabilities",
        "status": "active",
        "date": instant(context.now()),
        "publisher": "CSOR",
        "kind": "instance",
        "software": {"name": "CSOR", "version": release()},
        "implementation": {"description": "CSOR FHIR R4 server", "url": context.base_url},
        "codeSystem": [{"uri": url} for url in context.terminology.systems()],
        "expansion": {
            "hierarchical": True,
            "paging": True,
            "incomplete": False,
            "parameter": [{"name": name} for name in EXPANSION],
            "textFilter": "Every word stands somewhere in a code's terms, whatever its case.",
        },
        "codeSearch": "all",
        "validateCode": {"translations": False},
        "translation": {"needsMap": False},
        "closure": {"translation": False},
    }


EXPANSION = (
    "url",
    "valueSet",
    "valueSetVersion",
    "filter",
    "offset",
    "count",
    "includeDesignations",
    "includeDefinition",
    "activeOnly",
    "excludeNested",
    "displayLanguage",
    "exclude-system",
    "system-version",
)
"""What $expand takes; `operations.expand` reads it, and a test holds the two together."""

_SECURITY = (
    "Callers on this machine, and clients registered by the operator with a bearer token, act for the "
    "registry as a whole."
)


def release() -> str:
    """Return the version of the installed distribution, or that of a source tree."""
    try:
        return version("csor")
    except PackageNotFoundError:
        return "0.1.0+source"


def _type(name: str, *, updates_create: bool) -> Resource:
    entry: Resource = {
        "type": name,
        "interaction": [{"code": code} for code in INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": updates_create,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "multiple",
        "referencePolicy": ["literal", "enforced"],
        "searchInclude": ["*", *_includes(name)],
        "searchRevInclude": ["*", *_reverse_includes().get(name, ())],
        "searchParam": [
            *_SPECIAL,
            *(
                {"name": parameter.code, "definition": parameter.url, "type": parameter.type}
                for parameter in parameters(name).values()
            ),
        ],
    }
    if operations := _operations(name):
        entry["operation"] = operations
    if name == "Subscription":
        entry["extension"] = [{"url": _TOPIC, "valueCanonical": url} for url in TOPICS]
        entry["supportedProfile"] = [f"{_BACKPORT}/StructureDefinition/backport-subscription"]
    return entry


def _includes(name: str) -> list[str]:
    return [
        f"{name}:{parameter.code}"
        for parameter in parameters(name).values()
        if parameter.type == "reference"
    ]


@cache
def _reverse_includes() -> dict[str, list[str]]:
    """Map each type to the references that may point at it."""
    found: dict[str, list[str]] = {}
    for name in definitions.resource_types():
        for parameter in parameters(name).values():
            for target in parameter.targets if parameter.type == "reference" else ():
                found.setdefault(target, []).append(f"{name}:{parameter.code}")
    return found


_SPECIAL: tuple[Resource, ...] = (
    {
        "name": "_id",
        "definition": "http://hl7.org/fhir/SearchParameter/Resource-id",
        "type": "token",
    },
    {
        "name": "_lastUpdated",
        "definition": "http://hl7.org/fhir/SearchParameter/Resource-lastUpdated",
        "type": "date",
    },
)


def _operations(resource_type: str) -> list[Resource]:
    return [
        {"name": name, "definition": definition}
        for name, definition in OPERATIONS.get(resource_type, {}).items()
    ]
