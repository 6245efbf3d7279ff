"""Plan a transaction: which resource each entry means, its references made literal, its new version.

Reads only. What the plan relied on goes into guards and version numbers, which the commit checks.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from fhir_server.access.scopes import InsufficientScopeError
from fhir_server.context import Context, instant, microseconds
from fhir_server.interactions import conformance, erased, signed, subscriptions
from fhir_server.interactions.cases import known_cases
from fhir_server.interactions.duplicates import suspected
from fhir_server.interactions.entries import Entry, Patch
from fhir_server.interactions.identity import cycle_issues, identity_issues, without_old
from fhir_server.interactions.merge import merge
from fhir_server.interactions.moves import moved
from fhir_server.interactions.referred import Referred
from fhir_server.interactions.source import Recency, Source, recency, supplemented
from fhir_server.interactions.targets import (
    Known,
    Target,
    claim,
    find,
    known,
    locate,
    places,
    refuse_twins,
    relying,
    standing,
)
from fhir_server.store import read as store
from fhir_server.store.index import Named, named_here, referred
from fhir_server.store.read import Stored
from fhir_server.store.write import Guard, RefusedError, Write
from r4.issue import FhirError, Issue, error
from r4.json import Resource, decode, encode
from r4.reference import conditional, literal, references, resolve
from terminology.normalise import normalise


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an entry came to: HTTP status, place, version, time and stored bytes."""

    status: int
    type: str
    id: str
    version: int
    updated: int
    body: bytes
    deleted: bool = False
    unchanged: bool = False


class How(NamedTuple):
    """How entries are meant: stored once, as a signature of the server's own, told by a source.

    With `once`, a first entry that finds what it would create makes a plan that writes nothing. With
    `signing`, what is signed may change. objections: the state of those by which it was computed.
    """

    once: bool = False
    signing: bool = False
    source: Source | None = None
    objections: int | None = None


@dataclass(slots=True)
class Plan:
    """The writes, what they rely on, and the outcome of each entry, in the entries' order.

    All is stamped with one moment, `now` as an instant. `referred` finds what references lead to,
    `found` is what has been asked for before, `recency` says what is no news. With `warnings`, what does
    not refuse is looked for too; with `signing`, what is signed may change.
    """

    referred: Referred
    moment: datetime
    now: str
    warnings: bool = False
    signing: bool = False
    writes: list[Write] = field(default_factory=list)
    guards: list[Guard] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    targets: Sequence[Target] = ()
    literals: dict[str, str] = field(default_factory=dict)
    found: Known = field(default_factory=dict)
    recency: Recency | None = None

    def take(self, targets: Sequence[Target]) -> None:
        """Say which resources the entries mean, and by that what their references lead to."""
        self.targets = self.referred.targets = targets
        self.literals = places(targets)


def begun(context: Context, *, warnings: bool = False) -> Plan:
    """Return a plan in which nothing is planned yet."""
    moment = context.now()
    return Plan(Referred(context), moment, instant(moment), warnings)


def plan(context: Context, entries: Sequence[Entry], how: How) -> Plan:
    """Plan the entries; raises FhirError with every issue of every entry.

    What is older than what its source told before adds only what is absent.
    """
    once, source = how.once, how.source
    made = begun(context)
    made.signing = how.signing
    made.found = known(context, entries)
    targets = _all_located(context, entries, made)
    if once and targets and not targets[0].writes and targets[0].current is not None:
        made.outcomes.append(_unchanged(targets[0].current))
        return made
    targets = moved(context, targets, made.guards)
    refuse_twins(targets)
    if source:
        targets = [*targets, *suspected(context, targets, made.now)]
    claim(context, targets, made.guards)
    made.take(known_cases(context, targets, made.guards))
    made.recency = recency(context, source, made.targets) if source else None
    issues = [issue for each in made.targets for issue in add(context, made, each)]
    if any(issue.is_error for issue in issues):
        issues.extend(dangling(context, made))
        raise FhirError(422, [issue for issue in dict.fromkeys(issues) if issue.is_error])
    return made


def add(context: Context, made: Plan, target: Target) -> list[Issue]:
    """Add what an entry comes to to a plan, or nothing where an error is among the issues returned.

    Raises FhirError 400, 404 or 422 where what a patch is to change cannot be patched, 409 where what
    would change is signed.
    """
    if target.entry.method == "DELETE":
        _refuse_change(context, made, target, None)
        _delete(made, target)
    elif target.writes and not _is_kept(made, target):
        resource, refers, issues = _resource(context, target, made)
        issues = [*issues, *erased.refused(context, resource)]
        _refuse_change(context, made, target, resource)
        if not any(issue.is_error for issue in issues):
            _add(made, target, resource, refers)
        return issues
    elif target.current is not None:
        made.outcomes.append(_unchanged(target.current))
    return []


def _refuse_change(context: Context, made: Plan, target: Target, resource: Resource | None) -> None:
    if not made.signing:
        signed.refuse_change(context, target, resource)
        signed.refuse_signing(context, target, resource)


def _is_kept(made: Plan, target: Target) -> bool:
    """Tell whether what would be replaced stays as it is, for it is newer."""
    return made.recency is not None and not target.entry.merge and made.recency.is_stale(target)


def _all_located(context: Context, entries: Sequence[Entry], made: Plan) -> list[Target]:
    """Locate every entry; raises FhirError with what is wrong with any of them."""
    found: list[Target] = []
    refusals: list[FhirError] = []
    for entry in entries:
        try:
            found.append(locate(context, entry, made.guards, made.found))
        except FhirError as refusal:
            refusals.append(refusal)
    if refusals:
        issues = [issue for refusal in refusals for issue in refusal.issues]
        raise FhirError(refusals[0].status, issues)
    return found


def _resource(
    context: Context, target: Target, made: Plan
) -> tuple[Resource, list[Named], list[Issue]]:
    entry, incoming = target.entry, target.entry.resource or {}
    if entry.patch is not None:
        incoming = _patched(entry, entry.patch, target)
    incoming = normalise(incoming)
    issues: list[Issue] = []
    refers: list[Named] = []
    if entry.type != "Bundle":  # a document Bundle is closed: its references are its own
        incoming, refers = _literal(context, entry, incoming, made, issues)
    if entry.type == "Provenance" and made.recency:
        incoming = made.recency.marked(incoming)
    if entry.merge and target.current is not None and not target.current.deleted:
        current = decode(target.current.body)
        issues.extend(_placed(entry, identity_issues(context, current, incoming)))
        if entry.kind != "renumber":
            incoming = without_old(current, incoming)
        if made.recency and made.recency.is_stale(target):
            incoming = supplemented(current, made.recency.standing(incoming), entry.change)
        else:
            incoming = merge(current, incoming, entry.deletes, entry.change)
        refers = referred(incoming)
    resource = {**incoming, "id": target.id}
    found = conformance.issues(context, resource, made.referred, made.now, warnings=made.warnings)
    issues.extend(_placed(entry, found))
    if entry.type == "Subscription" and not any(issue.is_error for issue in issues):
        issues.extend(_placed(entry, subscriptions.issues(context, resource, target.current)))
    if entry.type == "Patient" and "link" in resource and not any(i.is_error for i in issues):
        issues.extend(_placed(entry, cycle_issues(context, resource)))
    return resource, refers, issues


def _patched(entry: Entry, patch: Patch, target: Target) -> Resource:
    """Return the current version, patched; raises FhirError 404 where there is none, 400 or 422."""
    current = target.current
    if current is None or current.deleted:
        text = f"{entry.type}/{entry.id or '?' + (entry.query or '')} is not known here."
        raise FhirError(404, [error("not-found", text, entry.at(None))])
    try:
        patched = patch(decode(current.body))
    except FhirError as refusal:
        placed = (replace(i, expression=entry.place or i.expression) for i in refusal.issues)
        raise FhirError(refusal.status, placed) from None
    if (patched.get("resourceType"), patched.get("id")) != (entry.type, target.id):
        text = "A patch changes neither the resource's type nor its id."
        raise FhirError(422, [error("business-rule", text, entry.at(None))])
    return patched


def _placed(entry: Entry, issues: Iterable[Issue]) -> list[Issue]:
    """Return issues of a resource as issues of the Bundle that holds it."""
    return [replace(issue, expression=entry.at(issue.expression)) for issue in issues]


def _literal(
    context: Context,
    entry: Entry,
    resource: Resource,
    made: Plan,
    issues: list[Issue],
) -> tuple[Resource, list[Named]]:
    """Return the resource with every urn, absolute own and conditional reference made literal.

    Lists also the resources here that it then refers to.
    """

    def made_literal(reference: str) -> str:
        if reference in made.literals:
            return made.literals[reference]
        if reference.startswith(f"{context.base_url}/"):
            return reference.removeprefix(f"{context.base_url}/")
        if reference.startswith("urn:"):
            text = f"{reference} is the fullUrl of no entry."
            issues.append(error("not-found", text, entry.at(entry.type), "reference"))
        elif wanted := conditional(reference):
            try:
                query, found = find(context, wanted.type, wanted.query, before=made.found)
            except InsufficientScopeError:
                raise
            except FhirError as refusal:
                issues.extend(replace(i, expression=entry.at(entry.type)) for i in refusal.issues)
                return reference
            records = standing(context, found)
            if len(records) == 1:
                asked = (wanted.type, wanted.query)
                made.guards.append(relying(context, asked, query, found, made.found))
                made.literals[reference] = f"{wanted.type}/{records[0].id}"
                return made.literals[reference]
            how = "no resource" if not found else "more than one resource"
            text = f"The reference {reference} matches {how} here."
            code = "not-found" if not found else "multiple-matches"
            issues.append(error(code, text, entry.at(entry.type), "reference"))
        return reference

    resolved, texts = resolve(resource, made_literal)
    return resolved, named_here(texts)


def missing(context: Context, made: Plan, absent: Iterable[Named]) -> list[Issue]:
    """Say of each entry which of the resources that are not here it refers to."""
    places = {f"{kind}/{key}" for kind, key in absent}
    issues = []
    for entry in (target.entry for target in made.targets if target.entry.resource):
        for text in references(entry.resource):
            said = text.removeprefix(f"{context.base_url}/")
            place = made.literals.get(said, said).partition("/_history/")[0]
            if place in places:
                wrong = f"{place} is not known here."
                issues.append(error("not-found", wrong, entry.at(entry.type), "reference"))
    texts = [f"{place} is not known here." for place in sorted(places)]
    return list(dict.fromkeys(issues)) or [error("not-found", t, rule="reference") for t in texts]


def dangling(context: Context, made: Plan) -> list[Issue]:
    """Find references to nobody before the commit does, to say all that is wrong at once."""
    own = {(target.entry.type, target.id) for target in made.targets}
    named: set[Named] = set()
    for target in made.targets:
        if target.entry.resource and target.entry.type != "Bundle":
            texts = map(_said(context, made), references(target.entry.resource))
            found = (literal(text) for text in texts)
            named |= {(each.type, each.id) for each in found if each and not each.base}
    named -= set(named_here(made.literals.values()))  # found by what they were asked for
    absent = named - own - store.existing(context.database, named - own)
    return missing(context, made, absent) if absent else []


def refused(made: Plan, refusal: RefusedError) -> list[Issue]:
    """Say of each entry that may not be written why not; of no entry, where it is none's."""
    entries = {(target.entry.type, target.id): target.entry for target in made.targets}
    issues = []
    for named, text in refusal.args[0]:
        entry = entries.get(named) if named else None
        at = entry.at(entry.type) if entry else None
        issues.append(error("forbidden", text, at, refusal.rule))
    return issues


def _said(context: Context, made: Plan) -> Callable[[str], str]:
    return lambda said: made.literals.get(said, said.removeprefix(f"{context.base_url}/"))


def _delete(made: Plan, target: Target) -> None:
    """Plan a deletion; what is not there, or deleted already, stays as it is."""
    current = target.current
    if current is None or current.deleted:
        version = current.version if current else 0
        at = current.updated if current else microseconds(made.moment)
        made.outcomes.append(
            Outcome(204, target.entry.type, target.id, version, at, b"", deleted=True)
        )
        return
    write = Write(
        current.type, current.id, current.version + 1, microseconds(made.moment), b"",
        deleted=True,
    )  # fmt: skip
    made.writes.append(write)
    made.outcomes.append(
        Outcome(204, write.type, write.id, write.version, write.updated, b"", deleted=True)
    )


def _add(made: Plan, target: Target, resource: Resource, refers: list[Named]) -> None:
    current = target.current
    if current and not current.deleted and _content(resource) == _content(decode(current.body)):
        made.outcomes.append(_unchanged(current))
        return
    entry = target.entry
    version = current.version + 1 if current else 1
    meta = {
        **resource.get("meta", {}), "versionId": str(version), "lastUpdated": made.now
    }  # fmt: skip
    stamped = {"resourceType": entry.type, "id": target.id, "meta": meta}
    stamped |= {key: value for key, value in resource.items() if key not in stamped}
    body, updated = encode(stamped), microseconds(made.moment)
    fresh = entry.method == "POST" and current is None
    write = Write(entry.type, target.id, version, updated, body, refers, fresh=fresh)
    made.writes.append(write)
    status = 200 if current and not current.deleted else 201
    made.outcomes.append(Outcome(status, entry.type, target.id, version, updated, body))


def _content(resource: Resource) -> Resource:
    meta = {
        key: value
        for key, value in resource.get("meta", {}).items()
        if key not in ("versionId", "lastUpdated")
    }
    return {
        **{k: v for k, v in resource.items() if k != "meta"},
        **({"meta": meta} if meta else {}),
    }


def _unchanged(stored: Stored) -> Outcome:
    return Outcome(
        200, stored.type, stored.id, stored.version, stored.updated, stored.body, unchanged=True
    )
