"""The ValueSet, CodeSystem or ConceptMap that a terminology operation is about, however it is named.

By the id of a stored resource, which is taken as it is stored; as a resource that is sent along; or by its
canonical url: what this release and the operator's packages say first, then what is stored.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import profiles
from fhir_server.context import Context, instant
from fhir_server.interactions.read import read
from fhir_server.operations.parameters import Input
from fhir_server.store import read as store
from fhir_server.store.search.parse import parse
from fhir_server.store.search.texts import escape
from r4.canonical import newest
from r4.issue import FhirError, error
from r4.json import Resource, decode
from terminology import Members, Terminology
from terminology.sources import written

Kind = Literal["CodeSystem", "ValueSet", "ConceptMap"]

_VERSIONS = 100
"""Among how many versions of one url, those stored last, the newest is sought."""


@dataclass(frozen=True, slots=True)
class Named:
    """How a resource is named: the id in the path, the parameter that holds it, its url and version."""

    kind: Kind
    resource_id: str | None
    sent: str
    version: str


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A resource that a request is about; of one that is stored, what is compiled is kept."""

    resource: Resource
    is_stored: bool = False


def resource(context: Context, named: Named, given: Input) -> Given | None:
    """Return the resource that a request names; None where it names none.

    Raises FhirError 404 (unknown), 410 (deleted), 400 (sent along, and not what it must be) or 422 (not
    valid, or with a required value left unsaid).
    """
    if named.resource_id is not None:
        return stored(context, named.kind, named.resource_id)
    if named.sent in given:
        return Given(_sent(context, named, given[named.sent]))
    if "url" not in given:
        return None
    return by_url(context, named.kind, given["url"], given.get(named.version))


def stored(context: Context, kind: Kind, resource_id: str) -> Given:
    """Return a resource as it is stored; raises FhirError 404, 410, or 422 where it says too little."""
    return _decoded(read(context, kind, resource_id).body)


def by_url(context: Context, kind: Kind, url: str, version: str | None) -> Given:
    """Return the resource of a canonical url; raises FhirError 404 (there is none) or 422 likewise."""
    canonical = written(url, version)
    if (found := context.terminology.find(kind, canonical)) is not None:
        return Given(found)
    plain, _, inside = canonical.partition("|")
    pairs = [("url", escape(plain))] + ([("version", escape(inside))] if inside else [])
    stored = store.first(context.database, parse(kind, pairs), _VERSIONS)
    if not stored:
        text = f"The {kind} {canonical} is not known here: check its url, or send it along."
        raise FhirError(404, [error("not-found", text, "Parameters.parameter('url')")])
    if len(stored) == 1:
        return _decoded(stored[0].body)
    versions: dict[str, bytes] = {}
    for each in stored:
        versions.setdefault(decode(each.body).get("version", ""), each.body)
    return _decoded(versions[newest(versions)])


def members(context: Context, given: Given) -> Members:
    """Return the codes of a ValueSet; of one that is in use here or stored, compiled once."""
    url = given.resource.get("url", "")
    if url and context.terminology.find("ValueSet", url) is given.resource:
        found = context.terminology.members(url)
        if found is not None:
            return found
    if given.is_stored:
        return _members(context.terminology, given)
    return context.terminology.compiled(given.resource)


def having(context: Context, given: Given) -> Terminology:
    """Return the terminology in which a CodeSystem stands before others of its url.

    Raises FhirError 422 for one that has no url.
    """
    if "url" not in given.resource:
        text = "The CodeSystem has no url: no Coding can name it."
        raise FhirError(422, [error("required", text, "CodeSystem.url")])
    if given.is_stored:
        return _having(context.terminology, given)
    return context.terminology.having(given.resource)


@lru_cache(maxsize=256)
def _decoded(body: bytes) -> Given:
    """Decode a stored resource, which nobody changes: the same bytes are the same object."""
    return Given(_said(decode(body)), is_stored=True)


@lru_cache(maxsize=64)
def _members(terminology: Terminology, given: Given) -> Members:
    return terminology.compiled(given.resource)


@lru_cache(maxsize=64)
def _having(terminology: Terminology, given: Given) -> Terminology:
    return terminology.having(given.resource)


def _sent(context: Context, named: Named, sent: Resource) -> Resource:
    where = f"Parameters.parameter('{named.sent}')"
    if sent["resourceType"] != named.kind:
        text = f"The parameter {named.sent} is a {named.kind}, not a {sent['resourceType']}."
        raise FhirError(400, [error("invalid", text, where)])
    options = context.checked(sent["resourceType"], warnings=False)
    now = instant(context.now())
    found = profiles.validate(sent, context.terminology, now=now, options=options)
    if any(issue.is_error for issue in found):
        raise FhirError(422, found)
    return _said(sent)


def _said(resource: Resource) -> Resource:
    """Return a valid resource that can be gone by; raises FhirError 422 for one that leaves it unsaid."""
    if found := profiles.unsaid(resource):
        raise FhirError(422, found)
    return resource
