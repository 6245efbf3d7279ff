"""What a batch, a transaction or one write would come to, found out without storing anything.

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from fhir_server.context import Context, instant
from fhir_server.interactions import conformance, permitted
from fhir_server.interactions.cases import known_cases
from fhir_server.interactions.entries import Entry, refuse_blank
from fhir_server.interactions.plan import Outcome, Plan, add, begun, dangling
from fhir_server.interactions.referred import Referred
from fhir_server.interactions.targets import Target, locate, twins
from fhir_server.interactions.transaction import readable, still_referred, unreadable
from fhir_server.store import read as store
from fhir_server.store.index import Named
from fhir_server.store.search.keys import referring
from r4.issue import FhirError, Issue, error
from r4.json import Resource

_ENTRY = re.compile(r"Bundle\.entry\[\d+\]")
_MOST_REFERRING = 5
"""How many of those that refer to a resource are named."""
_REFUSED = ("would-be-refused", "This would be refused.")
_READ = ("would-read", "This entry would be answered, and changes nothing.")


def dry_run(context: Context, bundle: Resource, *named: str) -> list[Issue]:
    """Say of a Bundle of type batch or transaction what is wrong with it, and what it would do.

    First all that validation finds in the Bundle, and all that would refuse it or one of its entries;
    then of each entry one information, whose rule is would-create, would-update, unchanged,
    would-delete, would-read or would-be-refused. The entries of a batch are each held against what is
    stored now. named: canonicals of profiles that the Bundle itself is to keep.
    Raises FhirError 403 where an entry would not be admitted: what it would do tells what is here.
    """
    now, referred = instant(context.now()), Referred(context)
    try:
        listed = readable(context, bundle)
    except FhirError as refusal:
        found = conformance.issues(context, bundle, referred, now, named=named)
        rules = {("Bundle", issue.rule) for issue in refusal.issues}  # it says more precisely where
        found = [issue for issue in found if (issue.expression, issue.rule) not in rules]
        return list(dict.fromkeys([*found, *refusal.issues]))
    permitted.refuse(context, listed)
    groups = [[entry] for entry in listed] if bundle["type"] == "batch" else [listed]
    rehearsed = [_rehearsed(context, group) for group in groups]
    if bundle["type"] == "transaction":
        referred.targets = rehearsed[0][1]
    planned = {target.entry.place for _, targets in rehearsed for target in targets}
    found = conformance.issues(context, bundle, referred, now, named=named)
    found = [issue for issue in found if not _is_said_by_the_plan(issue, planned)]
    said = [issue for issues, _ in rehearsed for issue in issues]
    found += [issue for issue in said if issue.severity != "information"]
    found += [issue for issue in said if issue.severity == "information"]
    return list(dict.fromkeys(found))


def _is_said_by_the_plan(issue: Issue, planned: set[str | None]) -> bool:
    """Tell whether it is for the plan of an entry to say that its resource is wrong, or that it is not.

    Only what would be stored counts: the id of what is created, for one, is not that which was sent.
    """
    place = _place(issue)
    inside = (issue.expression or "").startswith(f"{place}.resource")
    return issue.is_error and inside and place in planned and issue.code != "too-costly"


def rehearse(context: Context, listed: Sequence[Entry], *, warnings: bool = False) -> list[Issue]:
    """Return what would refuse entries that are stored together, and what each of them would do.

    With warnings, what does not refuse them is looked for too.
    """
    return _rehearsed(context, listed, warnings=warnings)[0]


def _rehearsed(
    context: Context, listed: Sequence[Entry], *, warnings: bool = False
) -> tuple[list[Issue], Sequence[Target]]:
    """Return the issues of a rehearsal, and what the entries that could be planned mean."""
    rehearsal = _Rehearsal(begun(context, warnings=warnings))
    _plan(context, rehearsal, [entry for entry in listed if entry.method != "GET"])
    issues = [*rehearsal.issues, *unreadable(context, listed)]
    issues += [*_missing(context, rehearsal.made), *_referred(context, rehearsal.made)]
    refused = {_place(issue) for issue in issues if issue.is_error}
    issues += (each for each in dangling(context, rehearsal.made) if _place(each) in refused)
    said = [_said(entry, rehearsal, refused) for entry in listed]
    return [*dict.fromkeys(issues), *said], rehearsal.made.targets


@dataclass(slots=True)
class _Rehearsal:
    """A plan that is not carried out, what is wrong with it, and the outcome of each place."""

    made: Plan
    issues: list[Issue] = field(default_factory=list)
    outcomes: dict[str | None, tuple[Target, Outcome]] = field(default_factory=dict)


def _plan(context: Context, rehearsal: _Rehearsal, listed: Sequence[Entry]) -> None:
    """Plan entries as `plan` does, and go on after what is wrong with one of them."""
    made, issues = rehearsal.made, rehearsal.issues
    targets: list[Target] = []
    for entry in listed:
        try:
            refuse_blank(entry)
            targets.append(locate(context, entry, made.guards))
        except FhirError as refusal:
            issues.extend(refusal.issues)
    issues.extend(twins(targets))
    try:
        targets = known_cases(context, targets, made.guards)
    except FhirError as refusal:
        issues.extend(refusal.issues)
    made.take(targets)
    for target in made.targets:
        before = len(made.outcomes)
        try:
            issues.extend(add(context, made, target))
        except FhirError as refusal:
            issues.extend(refusal.issues)
        if len(made.outcomes) > before:
            rehearsal.outcomes[target.entry.place] = (target, made.outcomes[-1])


def _missing(context: Context, made: Plan) -> list[Issue]:
    """Say of each write which resources it refers to that would not be there."""
    written = {
        (each.entry.type, each.id): each.entry
        for each in made.targets
        if each.writes and each.entry.method != "DELETE"
    }
    deleted = {(write.type, write.id) for write in made.writes if write.deleted}
    named = {each for write in made.writes for each in write.refers or ()}
    elsewhere = named - written.keys() - deleted
    absent = (named & deleted) | (elsewhere - store.existing(context.database, elsewhere))
    issues = []
    for write in made.writes:
        for kind, key in sorted(absent.intersection(write.refers or ())):
            at = written[(write.type, write.id)].at(write.type)
            issues.append(error("not-found", f"{kind}/{key} is not known here.", at, "reference"))
    return issues


def _referred(context: Context, made: Plan) -> list[Issue]:
    """Say of each deletion what would still refer to what is gone."""
    unchanged = {(each.type, each.id) for each in made.outcomes if each.unchanged}
    own: set[Named] = {(each.entry.type, each.id) for each in made.targets} - unchanged
    newest, issues = store.snapshot(context.database), []
    for write in made.writes:
        if write.deleted:
            named, most = (write.type, write.id), _MOST_REFERRING + len(own)
            found = store.referring(context.database, [referring(*named)], newest, most)
            others = [(each.type, each.id) for each in found if (each.type, each.id) not in own]
            if others:
                issues.append(still_referred(made, named, others[:_MOST_REFERRING]))
    return issues


def _place(issue: Issue) -> str | None:
    """Return the place of the entry that an issue is about."""
    match = _ENTRY.match(issue.expression or "")
    return match[0] if match else None


def _said(entry: Entry, rehearsal: _Rehearsal, refused: set[str | None]) -> Issue:
    """Say what an entry would do."""
    if entry.place in refused:
        rule, text = _REFUSED
    elif entry.method == "GET":
        rule, text = _READ
    elif entry.place in rehearsal.outcomes:
        rule, text = _would(*rehearsal.outcomes[entry.place])
    else:
        rule, text = _REFUSED
    if refused and rule not in (_REFUSED[0], _READ[0]):
        text = f"But for the errors of the other entries: {text}"
    return Issue("information", "informational", text, entry.place, rule)


def _would(target: Target, outcome: Outcome) -> tuple[str, str]:
    """Return the rule and the sentence of an outcome."""
    place = f"{outcome.type}/{outcome.id}"
    gone = target.current is None or target.current.deleted
    if outcome.deleted and gone:
        return "unchanged", f"There is no {outcome.type} here that would be deleted."
    if outcome.deleted:
        text = f"{place} would be deleted, which would be its version {outcome.version}."
        return "would-delete", text
    if outcome.unchanged:
        return "unchanged", f"{place} is unchanged: it would stay at version {outcome.version}."
    if target.current is not None and gone:
        text = f"{place}, which was deleted, would be created anew, as version {outcome.version}."
        return "would-create", text
    if target.current is None:
        named = place if target.entry.method == "PUT" and target.entry.id else outcome.type
        return "would-create", f"{named} would be created."
    return "would-update", f"{place} would be updated to version {outcome.version}."
