"""Purge: everything of one child leaves the database, in one transaction. ADR 17.

What is about the child alone goes, all versions of it. What others share stays with each reference to
the child masked: the old versions where they stand, and a new version says what is so from now on.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from fhir_server.store import (
    applied,
    chain,
    custody,
    inbox,
    jobs,
    links,
    objections,
    outcomes,
    refusals,
    renewal,
    suppression,
    tombstone,
)
from fhir_server.store.audit_row import Agent, row
from fhir_server.store.batch import carry_out
from fhir_server.store.belonging import Child, Named, pairs_of
from fhir_server.store.connection import Connection
from fhir_server.store.inbox import Message
from fhir_server.store.index import referred, rows
from fhir_server.store.indexing import index_rows
from fhir_server.store.masking import masked
from fhir_server.store.search.keys import place, referring
from fhir_server.store.search.sql import Match
from fhir_server.store.tombstone import Tombstone
from fhir_server.store.write import Commit, Write
from r4.issue import FhirError, error
from r4.json import Resource, decode, encode

_MANY = 500
"""Most values in one statement."""
_WORDS = 32
"""Most words in one question of the index: PostgreSQL reads all rows where it is asked for many."""
Carries = Callable[[Message, Child], bool]
"""Tells whether a message of the inbox carries a child."""


@dataclass(frozen=True, slots=True)
class Purge:
    """Whom to purge, and what is written of it.

    moment in microseconds and as a FHIR instant; salt: the secret of the tombstone's hashes;
    membership: the reference parameters by which each type belongs to a Patient; suppression: the key by
    which the child's identifiers are put on the suppression list, None: they are not.
    """

    patient: str
    reason: str
    agent: Agent
    moment: int
    instant: str
    salt: str
    membership: Mapping[str, tuple[str, ...]]
    carries: Carries
    suppression: bytes | None = None


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge came to: resources of each type, their versions, what stays masked, messages.

    cases: the child's EpisodeOfCares as they stood, by which it was counted.
    """

    counts: dict[str, int]
    versions: int
    masked: tuple[Named, ...]
    messages: int
    cases: tuple[Resource, ...]


class _Version(NamedTuple):
    rid: int
    version: int
    deleted: bool
    superseded: int | None
    body: bytes

    def resource(self) -> Resource:
        found: Resource = decode(self.body)
        return found


_Versions = dict[Named, list[_Version]]


def purge(connection: Connection, asked: Purge) -> Purged:
    """Purge one child, in the transaction of the caller.

    Raises FhirError 404 where no such Patient has ever been stored, 409 where something that is shared
    cannot be told apart from the child, 422 where the reason itself names the child,
    503 while the index is being made anew.
    """
    renewal.refuse(renewal.under_way(connection.read))
    theirs = _patients(connection, asked.patient)
    child = _child(theirs, asked.membership)
    _refuse_naming(asked.reason, child)
    shared = _settle(connection, child, theirs)
    changes = _masked(child, shared)
    numbers = _messages(connection, asked.carries, child)
    _erase(connection, theirs)
    _redact(connection, changes)
    _renew(connection, asked, shared, changes)
    for number in numbers:
        connection.execute("DELETE FROM inbox WHERE id = ?", (number,))
    refusals.forget(connection)
    jobs.cancel_all(connection)  # files of an export may hold the child
    counts = dict(sorted(Counter(kind for kind, _ in theirs).items()))
    stone = Tombstone(
        tombstone.next_id(connection), asked.moment, asked.agent.name, asked.reason, counts
    )
    tombstone.bury(connection, stone, asked.salt, theirs)
    if asked.suppression is not None:
        suppression.suppress(connection, asked.suppression, stone.id, child.identifiers)
    known = chain.salt(connection.read)
    what = ("purge", "Patient", chain.blinded(known, "Patient", asked.patient))
    made = row(asked.moment, asked.agent, what, (None, None))
    hidden = " ".join(chain.hidden(known, place(*each)) for each in theirs if each[0] == "Patient")
    connection.insert({"audit": [(*made[:-1], hidden)]})
    many = sum(map(len, theirs.values()))
    shared_still = tuple(dict.fromkeys(named for named, *_ in changes))
    cases = tuple(
        listed[-1].resource()
        for (kind, _), listed in theirs.items()
        if kind == "EpisodeOfCare" and listed[-1].body
    )
    return Purged(counts, many, shared_still, len(numbers), cases)


def _patients(connection: Connection, patient: str) -> _Versions:
    """Return all versions of a Patient and of those that are linked to it, either way."""
    found: _Versions = {}
    wanted = {("Patient", patient)}
    while wanted:
        known = _versions(connection, wanted)
        if not found and not known:
            text = f"There has never been a Patient/{patient} here."
            raise FhirError(404, [error("not-found", text, "http.url")])
        found |= known
        links = {
            each
            for listed in known.values()
            for version in listed
            if version.body
            for link in version.resource().get("link", ())
            for each in referred({"resourceType": "Patient", "link": [link]})
        }
        back = {each for each in _referrers(connection, wanted) if each[0] == "Patient"}
        wanted = {each for each in links | back if each[0] == "Patient"} - set(found)
    return found


def _child(patients: _Versions, membership: Mapping[str, tuple[str, ...]]) -> Child:
    identifiers = frozenset(
        pair
        for listed in patients.values()
        for version in listed
        if version.body
        for pair in pairs_of(version.resource().get("identifier", []))
    )
    ids = frozenset(key for _, key in patients)
    return Child(ids, identifiers, membership, set(patients))


def _refuse_naming(reason: str, child: Child) -> None:
    names = [*child.ids, *(value for _, value in child.identifiers)]
    if any(each in reason for each in names):
        text = "The reason is kept: it may not hold an id or identifier of the child."
        raise FhirError(422, [error("business-rule", text, "Parameters.parameter('reason')")])


def _settle(connection: Connection, child: Child, theirs: _Versions) -> _Versions:
    """Add to `theirs` all that is the child's alone; returns what is shared with others."""
    among = connection.dialect.holds("body", child.needles())
    holding = connection.read(
        "SELECT DISTINCT type, id FROM resource WHERE rid IN"
        f" (SELECT rid FROM content WHERE {among.text})",
        among.parameters,
    )
    found = {(row[0], row[1]) for row in holding} | _referrers(connection, theirs)
    open_: _Versions = {}
    documents: set[Named] = set()
    while True:
        fresh = _versions(connection, found - set(theirs) - set(open_))
        open_ |= {n: each for n, each in fresh.items() if n in documents or _leads(child, each)}
        new = {
            named: listed
            for named, listed in open_.items()
            if child.has_alone(named[0], [each.resource() for each in listed if each.body])
        }
        for named in new:
            del open_[named]
        theirs |= new
        child.theirs.update(new)
        documents = _documents(child, open_) - set(theirs) - set(open_)
        if not new and not documents:
            return open_
        found = _referrers(connection, new) | documents


def _documents(child: Child, open_: _Versions) -> set[Named]:
    """Return the documents of which a Provenance says that they were made with what is the child's.

    A document is closed, and may name the child by nothing that is known outside of it.
    """
    found: set[Named] = set()
    for (kind, _), listed in open_.items():
        for version in listed if kind == "Provenance" else ():
            if version.body:
                told = set(referred({"resourceType": kind, "target": version.resource()["target"]}))
                bundles = {each for each in told if each[0] == "Bundle"}
                if told - bundles and told - bundles <= child.theirs:
                    found |= bundles
    return found


def _leads(child: Child, listed: list[_Version]) -> bool:
    return child.is_in(each.resource() for each in listed if each.body)


_Change = tuple[Named, _Version, Resource]


def _masked(child: Child, shared: _Versions) -> list[_Change]:
    """Return the masked form of each version that names the child; raises FhirError 409."""
    changes, refused = [], []
    needles = child.needles()
    for named, listed in shared.items():
        for version in listed:
            if not version.body or not _leads(child, [version]):
                continue
            resource = masked(version.resource(), child)
            if named[0] == "Bundle" or any(needle in encode(resource) for needle in needles):
                refused.append("/".join(named))
            changes.append((named, version, resource))
    if refused:
        listed_ = ", ".join(dict.fromkeys(refused))
        text = (
            f"Others share {listed_}, which hold more of this child than references: change them."
        )
        raise FhirError(409, [error("conflict", text)])
    return changes


def _messages(connection: Connection, carries: Carries, child: Child) -> list[int]:
    """Return the numbers of the messages in the inbox that carry the child."""
    last = 0
    found: list[int] = []
    while True:
        page = connection.read(
            f"SELECT {inbox.COLUMNS} FROM inbox WHERE id > ? ORDER BY id LIMIT ?", (last, _MANY)
        )
        if not page:
            return found
        found += [row[0] for row in page if carries(Message(*row), child)]
        last = page[-1][0]


def _erase(connection: Connection, theirs: _Versions) -> None:
    listed = [version for versions in theirs.values() for version in versions]
    for start in range(0, len(listed), _MANY):
        some = listed[start : start + _MANY]
        _unindex(connection, some)
        among = connection.dialect.among("rid", [each.rid for each in some])
        for table in ("content", "resource"):
            connection.execute(f"DELETE FROM {table} WHERE {among.text}", among.parameters)
    places = [place(*named) for named in theirs]
    applied.forget(connection, places)
    custody.forget(connection, places)
    links.forget(connection, places)
    objections.forget(connection, places)
    outcomes.forget(connection, [id for kind, id in theirs if kind == "Patient"])


def _unindex(connection: Connection, versions: Iterable[_Version]) -> None:
    given = [(each.rid, rows(each.resource())) for each in versions if each.body]
    connection.unindex([rid for rid, _ in given], index_rows(given))


def _redact(connection: Connection, changes: list[_Change]) -> None:
    """Put the masked versions in the place of those that named the child."""
    _unindex(connection, [version for _, version, _ in changes])
    for _, version, resource in changes:
        connection.execute(
            "UPDATE content SET body = ? WHERE rid = ?", (encode(resource), version.rid)
        )
    connection.insert(index_rows((each.rid, rows(resource)) for _, each, resource in changes))


def _renew(connection: Connection, asked: Purge, shared: _Versions, changes: list[_Change]) -> None:
    """Follow each masked current version by one that says the same, so that nobody takes it for his."""
    writes = []
    for named, version, resource in changes:
        if version.superseded is not None or shared[named][-1].deleted:
            continue
        number = version.version + 1
        meta = {**resource.get("meta", {}), "versionId": str(number), "lastUpdated": asked.instant}
        stamped = {**resource, "meta": meta}
        writes.append(Write(*named, number, asked.moment, encode(stamped)))
    if writes:
        refusal = carry_out(connection, [Commit(writes, agent=asked.agent)])[0]
        if refusal is not None:
            raise refusal


def _referrers(connection: Connection, named: Iterable[Named]) -> set[Named]:
    """Return whatever, in any version, has referred to resources."""
    words = [referring(*each) for each in named]
    found: set[Named] = set()
    for start in range(0, len(words), _WORDS):
        source = connection.dialect.source([Match(tuple(words[start : start + _WORDS]))])
        where = " AND ".join(f"({each.text})" for each in source.where)
        parameters = [value for each in source.where for value in each.parameters]
        sql = f"SELECT DISTINCT r.type, r.id FROM {source.tables} WHERE {where}"
        found |= {(row[0], row[1]) for row in connection.read(sql, parameters)}
    return found


def _versions(connection: Connection, named: Iterable[Named]) -> _Versions:
    """Return all versions of resources, oldest first."""
    wanted = sorted(set(named))
    found: _Versions = {}
    for start in range(0, len(wanted), _MANY):
        places = [place(*each) for each in wanted[start : start + _MANY]]
        among = connection.dialect.among("r.place", places)
        for kind, key, *version in connection.read(
            "SELECT r.type, r.id, r.rid, r.version, r.deleted, r.superseded, c.body"
            " FROM resource AS r JOIN content AS c ON c.rid = r.rid"
            f" WHERE {among.text} ORDER BY r.rid",
            among.parameters,
        ):
            found.setdefault((kind, key), []).append(_Version(*version))
    return {each: found[each] for each in wanted if each in found}
