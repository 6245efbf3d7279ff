"""The capabilities interaction: what this server does, and nothing that it does not.

https://hl7.org/fhir/R4/capabilitystatement.html
"""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from fhir_server.context import Context, instant
from fhir_server.interactions import audit_events, audit_search, limits
from fhir_server.interactions.smart_configuration import security
from fhir_server.interactions.topics import TOPICS
from fhir_server.store.search.parameters import parameters
from mappings.fhir_message import EVENT
from profiles import own
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
_SUBSCRIPTION = f"{_BACKPORT}/StructureDefinition/backport-subscription"
_TOPIC = f"{_BACKPORT}/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
_HL7 = "http://hl7.org/fhir/OperationDefinition"
_OWN = f"{CSOR}/OperationDefinition"
_BULK = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition"
OPERATIONS = {
    "Patient": {
        "everything": f"{_OWN}/Patient-everything",
        "purge": f"{_OWN}/Patient-purge",
        "export": f"{_BULK}/patient-export",
    },
    "Group": {"export": f"{_BULK}/group-export"},
    "Encounter": {"everything": f"{_HL7}/Encounter-everything"},
    "Observation": {
        "grade": f"{_OWN}/Observation-grade",
        "lastn": f"{_HL7}/Observation-lastn",
        "stats": f"{_HL7}/Observation-stats",
    },
    "": {
        "validate": f"{_HL7}/Resource-validate",
        "export": f"{_BULK}/export",
        "import": f"{_OWN}/import",
        "closure": f"{_HL7}/ConceptMap-closure",
        "convert": f"{_OWN}/convert",
        "process-message": f"{_HL7}/MessageHeader-process-message",
    },
    "CodeSystem": {
        "lookup": f"{_OWN}/CodeSystem-lookup",
        "subsumes": f"{_HL7}/CodeSystem-subsumes",
        "validate-code": f"{_OWN}/CodeSystem-validate-code",
    },
    "ValueSet": {
        "expand": f"{_OWN}/ValueSet-expand",
        "validate-code": f"{_OWN}/ValueSet-validate-code",
    },
    "Composition": {
        "document": f"{_OWN}/Composition-document",
        "pdf": f"{_OWN}/Composition-pdf",
        "mdm": f"{_OWN}/Composition-mdm",
    },
    "ConceptMap": {"translate": f"{_OWN}/ConceptMap-translate"},
    "Questionnaire": {
        "assemble": f"{_OWN}/Questionnaire-assemble",
        "populate": f"{_OWN}/Questionnaire-populate",
        "process-response": f"{_OWN}/Questionnaire-process-response",
    },
    "QuestionnaireResponse": {
        "carry-over": f"{_OWN}/QuestionnaireResponse-carry-over",
        "addend": f"{_OWN}/QuestionnaireResponse-addend",
        "correct": f"{_OWN}/QuestionnaireResponse-correct",
        "extract": f"{_OWN}/QuestionnaireResponse-extract",
        "process-response": f"{_OWN}/QuestionnaireResponse-process-response",
        "sign": f"{_OWN}/QuestionnaireResponse-sign",
    },
    "DocumentReference": {"process-cda": f"{_OWN}/DocumentReference-process-cda"},
    "Measure": {
        "evaluate": f"{_OWN}/Measure-evaluate",
        "evaluate-measure": f"{_OWN}/Measure-evaluate-measure",
        "collect-data": f"{_OWN}/Measure-collect-data",
        "care-gaps": f"{_OWN}/Measure-care-gaps",
        "data-requirements": f"{_OWN}/Measure-data-requirements",
    },
    "TestReport": {"scorecard": f"{_OWN}/TestReport-scorecard"},
    "Subscription": {
        "status": f"{_BACKPORT}/OperationDefinition/backport-subscription-status",
        "events": f"{_BACKPORT}/OperationDefinition/backport-subscription-events",
    },
}
"""The definition of each operation, by type: HL7's where it is served as HL7 defines it, else our own."""


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
                "extension": limits.extensions(context.settings),
                "mode": "server",
                "documentation": limits.documentation(context.settings),
                "security": security(context),
                "resource": [_type(context, name) for name in definitions.resource_types()],
                "interaction": [{"code": code} for code in SYSTEM_INTERACTIONS],
                "operation": _operations(""),
            }
        ],
        "messaging": [_messaging(context)],
    }


def _messaging(context: Context) -> Resource:
    """Return where FHIR messages are taken, and of which event."""
    transport = "http://terminology.hl7.org/CodeSystem/message-transport"
    address = f"{context.base_url}/$process-message"
    return {
        "endpoint": [{"protocol": {"system": transport, "code": "http"}, "address": address}],
        "documentation": _MESSAGES,
        "supportedMessage": [{"mode": "receiver", "definition": EVENT}],
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
        "codeSystem": _code_systems(context),
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


def _code_systems(context: Context) -> list[Resource]:
    """List the code systems that are resources, and those that an operator has loaded, by their uri."""
    listed: dict[str, Resource] = {url: {"uri": url} for url in context.terminology.systems()}
    for url, loaded, is_in_use in context.knowledge.systems.listed():
        entry = listed.setdefault(url, {"uri": url})
        entry.setdefault("version", []).append({"code": loaded, "isDefault": is_in_use})
    return [listed[url] for url in sorted(listed)]


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

_MESSAGES = (
    "A message is stored as a whole or not at all, and answered in the response. One that is sent again "
    "gets its first answer."
)


def release() -> str:
    """Return the version of the installed distribution, or that of a source tree."""
    try:
        return version("csor")
    except PackageNotFoundError:
        return "0.1.0+source"


def _audit_event() -> Resource:
    """Return what may be done with AuditEvents, which are made of the audit and read alone."""
    known = parameters(audit_events.TYPE)
    return {
        "type": audit_events.TYPE,
        "profile": definitions.CORE + audit_events.TYPE,
        "documentation": audit_search.MAINTAINED,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "no-version",
        "readHistory": False,
        "updateCreate": False,
        "conditionalCreate": False,
        "conditionalRead": "not-supported",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "searchParam": [
            *_SPECIAL,
            *(
                {"name": name, "definition": known[name].url, "type": parameter.type}
                for name, parameter in audit_search.PARAMETERS.items()
                if name in known
            ),
        ],
    }


def _type(context: Context, name: str) -> Resource:
    if name == audit_events.TYPE:
        return _audit_event()
    entry: Resource = {
        "type": name,
        "profile": definitions.CORE + name,
        "interaction": [{"code": code} for code in INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": context.settings.update_create,
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
    if supported := _profiles(context, name):
        entry["supportedProfile"] = supported
    return entry


def _profiles(context: Context, name: str) -> list[str]:
    """List the registry's profiles of a type, and of those that they impose what is known here."""
    ours = [each for each in own.claimed() if each["type"] == name]
    imposed = dict.fromkeys(url for each in ours for url in own.imposed(each))
    catalogue = context.knowledge.catalogue
    known = [url for url in imposed if catalogue.find("StructureDefinition", url) is not None]
    standard = [_SUBSCRIPTION] if name == "Subscription" else []
    return [*(each["url"] for each in ours), *known, *standard]


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
