"""$validate: what is wrong with a resource, and what would become of it, without storing it.

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_server.context import Context, instant
from fhir_server.interactions import conformance, permitted
from fhir_server.interactions.dry_run import dry_run, rehearse
from fhir_server.interactions.entries import Entry
from fhir_server.interactions.read import read
from fhir_server.interactions.referred import Referred
from fhir_server.operations import parameters
from fhir_server.operations.parameters import Kinds
from r4.issue import FhirError, Issue, error
from r4.json import Resource, decode
from terminology.normalise import normalise

IN_QUERY: Kinds = {"mode": "string", "profile": "string"}
NAMES: Kinds = {"resource": "resource", **IN_QUERY}
_REPEATS = ("profile",)
MODES = ("create", "update", "delete", "profile")


@dataclass(frozen=True, slots=True)
class Place:
    """What the URL names: a type, a type and an id, or nothing; If-Match and If-None-Exist."""

    type: str | None = None
    id: str | None = None
    if_match: str | None = None
    if_none_exist: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks: a resource, how it is meant, and the profiles that it is to keep.

    `inside` is the expression of the resource in the body, where that is Parameters.
    """

    resource: Resource | None = None
    mode: str | None = None
    profiles: tuple[str, ...] = ()
    inside: str | None = None


def asked(body: Resource | None, pairs: Sequence[tuple[str, str]]) -> Asked:
    """Read the parameters of a body and of a query string.

    Raises FhirError 400 for a parameter that the operation does not have, or one of another kind.
    """
    query = parameters.of_query(pairs, IN_QUERY, _REPEATS)
    sent = parameters.of_resource(body, NAMES, "resource", _REPEATS)
    if "mode" in query and "mode" in sent:
        raise parameters.twice("mode")
    mode = {**query, **sent}.get("mode")
    if mode not in (None, *MODES):
        text = f"The mode {mode!r} is none of {', '.join(MODES)}."
        raise _refusal("code-invalid", text, "mode")
    named = [*query.get("profile", ()), *sent.get("profile", ())]
    if "" in named:
        raise _refusal("value", "The parameter profile is empty: name a profile.", "profile")
    is_bare = body is None or body is sent.get("resource")
    listed = [] if is_bare else (body or {}).get("parameter", [])
    places = [at for at, each in enumerate(listed) if each["name"] == "resource"]
    return Asked(
        resource=sent.get("resource"),
        mode=mode,
        profiles=tuple(dict.fromkeys(named)),
        inside=f"Parameters.parameter[{places[0]}].resource" if places else None,
    )


def validate(context: Context, place: Place, asked: Asked) -> list[Issue]:
    """Return the issues of the resource that is sent, or of the one that is stored at the place.

    A Bundle of type batch or transaction is rehearsed, unless a mode is given. With the mode create,
    update or delete it is also said what would refuse that, and what it would do.
    Raises FhirError 400 for what cannot be asked together, 404 or 410 where nothing is stored.
    """
    _refuse_misplaced(place, asked)
    if asked.mode == "delete":
        entry = Entry("DELETE", *_named(place), if_match=place.if_match)
        return _rehearsed(context, entry, warnings=False)
    resource = asked.resource
    if resource is None:
        resource = decode(read(context, *_named(place)).body)
    elif place.type is not None and resource["resourceType"] != place.type:
        text = f"The resource is {resource['resourceType']!r}; this URL validates {place.type}."
        raise _refusal("invalid", text, "resource")
    kind = (resource["resourceType"], resource.get("type"))
    if asked.mode is None and kind in (("Bundle", "transaction"), ("Bundle", "batch")):
        return dry_run(context, resource, *asked.profiles)
    found: list[Issue] = []
    if asked.profiles or asked.mode not in ("create", "update"):
        found += conformance.issues(
            context,
            normalise(resource),
            Referred(context),
            instant(context.now()),
            named=asked.profiles,
        )
    if asked.mode in ("create", "update"):
        found += _written(context, place, asked.mode, resource)
    return list(dict.fromkeys(found))


def _refuse_misplaced(place: Place, asked: Asked) -> None:
    """Raise FhirError 400 where a mode, or the want of a resource, does not go with the URL."""
    if asked.mode in ("update", "delete") and place.id is None:
        text = f"The mode {asked.mode} is about one resource: POST it to [type]/[id]/$validate."
        raise _refusal("invalid", text, "mode")
    if asked.mode == "create" and place.id is not None:
        text = "What is created has no id yet: POST it to [type]/$validate."
        raise _refusal("invalid", text, "mode")
    if asked.mode == "profile" and not asked.profiles:
        raise _refusal("required", "The mode profile needs the parameter profile.", "profile")
    stored = place.id is not None and asked.mode in (None, "delete", "profile")
    if asked.resource is None and not stored:
        raise _refusal("required", "The parameter resource is required.", "resource")


def _written(context: Context, place: Place, mode: str, resource: Resource) -> list[Issue]:
    """Say what would become of a resource that is created, or updated at the place."""
    kind = resource["resourceType"]
    if mode == "create":
        entry = Entry("POST", kind, query=place.if_none_exist, resource=resource)
        return _rehearsed(context, entry)
    if resource.get("id") != place.id:
        text = f"The body's id is {resource.get('id')!r}; the URL says {place.id!r}."
        return [error("invalid", text, f"{kind}.id")]
    entry = Entry("PUT", kind, place.id, resource=resource, if_match=place.if_match)
    return _rehearsed(context, entry)


def _rehearsed(context: Context, entry: Entry, *, warnings: bool = True) -> list[Issue]:
    """Say what would become of a write; raises FhirError 403 for who might not do it."""
    permitted.refuse(context, [entry])
    return rehearse(context, [entry], warnings=warnings)


def _named(place: Place) -> tuple[str, str]:
    return place.type or "", place.id or ""


def _refusal(code: str, text: str, parameter: str) -> FhirError:
    return FhirError(400, [error(code, text, f"Parameters.parameter('{parameter}')")])
