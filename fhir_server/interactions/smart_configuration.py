"""How clients and apps are known, and where they get tokens: what is told of it beside the capabilities.

https://hl7.org/fhir/smart-app-launch/conformance.html
"""

from fhir_server.access.app_scopes import CONTEXT
from fhir_server.access.public_keys import ALGORITHMS
from fhir_server.context import Context
from r4.json import Resource

_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_SERVICES = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_SECURITY = (
    "Programs on the server's own machine act for the registry as a whole. Clients that the operator has "
    "registered have tokens of SMART Backend Services (.well-known/smart-configuration), with SMART 2 "
    "scopes, or a bearer token that was agreed with the operator."
)


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
            "launch-ehr", "launch-standalone", "client-public", "client-confidential-asymmetric",
            "sso-openid-connect", "context-ehr-patient", "context-standalone-patient", "permission-offline",
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


def security(context: Context) -> Resource:
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
