"""`GET /openapi.json`: every path of the HTTP doors as OpenAPI 3.1, made from the tables that answer them.

What FHIR says of its resources, the CapabilityStatement and the definitions say; OpenAPI says where, by
which method, with which media types and parameters. https://spec.openapis.org/oas/v3.1.0
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fhir_server.access import EVERYBODY_MAY
from fhir_server.access.assertions import KIND
from fhir_server.interactions.capabilities import release
from fhir_server.rest.negotiate import HL7V2
from fhir_server.rest.routes import TABLE, Interaction
from r4 import definitions
from r4.json import encode

PATH = "/openapi.json"
Object = dict[str, Any]

_FHIR, _FORM = "application/fhir+json", "application/x-www-form-urlencoded"
_PARAMETER = re.compile(r"\{(\w+)\}")
_ID = {"type": "string", "pattern": "^[A-Za-z0-9\\-\\.]{1,64}$"}
_TEXT = {"type": "string"}
_RESOURCE = {
    "type": "object", "required": ["resourceType"], "properties": {"resourceType": _TEXT},
}  # fmt: skip
_PATCH = {
    "type": "array",
    "items": {"type": "object", "required": ["op", "path"], "properties": {"op": _TEXT, "path": _TEXT}},
}  # fmt: skip
_SEARCH = ("_id", "_lastUpdated", "_filter", "_count", "_sort", "_summary", "_elements", "_total")
_HISTORY = ("_count", "_since", "_at")
_ASKED = {"client_assertion_type": {"const": KIND}, "client_assertion": _TEXT}
_TOKEN = {"type": "object", "required": ["token"], "properties": {"token": _TEXT, **_ASKED}}
_FORMS: Mapping[str, Object] = {
    "/token": {
        "type": "object",
        "required": ["grant_type", "scope", "client_assertion_type", "client_assertion"],
        "properties": {"grant_type": {"const": "client_credentials"}, "scope": _TEXT, **_ASKED},
    },
    "/sign-in/{name}/back-channel-logout": {
        "type": "object", "required": ["logout_token"], "properties": {"logout_token": _TEXT},
    },
    "/apps": {
        "type": "object", "required": ["csrf", "app", "patient"],
        "properties": {"csrf": _TEXT, "app": _TEXT, "patient": _TEXT},
    },
    "/introspect": _TOKEN,
    "/revoke": _TOKEN,
}  # fmt: skip
_OPEN = frozenset({"/health", "/token", "/.well-known/jwks.json", PATH})


def routes(others: Iterable[BaseRoute]) -> list[BaseRoute]:
    """Return the route of the document, which holds the FHIR endpoint, HL7 v2 and these others."""

    async def answer(_: Request) -> Response:
        return Response(written, media_type="application/json")

    made = Route(PATH, answer)
    written = encode(document([*others, made]))
    return [made]


def document(others: Iterable[BaseRoute]) -> Object:
    """Return the document."""
    paths: dict[str, Object] = {}
    for row in TABLE:
        path = "/fhir/" if row.path == "/" else f"/fhir{row.path}"
        paths.setdefault(path, {})[row.method.lower()] = _interaction(row, path)
    paths["/hl7v2"] = {"post": _hl7v2()}
    for route in others:
        if isinstance(route, Route):
            for method in sorted((route.methods or {"GET"}) - {"HEAD"}):
                path = route.path
                paths.setdefault(path, {})[method.lower()] = _beside(path, method)
    return {
        "openapi": "3.1.0",
        "info": {"title": "CSOR", "version": release(), "license": {"name": "Apache-2.0"}},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _interaction(row: Interaction, path: str) -> Object:
    asked: Object = {
        "operationId": _name(row.method, path),
        "tags": [row.code],
        "parameters": [*_places(path), *_queries(row)],
        "responses": _responses(),
    }
    if row.code in EVERYBODY_MAY:
        asked["security"] = []
    if content := _content(row):
        is_needed = row.method != "POST" or not row.code.startswith("$")
        asked["requestBody"] = {"required": is_needed, "content": content}
    return asked


def _content(row: Interaction) -> Object:
    """Return the media types of a body, and what each holds."""
    if row.method in ("GET", "DELETE"):
        return {}
    if row.path.endswith("/_search"):
        values = dict.fromkeys(_SEARCH, _TEXT)
        return {_FORM: {"schema": {"type": "object", "properties": values}}}
    if row.method == "PATCH":
        return {"application/json-patch+json": {"schema": _PATCH}}
    return {_FHIR: {"schema": _RESOURCE}}


def _queries(row: Interaction) -> list[Object]:
    names: tuple[str, ...] = ()
    if row.code.startswith("search") and row.method == "GET":
        names = _SEARCH
    elif row.code.startswith("history"):
        names = _HISTORY
    return [{"name": name, "in": "query", "schema": _TEXT} for name in names]


def _hl7v2() -> Object:
    content = {kind: {"schema": _TEXT} for kind in HL7V2}
    return {
        "operationId": "post_hl7v2",
        "tags": ["hl7v2"],
        "requestBody": {"required": True, "content": content},
        "responses": {"default": {"description": "Acknowledgements, or a sentence in plain text."}},
    }


def _beside(path: str, method: str) -> Object:
    asked: Object = {
        "operationId": _name(method, path),
        "tags": [path.split("/")[1] or "pages"],
        "parameters": _places(path),
        "responses": {"default": {"description": "The answer, or why there is none."}},
    }
    if path in _OPEN:
        asked["security"] = []
    if path in _FORMS:
        asked["requestBody"] = {"required": True, "content": {_FORM: {"schema": _FORMS[path]}}}
    elif method in ("POST", "PUT"):
        content = {"application/json": {"schema": {"type": "object"}}}
        asked["requestBody"] = {"required": True, "content": content}
    return asked


def _places(path: str) -> list[Object]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _place(name)}
        for name in _PARAMETER.findall(path)
    ]


def _place(name: str) -> Object:
    if name == "type":
        return _types()
    return _ID if name == "id" else _TEXT


@cache
def _types() -> Object:
    return {"type": "string", "enum": list(definitions.resource_types())}


def _responses() -> Object:
    content = {_FHIR: {"schema": _RESOURCE}}
    return {
        "2XX": {"description": "What was asked for."},
        "4XX": {"description": "What is wrong with it: an OperationOutcome.", "content": content},
        "default": {"description": "An OperationOutcome.", "content": content},
    }


def _name(method: str, path: str) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "_", path).strip("_") or "root"
    return f"{method.lower()}_{words}"
