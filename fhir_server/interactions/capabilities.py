"""The capabilities interaction: what this server does, and nothing that it does not.

https://hl7.org/fhir/R4/capabilitystatement.html
"""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from fhir_server.access.app_scopes import CONTEXT
from fhir_server.access.public_keys import ALGORITHMS
from fhir_server.context import Context, instant
from fhir_server.interactions import audit_events, audit_search, limits
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
                "security": _security(context),
                "resource": [_type(context, name) for name in definitions.resource_types()],
                "interaction": [{"code": code} for code in SYSTEM_INTERACTIONS],
                "operation": _operations(""),
            }
        ],
        "messaging": [_messaging(context)],
    }


def endpoints(context: Context) -> dict[str, str]:
    """Return where apps are let in, and where clients get tokens, ask about them and end them.

    All of it is beside the FHIR endpoint; apps are let in where people can sign in.
    """
    root, settings = context.base_url.removesuffix("/fhir"), context.settings
    people = settings.demo or settings.identity_providers is not None
    names = ("authorize",) * people + ("token", "introspect", "revoke")
    return {name: f"{root}/{name}" for name in names}


def smart_configuration(context: Context) -> dict[str, object]:
    """Return how a client gets a token here: SMART Backend Services, and App Launch where people sign in.

    https://hl7.org/fhir/smart-app-launch/conformance.html#using-well-known
    """
    places = endpoints(context)
    return {
        **(_for_apps(context) if "authorize" in places else _FOR_SYSTEMS),
        "token_endpoint": places["token"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "introspection_endpoint": places["introspect"],
        "revocation_endpoint": places["revoke"],
    }


_FOR_SYSTEMS: Resource = {
    "grant_types_supported": ["client_credentials"],
    "token_endpoint_auth_methods_supported": ["private_key_jwt"],
    "scopes_supported": ["system/*.cruds"],
    "capabilities": ["client-confidential-asymmetric", "permission-v2"],
}


def _for_apps(context: Context) -> Resource:
    """Return what is told where apps are let in, too."""
    return {
        **openid_configuration(context),
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "scopes_supported": [*CONTEXT, "patient/*.rs", "user/*.rs", "system/*.cruds"],
        "capabilities": [
            "launch-standalone", "client-public", "client-confidential-asymmetric",
            "sso-openid-connect", "context-standalone-patient", "permission-offline",
            "permission-patient", "permission-user", "permission-v2",
        ],
    }  # fmt: skip


def openid_configuration(context: Context) -> Resource:
    """Return what apps verify identity tokens by; raises KeyError where nobody signs in.

    https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
    """
    places, root = endpoints(context), context.base_url.removesuffix("/fhir")
    return {
        "issuer": root,
        "jwks_uri": f"{root}/.well-known/jwks.json",
        "authorization_endpoint": places["authorize"],
        "token_endpoint": places["token"],
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES384"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }


def _security(context: Context) -> Resource:
    """Return how clients are known; where they get tokens, smart-configuration says.

    So does the extension oauth-uris, where people sign in: it has to name where they authorize.
    """
    places = endpoints(context)
    named = [{"url": name, "valueUri": place} for name, place in places.items()]
    told = {"extension": [{"url": _OAUTH_URIS, "extension": named}]}
    return {
        **(told if "authorize" in places else {}),
        "cors": bool(context.settings.cors_origins),
        "service": [{"coding": [{"system": _SERVICES, "code": "SMART-on-FHIR"}]}],
        "description": _SECURITY,
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

_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_SERVICES = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_SECURITY = (
    "Programs on the server's own machine act for the registry as a whole. Clients that the operator has "
    "registered have tokens of SMART Backend Services (.well-known/smart-configuration), with SMART 2 "
    "scopes, or a bearer token that was agreed with the operator."
)


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
