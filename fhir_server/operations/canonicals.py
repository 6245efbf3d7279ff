"""The ValueSet, CodeSystem or ConceptMap that a terminology operation is about, however it is named.

By the id of a stored resource, which is taken as it is stored; as a resource that is sent along; or by its
canonical url: what this release and the operator's packages say first, then what is stored.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import profiles
from fhir_server.context import Context
from fhir_server.interactions.read import read
from fhir_server.operations.parameters import Input
from fhir_server.store import read as store
from fhir_server.store.search.parse import parse
from fhir_server.store.search.texts import escape
from r4.issue import FhirError, error
from r4.json import Resource, decode
from terminology import Members, Terminology
from terminology.sources import written

Kind = Literal["CodeSystem", "ValueSet", "ConceptMap"]


@dataclass(frozen=True, slots=True)
class Named:
    """How a resource is named: the id in the path, the parameter that holds it, its url and version."""

    kind: Kind
    resource_id: str | None
    sent: str
    version: str


def resource(context: Context, named: Named, given: Input) -> Resource | None:
    """Return the resource that a request names; None where it names none.

    Raises FhirError 404 (unknown), 410 (deleted), 400 or 422 (sent along, and not what it must be).
    """
    if named.resource_id is not None:
        return _decoded(read(context, named.kind, named.resource_id).body)
    if named.sent in given:
        return _sent(context, named, given[named.sent])
    if "url" not in given:
        return None
    return by_url(context, named.kind, given["url"], given.get(named.version))


def by_url(context: Context, kind: Kind, url: str, version: str | None) -> Resource:
    """Return the resource of a canonical url; raises FhirError 404 where there is none."""
    canonical = written(url, version)
    if (found := context.terminology.find(kind, canonical)) is not None:
        return found
    plain, _, inside = canonical.partition("|")
    pairs = [("url", escape(plain))] + ([("version", escape(inside))] if inside else [])
    stored = store.first(context.database, parse(kind, pairs), 1)
    if not stored:
        text = f"The {kind} {canonical} is not known here: check its url, or send it along."
        raise FhirError(404, [error("not-found", text, "Parameters.parameter('url')")])
    return _decoded(stored[0].body)


def members(context: Context, value_set: Resource) -> Members:
    """Return the codes of a ValueSet that is in use here, or of any other; each is compiled once.

    A resource that was sent along is compiled for its request.
    """
    url = value_set.get("url", "")
    if url and context.terminology.find("ValueSet", url) is value_set:
        found = context.terminology.members(url)
        if found is not None:
            return found
    return context.terminology.compiled(value_set)


@lru_cache(maxsize=256)
def _decoded(body: bytes) -> Resource:
    """Decode a stored resource, which nobody changes: the same bytes are the same object."""
    decoded: Resource = decode(body)
    return decoded


def having(context: Context, code_system: Resource) -> Terminology:
    """Return the terminology in which a CodeSystem stands before others of its url."""
    if context.terminology.find("CodeSystem", code_system["url"]) is code_system:
        return context.terminology
    return context.terminology.having(code_system)


def _sent(context: Context, named: Named, sent: Resource) -> Resource:
    where = f"Parameters.parameter('{named.sent}')"
    if sent["resourceType"] != named.kind:
        text = f"The parameter {named.sent} is a {named.kind}, not a {sent['resourceType']}."
        raise FhirError(400, [error("invalid", text, where)])
    options = context.checked(sent["resourceType"], warnings=False)
    found = profiles.validate(sent, context.terminology, options=options)
    if found:
        raise FhirError(422, found)
    return sent
