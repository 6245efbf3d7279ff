"""Moves: a visit becomes another child's, two visits become one, a merge is undone.

What a trusted Bundle asks for by the kind of a request, an update of one resource cannot say: what
belongs to a visit goes where the visit goes, in the same transaction. Each is planned from what is
stored, so that one which has been carried out already changes nothing.
HL7 v2.4 §3.3.35 (A35), §3.3.37 (A37), §3.3.44 (A44).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from fhir_server.context import Context
from fhir_server.interactions.entries import Entry
from fhir_server.interactions.identity import other_child, replaced_by, standing_for
from fhir_server.interactions.merge import merge
from fhir_server.interactions.source import supplemented
from fhir_server.interactions.targets import Target, find, places
from fhir_server.store import read as store
from fhir_server.store.read import Stored
from fhir_server.store.search.keys import referring
from fhir_server.store.search.parameters import parameters
from fhir_server.store.write import Guard
from r4 import definitions
from r4.issue import FhirError, error
from r4.json import Resource, decode
from terminology.systems import CASE

CHILD = ("subject", "patient", "for")
"""The elements by which a resource says whose it is."""
MOST = 1000
"""Most resources of a type that may belong to a visit that is moved."""
_VISIT = ("encounter", "context")
_NOT_TOLD = ("id", "meta", "identifier", "link", "active")


def moved(context: Context, targets: list[Target], guards: list[Guard]) -> list[Target]:
    """Return the targets with those that the kinds of their requests bring along.

    Raises FhirError 404 where what must be known is not, 409 where a visit is neither child's.
    """
    if not any(target.entry.kind for target in targets):
        return targets
    _refuse_unknown(targets)
    found: list[Target] = []
    for target in targets:
        if target.entry.kind == "move":
            found += _moved(context, target, targets, guards)
        elif target.entry.kind == "join":
            found = _joined(context, target, [*found], guards)
        elif target.entry.kind == "unlink":
            found.append(_unlinked(target, targets))
        else:
            found.append(target)
    return _told(found, targets)


def _refuse_unknown(targets: Iterable[Target]) -> None:
    for target in targets:
        if target.entry.kind in ("known", "move", "unlink") and target.current is None:
            text = f"{target.entry.type}?{target.entry.query} is not known here: send it first."
            raise FhirError(404, [error("not-found", text, target.entry.at(None))])


def _moved(
    context: Context, target: Target, targets: Sequence[Target], guards: list[Guard]
) -> list[Target]:
    """Move a visit, and what belongs to it, to the child whose it now is."""
    visit = _current(target)
    said = (target.entry.resource or {})["subject"]["reference"]
    to = places(targets).get(said, said)
    others = [f"Patient/{t.id}" for t in targets if t.entry.type == "Patient"]
    now = standing_for(context, visit["subject"]["reference"])
    if now == to:
        return [replace(target, writes=False)]
    if now not in others:
        raise FhirError(409, [other_child(visit, to)])
    theirs = of_visit(context, target.id, guards)
    return [_put(target.current, given(visit, to), target), *belongings(context, theirs, to)]


def belongings(context: Context, theirs: Sequence[Stored], to: str) -> list[Target]:
    """Return the updates by which resources, and the cases that they alone opened, become a child's."""
    conditions = {f"Condition/{each.id}" for each in theirs if each.type == "Condition"}
    words = [referring("Condition", name.partition("/")[2]) for name in conditions]
    about = _referring(context, words)
    cases = [each for each in about if each.type == "EpisodeOfCare"]
    found = [_put(each, given(decode(each.body), to)) for each in theirs]
    for case in cases:
        resource = decode(case.body)
        named = {each["condition"].get("reference") for each in resource.get("diagnosis", ())}
        if named <= conditions and resource["patient"].get("reference") != to:
            found.append(_put(case, _given_case(context, resource, to)))
    return found


def given(resource: Resource, to: str) -> Resource:
    """Return a resource that is a child's (`Patient/id`) from now on."""
    element = next(name for name in CHILD if name in resource)
    return {**resource, element: {"reference": to}}


def _given_case(context: Context, case: Resource, to: str) -> Resource:
    """Return a case that is a child's now; where the child has that case already, one made in error.

    Its identifier names the child by number, and may not find the case any longer.
    """
    case = {**case, "identifier": [i for i in case.get("identifier", ()) if i["system"] != CASE]}
    if not case["identifier"]:
        case = {key: value for key, value in case.items() if key not in ("identifier", "meta")}
    coding = case["type"][0]["coding"][0]
    criteria = f"patient={to}&type={coding['system']}|{coding['code']}"
    has = [decode(each.body) for each in store.every(context.database, "EpisodeOfCare", criteria)]
    if not any(each["status"] != "entered-in-error" for each in has):
        return given(case, to)
    rest = {name: value for name, value in case.items() if name != "diagnosis"}
    return {**rest, "status": "entered-in-error"}


def _joined(
    context: Context, prior: Target, before: list[Target], guards: list[Guard]
) -> list[Target]:
    """Make two visits one: what the first was known by, and what belongs to it, is the other's."""
    number = next(n for n, target in enumerate(before) if target.entry.kind == "visit")
    stands = before[number]
    old = [{**each, "use": "old"} for each in (prior.entry.resource or {})["identifier"]]
    if prior.current is None and stands.current is None:
        text = "Neither of the two visits is known here: send them first."
        raise FhirError(404, [error("not-found", text, prior.entry.at(None))])
    known = stands.current or prior.current
    _refuse_other_child(context, [t for t in (stands, prior) if t.current], before)
    if prior.current is None or stands.current is None or prior.id == stands.id:
        new = [*(stands.entry.resource or {})["identifier"], *old]
        visit = merge(decode(known.body) if known else {}, {"identifier": new})
        before[number] = _put(known, visit, stands)
        return [*before, replace(prior, id=before[number].id, current=known, writes=False)]
    visit, gone = _current(stands), _current(prior)
    numbers = [{**each, "use": "old"} for each in gone.pop("identifier", ())]
    theirs = of_visit(context, prior.id, guards)
    before[number] = _put(stands.current, _with_all(visit, gone, numbers), stands)
    to = {"reference": f"Encounter/{stands.id}"}
    rest = [_put(each, _pointed(decode(each.body), prior.id, to)) for each in theirs]
    for name in ("diagnosis", "meta"):  # a profile may ask for the numbers that are gone
        gone.pop(name, None)
    return [*before, _put(prior.current, {**gone, "status": "entered-in-error"}, prior), *rest]


def _refuse_other_child(
    context: Context, visits: Sequence[Target], targets: Sequence[Target]
) -> None:
    """Raise FhirError 409 where a visit is not the patient's of whom the message is."""
    child = next(f"Patient/{each.id}" for each in targets if each.entry.type == "Patient")
    for visit in map(_current, visits):
        if standing_for(context, visit["subject"]["reference"]) != child:
            raise FhirError(409, [other_child(visit, child)])


def _with_all(visit: Resource, gone: Resource, numbers: list[Resource]) -> Resource:
    """Return a visit with what it lacks of another one, and with its numbers and diagnoses."""
    left_out = ("id", "meta", "identifier", "diagnosis", "status")
    found = supplemented(visit, {k: v for k, v in gone.items() if k not in left_out})
    found = merge(found, {"identifier": numbers})
    known = found.get("diagnosis", [])
    listed = [*known, *(each for each in gone.get("diagnosis", ()) if each not in known)]
    return {**found, "diagnosis": listed} if listed else found


def _pointed(resource: Resource, visit: str, to: Resource) -> Resource:
    """Return a resource that belongs to another visit from now on."""
    said = f"Encounter/{visit}"

    def pointed(reference: Resource) -> Resource:
        return to if reference.get("reference") == said else reference

    for name in _VISIT:
        element = resource.get(name)
        if isinstance(element, dict) and "encounter" in element:
            among = [pointed(each) for each in element["encounter"]]
            resource = {**resource, name: {**element, "encounter": among}}
        elif isinstance(element, dict):
            resource = {**resource, name: pointed(element)}
    return resource


def _unlinked(target: Target, targets: Sequence[Target]) -> Target:
    """Undo that one of two Patients has been merged into the other; what is not so stays."""
    patient = _current(target)
    others = [t for t in targets if t.entry.kind == "unlink" and t is not target]
    if len(others) != 1:
        text = "Both PID name the same patient: nothing can be unlinked."
        raise FhirError(422, [error("duplicate", text, target.entry.at("Patient.identifier"))])
    other = others[0]
    return unlinked(target, patient, f"Patient/{other.id}", _current(other))


def unlinked(target: Target, patient: Resource, name: str, other: Resource) -> Target:
    """Return the update by which a Patient and another one (`Patient/id`) are no longer one child's.

    What is told of the Patient besides, its numbers aside, is stored too.
    """
    itself = f"Patient/{patient['id']}"
    if replaced_by(patient) != name and replaced_by(other) != itself:
        return replace(target, writes=False)
    links = [link for link in patient.get("link", ()) if link["other"].get("reference") != name]
    told = {k: v for k, v in (target.entry.resource or {}).items() if k not in _NOT_TOLD}
    found = merge(patient, told)
    found = {key: value for key, value in found.items() if key != "link"}
    found |= {"link": links} if links else {}
    if replaced_by(patient) == name:
        found["active"] = True
    return _put(target.current, found, target)


def of_visit(context: Context, visit: str, guards: list[Guard]) -> list[Stored]:
    """Return what says that it belongs to a visit, and rely on it that no more does.

    Raises FhirError 413 where that is more than is moved at once.
    """
    found: list[Stored] = []
    for kind in _kinds_of_visits():
        query, some = find(context, kind, f"encounter=Encounter/{visit}", MOST + 1)
        guards.append(Guard(query, tuple(each.id for each in some)))
        if len(some) > MOST:
            text = (
                f"More than {MOST} resources of type {kind} belong to this visit: move it by hand."
            )
            raise FhirError(413, [error("too-long", text)])
        found += some
    return found


def _kinds_of_visits() -> Iterator[str]:
    for kind in definitions.resource_types():
        if "encounter" in parameters(kind) and kind not in ("Provenance", "Encounter"):
            yield kind


def _referring(context: Context, words: Sequence[int]) -> list[Stored]:
    if not words:
        return []
    newest = store.snapshot(context.database)
    return store.referring(context.database, words, newest, MOST)


def _current(target: Target) -> Resource:
    found: Resource = decode(target.current.body) if target.current else {}
    return found


def _put(current: Stored | None, resource: Resource, target: Target | None = None) -> Target:
    """Return the update of what is stored to what it is from now on."""
    if current is None:
        raise ValueError("only what is stored can be moved")
    place = target.entry.place if target else None
    url = target.entry.full_url if target else None
    entry = Entry(
        "PUT", current.type, current.id, resource=resource, full_url=url, kind="moved", place=place
    )
    return Target(entry, current.id, current, writes=True)


def _told(found: Sequence[Target], targets: Sequence[Target]) -> list[Target]:
    """Let the Provenance tell of what was brought along, too."""
    known = {(target.entry.type, target.id) for target in targets}
    more = [
        {"reference": f"{target.entry.type}/{target.id}"}
        for target in found
        if (target.entry.type, target.id) not in known
    ]
    return [_telling(target, more) if more else target for target in found]


def _telling(target: Target, more: Sequence[Resource]) -> Target:
    provenance = target.entry.resource
    if target.entry.type != "Provenance" or provenance is None:
        return target
    told = {**provenance, "target": [*provenance["target"], *more]}
    return replace(target, entry=replace(target.entry, resource=told))
