"""One row of the audit: when, by whom, what, on what, and of which children it told.

Children are in a row as the keys of their places (`store.search.keys`): numbers in a text, with blanks
between. Where a purge has taken a child away, a keyed hash stands in place of its number.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from fhir_server.store.connection import Row
from fhir_server.store.search.keys import place
from r4.json import decode

_PATIENT = re.compile(r"(?:.*/)?Patient/([A-Za-z0-9\-.]{1,64})(?:/_history/.*)?\Z")


class Agent(msgspec.Struct, frozen=True):
    """Who asks: name and roles; for which hospitals (ODS codes, or a reference); why; from where.

    purpose is a code of v3-ActReason, address the peer's. Several roles or hospitals have blanks between.
    """

    name: str
    role: str | None = None
    hospital: str | None = None
    purpose: str | None = None
    address: str | None = None


NOBODY = Agent("unknown")
"""Who asked, where no caller could be made out."""


def row(
    moment: int,
    agent: Agent,
    what: tuple[str, str | None, str | None],
    outcome: tuple[int | None, int | None],
    children: Iterable[int] = (),
    query: str | None = None,
) -> Row:
    """Return the row of the table; what: interaction, type, id; outcome: version stored, or status."""
    told = " ".join(map(str, sorted(children))) or None
    return (
        moment, agent.name, *what, *outcome, agent.role, agent.hospital, agent.purpose,
        agent.address, query, told,
    )  # fmt: skip


def children_named(body: bytes) -> set[int]:
    """Return the places of the Patients that stand in a resource's JSON, or that it refers to."""
    return set(_named(decode(body))) if b"Patient" in body else set()


def _named(node: Any) -> Iterator[int]:
    if isinstance(node, dict):
        if node.get("resourceType") == "Patient" and isinstance(node.get("id"), str):
            yield place("Patient", node["id"])
        for child in node.values():
            yield from _named(child)
    elif isinstance(node, list):
        for child in node:
            yield from _named(child)
    elif isinstance(node, str) and (found := _PATIENT.match(node)):
        yield place("Patient", found[1])
