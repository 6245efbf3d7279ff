"""Everybody who can ask at the FHIR door of a registry of both sides."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx

from fhir_server.access import PARENT, REGISTRY, STRANGER, SURGEON
from fhir_server.access.roles import APP, OF_PEOPLE
from fhir_server.context import HOSPITAL, Context, Principal
from r4.json import Resource
from tests.support.hospitals import NORTH
from tests.support.sides import key

_MIA = f"Patient/{key('north', 'Patient')}"
ROLES = {
    "registry": Principal("registry", frozenset({REGISTRY})),
    "hospital": Principal("epr", frozenset({HOSPITAL}), hospitals=frozenset({NORTH})),
    "surgeon": Principal(
        "surgeon",
        frozenset({SURGEON}),
        _MIA,
        f"Practitioner/{key('north', 'Practitioner')}",
        f"Organization/{key('north', 'Organization')}",
    ),
    "parent": Principal("parent", frozenset({PARENT}), _MIA),
    "hospital's lead": Principal("lead", OF_PEOPLE["hospital-lead"], hospitals=frozenset({NORTH})),
    "app of a steward": Principal(
        "app", frozenset({REGISTRY, APP}), scopes=("patient/*.rs",), only=_MIA
    ),
    "analyst": Principal("analyst", OF_PEOPLE["analyst"]),
    "auditor": Principal("auditor", OF_PEOPLE["auditor"]),
    "integrator": Principal("integrator", OF_PEOPLE["integrator"], hospitals=frozenset({NORTH})),
    "stranger": STRANGER,
}
"""Everybody who can be known, each confined to the north or to its child where that is so.

An analyst is shown all children, in pseudonyms: by the ids that they have here, none.
"""


class Callers:
    """Who asks is said by a header: how somebody proves who he is is another test's matter."""

    sessions = sittings = None

    def identify(self, _host: Any, headers: Any, *_more: Any, **_named: Any) -> Principal:
        return ROLES[headers[b"x-role"].decode()]


@dataclass
class Door:
    """The door, what stands behind it, and whoever asks."""

    made: Context
    runner: asyncio.Runner
    http: httpx.AsyncClient
    stored: dict[str, dict[str, Resource]]
    statement: Resource

    def __call__(self, role: str, method: str, url: str, body: Any = None) -> httpx.Response:
        headers = {"X-Role": role}
        sent = self.http.request(method, f"/fhir{url}", headers=headers, json=body)
        return self.runner.run(sent)
