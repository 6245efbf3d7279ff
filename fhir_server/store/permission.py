"""What hospitals may write: of their own children, for their own organisations, and deleting nothing.

It is decided where it is stored, by what stands there, so that no door has to.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fhir_server.store import custody
from fhir_server.store.connection import Connection
from fhir_server.store.index import Named
from fhir_server.store.owners import Indexed, Standing, stored
from fhir_server.store.search.keys import place
from fhir_server.store.view import View
from fhir_server.store.whose import ABOUT_NOBODY, ALONE, EVERYBODYS, REGISTRYS, Whose
from fhir_server.store.write import Commit, RefusedError
from r4.json import Resource
from r4.reference import literal

ADDED = frozenset({
    "Device", "Location", "Medication", "Practitioner", "PractitionerRole", "Substance",
})  # fmt: skip
"""What is everybody's and a hospital may add to, but not change."""
_NAMING = {
    "Encounter": "serviceProvider", "EpisodeOfCare": "managingOrganization",
    "Patient": "managingOrganization",
}  # fmt: skip
_STRANGER = (
    "This child is not one of the hospital's: send it together with an Encounter or an EpisodeOfCare of"
    " the hospital."
)


_REGISTRYS = frozenset({
    "Communication", "CommunicationRequest", "Consent", "MeasureReport", "Task",
})  # fmt: skip
"""What is about a child and the registry's to write: its reports, surveys, and what families decide."""


def is_writable(kind: str) -> bool:
    """Tell whether a hospital may write resources of a type at all."""
    return kind in ADDED or kind not in ABOUT_NOBODY | ALONE | _REGISTRYS


@dataclass(frozen=True, slots=True)
class Permitted:
    """What of a commit its hospitals may refer to: whose they are, and who was found by a number."""

    owners: frozenset[Whose]
    claimed: frozenset[int]
    """Patients that identity matching found, of which the commit may or may not take custody."""

    def sees(self, whose: Whose) -> bool:
        """Tell whether something that is of one is seen, or is of a child that was found."""
        return whose is EVERYBODYS or whose in self.owners or whose in self.claimed


def permitted(
    connection: Connection,
    seen: View,
    commit: Commit,
    written: Sequence[Indexed],
    told: Mapping[Named, Whose],
) -> Permitted:
    """Return what a commit of hospitals may refer to, its own writes counted."""
    claimed = _claimed(connection, commit)
    new = {place(*each.named) for each in written if each.write.version == 1}
    asked = {one for one in told.values() if one} | claimed
    asked |= {place(*each) for one in written for each in one.refers if each[0] == "Patient"}
    theirs = _in_custody(connection, seen, asked)
    organizations = _own(connection, seen, {each for one in written for each in _named(one)})
    given = {
        told[each.named]
        for each in written
        if each.write.type in custody.GIVERS
        and (each.resource or {}).get("status") != custody.VOID
        and organizations.intersection(_named(each))
    }
    taken = {each for each in given if each in theirs | new | claimed}
    for person in custody.persons(connection, sorted(each for each in taken if each)):
        taken |= person
    return Permitted(frozenset(theirs | taken), frozenset(claimed))


def refuse(
    connection: Connection,
    seen: View,
    allowed: Permitted,
    written: Sequence[Indexed],
    told: Mapping[Named, Whose],
    current: Mapping[Named, Standing],
) -> None:
    """Raise RefusedError where hospitals may not write what a commit of theirs does."""
    before = _before(connection, written, current)
    named = {each for one in (*written, *before.values()) for each in _named(one)}
    foreign = named - _own(connection, seen, named)
    visits = _foreign_visits(connection, seen, [*written, *before.values()], written)
    wrong: list[tuple[Named | None, str]] = []
    for each in written:
        stood = current.get(each.named)
        earlier = before.get(each.named)
        reason = (
            _deletes(each)
            or _is_not_theirs(each, told[each.named], stood, allowed)
            or _names_others(each, earlier, foreign)
            or _is_of_a_visit(each, earlier, visits)
        )
        if reason:
            wrong.append((each.named, reason))
    if allowed.claimed - allowed.owners:
        wrong.append((None, _STRANGER))
    if wrong:
        raise RefusedError(tuple(wrong))


def _deletes(each: Indexed) -> str:
    return "A hospital's client deletes nothing: ask the registry." if each.write.deleted else ""


def _is_not_theirs(each: Indexed, told: Whose, stood: Standing | None, allowed: Permitted) -> str:
    kind = each.write.type
    if not is_writable(kind):
        return f"A {kind} is the registry's to write."
    if told is EVERYBODYS:
        if kind not in ADDED:
            return f"This {kind} is not told to be about a child."
        return f"This {kind} is everybody's: it may be added to, not changed." if stood else ""
    if told is REGISTRYS:
        return f"This {kind} is not told to be about one child, by a reference to the Patient."
    patients = {place(*one) for one in each.refers if one[0] == "Patient"}
    strangers = patients | {told} | ({stood.whose} if stood is not None else set())
    if strangers - allowed.owners - {EVERYBODYS}:
        return _STRANGER
    return ""


def _names_others(each: Indexed, earlier: Indexed | None, foreign: set[int]) -> str:
    """Say why an organisation may not be named; what another hospital has said of its own stays."""
    element = _NAMING.get(each.write.type)
    if element is None or each.resource is None:
        return ""
    was = _said((earlier.resource if earlier else None) or {}, element)
    now = _said(each.resource, element)
    if earlier is not None and foreign.intersection(_named(earlier)):
        if each.write.type != "Patient":
            return f"This {each.write.type} is another hospital's."
        return "" if was == now else "The Patient.managingOrganization of another hospital stays."
    if now != was and now and (not _named(each) or foreign.intersection(_named(each))):
        return (
            f"{each.write.type}.{element} is an Organization of the hospital's own, by reference."
        )
    return ""


def _is_of_a_visit(each: Indexed, earlier: Indexed | None, visits: set[Named]) -> str:
    if each.write.type in custody.GIVERS:
        return ""
    referred = {*each.refers, *(earlier.refers if earlier else ())}
    return "It belongs to a visit of another hospital." if referred & visits else ""


def _before(
    connection: Connection, written: Sequence[Indexed], current: Mapping[Named, Standing]
) -> dict[Named, Indexed]:
    """Return the versions that are followed by what is written."""
    rids = [current[each.named].rid for each in written if each.named in current]
    return {each.named: each for each in stored(connection, rids, rowless=True).values()}


def _foreign_visits(
    connection: Connection, seen: View, of: Iterable[Indexed], written: Sequence[Indexed]
) -> set[Named]:
    """Return the Encounters that are referred to and name an organisation of another hospital."""
    referred = {each for one in of for each in one.refers if each[0] == "Encounter"}
    wanted = sorted(referred - {each.named for each in written})
    if not wanted:
        return set()
    among = connection.dialect.among("r.place", [place(*each) for each in wanted])
    rows = connection.read(
        "SELECT r.id, f.target FROM resource AS r JOIN search_reference AS f ON f.rid = r.rid"
        f" AND f.param = {custody.GIVING[0]} WHERE {among.text} AND r.superseded IS NULL",
        among.parameters,
    )
    own = _own(connection, seen, {row[1] for row in rows})
    return {("Encounter", row[0]) for row in rows if row[1] not in own}


def _named(each: Indexed) -> set[int]:
    """Return the organisation that a version names as that which has the child."""
    element = _NAMING.get(each.write.type)
    found = literal(_said(each.resource or {}, element)) if element else None
    is_here = found is not None and found.base is None
    return {place(found.type, found.id)} if found is not None and is_here else set()


def _said(resource: Resource, element: str) -> str:
    """Return what an element refers to; of a reference that says no place, that there is one."""
    found = resource.get(element)
    if not isinstance(found, dict):
        return ""
    return str(found.get("reference") or "?")


def _claimed(connection: Connection, commit: Commit) -> set[int]:
    """Return the Patients that identity matching has found, with all who are the same person."""
    ids = {each for guard in commit.guards if guard.whole for each in guard.ids}
    wanted = sorted(place("Patient", each) for each in ids)
    return {each for person in custody.persons(connection, wanted) for each in person}


def _in_custody(connection: Connection, seen: View, places: Iterable[int]) -> set[int]:
    return _having(connection, seen, "custody", "whose", places)


def _own(connection: Connection, seen: View, organizations: Iterable[int]) -> set[int]:
    """Return which of some organisations are the hospitals' own."""
    return _having(connection, seen, "site", "organization", organizations)


def _having(
    connection: Connection, seen: View, table: str, column: str, places: Iterable[int]
) -> set[int]:
    wanted = sorted(set(places))
    if not wanted or not seen.hospitals:
        return set()
    among = connection.dialect.among(f"t.{column}", wanted)
    also = " JOIN site AS s ON s.organization = t.organization" if table == "custody" else ""
    at = "s" if also else "t"
    listed = ", ".join(map(str, seen.hospitals))
    rows = connection.read(
        f"SELECT DISTINCT t.{column} FROM {table} AS t{also}"
        f" WHERE {among.text} AND {at}.hospital IN ({listed})",
        among.parameters,
    )
    return {row[0] for row in rows}
