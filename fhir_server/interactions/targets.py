"""Which resource each entry of a transaction means: a new one, or one that is already there.

https://hl7.org/fhir/R4/http.html#trules, https://hl7.org/fhir/R4/http.html#ccreate
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, unquote

from fhir_server.access.scopes import require_each
from fhir_server.context import Context
from fhir_server.interactions.entries import Entry
from fhir_server.interactions.permitted import asked
from fhir_server.store import read as store
from fhir_server.store.connection import Database
from fhir_server.store.read import Stored
from fhir_server.store.search.parse import Query
from fhir_server.store.search.refusal import bad
from fhir_server.store.search.results import is_result
from fhir_server.store.search.worded import Worded, identified, worded
from fhir_server.store.seen import whole
from fhir_server.store.write import Guard
from r4.issue import FhirError, Issue, error
from r4.json import Resource, decode
from r4.reference import conditional, literal, references
from terminology.systems import CHI_NUMBER, NHS_NUMBER

MATCHES = 20
"""How many matches are looked at: more than the records that one person may have had."""


_MEANING = frozenset({"POST", "PUT"})
"""The methods of entries that may mean a child by its number who has not been the hospital's so far."""
_LETTERS = {"PUT": "u", "PATCH": "u", "DELETE": "d"}
"""The letter of scopes that says what may be changed, or deleted, of what is there."""
NATIONAL = (NHS_NUMBER, CHI_NUMBER)


Known = Mapping[tuple[str, str], tuple[Worded, list[Stored]]]
"""What searches, each by type and criteria, found that were asked together."""


@dataclass(frozen=True, slots=True)
class Target:
    """The resource that an entry means: its id and, where it is already there, its current version."""

    entry: Entry
    id: str
    current: Stored | None
    writes: bool


def known(context: Context, entries: Sequence[Entry]) -> Known:
    """Ask together for all the identifiers by which entries, and references in them, mean resources.

    A hospital means a child by its national number even if it has not been one of its own so far. Who has
    scopes with queries means nothing but what these find: each is then asked for by itself.
    """
    if context.principal.scoped:
        return {}
    is_narrowed = context.principal.is_narrowed
    if not is_narrowed and (len(entries) == 1 or not any(entry.query for entry in entries)):
        return {}
    wanted = {(e.type, e.query): None for e in entries if e.query and e.method in _MEANING}
    for entry in entries:
        for text in references(entry.resource):
            if "?identifier=" in text and (found := conditional(text)):
                wanted[found.type, found.query] = None
    read = ((one, identified(*one, MATCHES)) for one in wanted)
    asked = {one: each for one, each in read if each is not None}
    national = {one for one in asked if is_narrowed and is_national(*one)}
    return {
        **_matches_of(context.database, {o: e for o, e in asked.items() if o not in national}),
        **_matches_of(whole(context.database), {one: asked[one] for one in national}),
    }


def _matches_of(database: Database, asked: Mapping[tuple[str, str], Worded]) -> Known:
    matches = store.matching(database, list(asked.values()))
    return {one: (asked[one], each) for one, each in zip(asked, matches, strict=True)}


def is_national(resource_type: str, criteria: str) -> bool:
    """Tell whether criteria are the national number of a child and nothing else."""
    name, _, value = unquote(criteria).partition("=")
    system, bar, number = value.partition("|")
    is_number = bool(bar and number) and not any(each in number for each in ",&|\\")
    return resource_type == "Patient" and name == "identifier" and system in NATIONAL and is_number


def relying(
    context: Context,
    asked: tuple[str, str],
    query: Query | Worded,
    found: Sequence[Stored],
    before: Known,
    letters: str = "rs",
) -> Guard:
    """Return the guard of what was found by type and criteria, `before` with others or by itself."""
    is_whole = context.principal.is_narrowed and asked in before and is_national(*asked)
    return Guard(query, tuple(stored.id for stored in found), is_whole, letters)


def national_numbers(resource: Resource) -> Iterator[str]:
    """Yield the criteria of each national number that a Patient has."""
    listed = resource.get("identifier")
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict):
            found = f"identifier={each.get('system')}|{each.get('value')}"
            if is_national("Patient", found):
                yield found


def claim(context: Context, targets: Sequence[Target], guards: list[Guard]) -> None:
    """Rely, for a hospital, on whom the national numbers of what it writes mean, of all there is.

    Whoever that is has to be its own child when all is stored (`store.permission`).
    """
    for target in targets if context.principal.is_narrowed else ():
        if target.entry.type == "Patient" and target.entry.resource is not None:
            for criteria in national_numbers(target.entry.resource):
                if (asked := identified("Patient", criteria, MATCHES)) is not None:
                    (found,) = store.matching(whole(context.database), [asked])
                    guards.append(Guard(asked, tuple(each.id for each in found), whole=True))


def locate(
    context: Context, entry: Entry, guards: list[Guard], found: Known | None = None
) -> Target:
    """Find the resource that an entry means, and add what that relied on to the guards.

    What has been found before is not looked for again.
    Raises FhirError 412 where If-Match does not hold or criteria match several resources.
    """
    if entry.query is not None:
        return _conditional_target(context, entry, guards, found or {})
    if entry.method == "POST":
        return Target(entry, entry.id or context.new_id(), None, writes=True)
    letters = _LETTERS.get(entry.method, "")
    current = store.current(context.by_letters(letters).database, entry.type, entry.id or "")
    if current is None and _is_scoped(context, letters, entry.type) and entry.method != "DELETE":
        text = f"{entry.type}/{entry.id} is not known here."
        raise FhirError(404, [error("not-found", text, entry.at(None))])
    if entry.if_match is not None and not _matches(entry.if_match, current):
        text = f"{entry.type}/{entry.id} is not at version {entry.if_match}: read it again."
        raise FhirError(412, [error("conflict", text, entry.at(None))])
    creates = context.settings.update_create and not context.principal.is_narrowed
    if current is None and entry.method == "PUT" and not creates:
        text = f"{entry.type}/{entry.id} is not known here, and an update does not create it here."
        raise FhirError(405, [error("not-supported", text, entry.at(None))])
    return Target(entry, entry.id or "", current, writes=True)


def _is_scoped(context: Context, letters: str, resource_type: str) -> bool:
    """Tell whether queries of scopes narrow what may be done with a type."""
    narrowed = {(each.letter, each.type) for each in context.principal.scoped}
    return any((letter, resource_type) in narrowed for letter in letters)


def _conditional_target(
    context: Context, entry: Entry, guards: list[Guard], before: Known
) -> Target:
    asked = entry.query or ""
    try:
        known = before if entry.method in _MEANING else {}
        letters = "rs" + _LETTERS.get(entry.method, "")
        query, found = find(context.by_letters(letters), entry.type, asked, before=known)
    except FhirError as refusal:
        issues = [replace(issue, expression=_criteria_place(entry)) for issue in refusal.issues]
        raise FhirError(refusal.status, issues) from None
    guards.append(relying(context, (entry.type, asked), query, found, known, letters))
    if not found:
        return Target(entry, entry.id or context.new_id(), None, writes=True)
    current = _meant(context, entry, found)
    for retired in found:
        if entry.resource is not None and retired.id != current.id:
            entry = _without_identifiers_of(retired, entry)
    return Target(entry, current.id, current, writes=entry.method != "POST")


def _meant(context: Context, entry: Entry, found: list[Stored]) -> Stored:
    """Return the one record that the matches come to; raises FhirError 412 where they are several.

    Patients that were merged come to the one that stands for them, and so do the cases of one child.
    """
    if entry.method != "DELETE" and entry.kind != "unlink" and not _is_merge_of_patients(entry):
        found = standing(context, found)
    if entry.type == "EpisodeOfCare" and entry.method == "POST" and len(found) > 1:
        children = {_child_of(context, case) for case in found}
        found = [min(found, key=lambda case: case.rid)] if len(children) == 1 else found
    if len(found) == 1:
        return found[0]
    text = f"{entry.type}?{entry.query} matches more than one resource."
    if entry.type == "Patient":
        text += " If they are one child's, merge them (A40)."
    raise FhirError(412, [error("multiple-matches", text, _criteria_place(entry))])


def _child_of(context: Context, case: Stored) -> str:
    """Return the id of the record that stands for a case's child."""
    place = literal(decode(case.body)["patient"].get("reference", ""))
    patient = place and store.current(context.database, "Patient", place.id)
    return survivor(context, patient).id if patient else case.id


def _criteria_place(entry: Entry) -> str:
    """Return the expression of an entry's criteria."""
    if entry.place is None:
        return "http.If-None-Exist" if entry.method == "POST" else "http.url"
    return f"{entry.place}.request.{'ifNoneExist' if entry.method == 'POST' else 'url'}"


def _without_identifiers_of(retired: Stored, entry: Entry) -> Entry:
    """Leave a retired record its numbers: on the survivor too, they would match two records."""
    kept = decode(retired.body).get("identifier", [])
    numbers = {(each.get("system"), each.get("value")) for each in kept}
    incoming = entry.resource or {}
    listed = incoming.get("identifier")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        return entry  # the validator says what is wrong with it
    others = [each for each in listed if (each.get("system"), each.get("value")) not in numbers]
    rest = {key: value for key, value in incoming.items() if key != "identifier"}
    return replace(entry, resource={**rest, "identifier": others} if others else rest)


def find(
    context: Context,
    resource_type: str,
    criteria: str,
    most: int = MATCHES,
    before: Known | None = None,
) -> tuple[Query | Worded, list[Stored]]:
    """Return the query of the criteria and its first matches; raises FhirError 400, 403 or 412.

    What says how an answer looks is refused (400), but for the format of what is answered.
    """
    if context.principal.scopes is not None:
        require_each(context.principal.name, context.principal.scopes, [("s", resource_type)])
    if before and most == MATCHES and (hit := before.get((resource_type, criteria))):
        return hit
    if (by_number := identified(resource_type, criteria, most)) is not None:
        return by_number, store.matching(context.database, [by_number])[0]
    read = asked(context, resource_type, criteria)
    for name, _ in parse_qsl(criteria, keep_blank_values=True):
        if is_result(name) and name not in ("_format", "_pretty"):
            raise bad(name, f"{name} is no criterion: it says how an answer looks.")
    if not read.criteria and read.ids is None and not read.updated:
        text = f"{resource_type}?{criteria} has no criteria."
        raise FhirError(412, [error("required", text)])
    query = replace(read, count=most)
    if (of_words := worded(context.database.dialect, query)) is not None:
        return of_words, store.matching(context.database, [of_words])[0]
    return query, store.search(context.database, query)


def _is_merge_of_patients(entry: Entry) -> bool:
    links = (entry.resource or {}).get("link")
    listed = links if isinstance(links, list) else []
    return entry.type == "Patient" and any(
        isinstance(link, dict) and link.get("type") == "replaced-by" for link in listed
    )


def standing(context: Context, found: list[Stored]) -> list[Stored]:
    """Return the records that matches come to: of Patients that were merged, the one that stands."""
    records = (survivor(context, one) for one in found)
    return list({each.id: each for each in records}.values())


def survivor(context: Context, stored: Stored) -> Stored:
    """Follow Patient.link replaced-by to the record that now stands for the person."""
    seen = {stored.id}
    while stored.type == "Patient" and b'"replaced-by"' in stored.body:
        links = decode(stored.body).get("link", [])
        others = [link["other"] for link in links if link["type"] == "replaced-by"]
        place = literal(others[0].get("reference", "")) if others else None
        database = context.database if context.principal.scoped else whole(context.database)
        following = place and store.current(database, "Patient", place.id)
        if not following or following.deleted or following.id in seen:
            break
        stored = following
        seen.add(stored.id)
    return stored


def _matches(if_match: str, current: Stored | None) -> bool:
    wanted = if_match.removeprefix("W/").strip('"')
    return current is not None and not current.deleted and wanted == str(current.version)


def refuse_twins(targets: Sequence[Target]) -> None:
    """Raise FhirError 400 where two entries mean one resource, or would both create it."""
    if issues := list(twins(targets)):
        raise FhirError(400, issues)


def twins(targets: Sequence[Target]) -> Iterator[Issue]:
    """Yield an issue of each entry that means the resource of another, or would create it too."""
    seen: dict[tuple[str, str], Target] = {}
    for target in targets:
        place = (target.entry.type, target.id)
        twin = seen.setdefault(place, target)
        is_joined = target.entry.kind == "join" and not target.writes
        if twin is not target and (twin.writes or target.writes) and not is_joined:
            yield _same(twin.entry, target.entry, "/".join(place))
    queries: dict[tuple[str, str], Entry] = {}
    for target in targets:
        if target.entry.query is not None and target.current is None:
            key = (target.entry.type, target.entry.query)
            if (other := queries.setdefault(key, target.entry)) is not target.entry:
                text = f"{other.place} and {target.entry.place} would create the same resource."
                yield error("duplicate", text, target.entry.at(None))


def _same(one: Entry, other: Entry, place: str) -> Issue:
    if _is_merge_of_patients(other) or _is_merge_of_patients(one):
        text = (
            f"Both patients are {place}, or it stands for the other one already: "
            "the two would replace each other."
        )
        return error("conflict", text, other.at(None), "merge-cycle")
    text = f"{one.place} and {other.place} mean the same resource, {place}."
    return error("duplicate", text, other.at(None))


def places(targets: Sequence[Target]) -> dict[str, str]:
    """Map the fullUrl, and the criteria, of each entry to the literal reference of its resource."""
    found: dict[str, str] = {}
    for target in targets:
        place = f"{target.entry.type}/{target.id}"
        if target.entry.full_url:
            found[target.entry.full_url] = place
        if target.entry.query:
            found[f"{target.entry.type}?{target.entry.query}"] = place
    return found
