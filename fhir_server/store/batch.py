"""The one place where resources are stored: commits of one group, checked one by one, stored together.

What was read to plan a write may have changed since. Each write therefore names the version it follows,
each guard the matches its plan relied on, each reference what must be there; a commit that does not hold
stores nothing, and does not hinder the others of its group.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from fhir_server.store import applied, custody, inbox, jobs, objections, permission, reach, renewal
from fhir_server.store.audit_row import Agent, row
from fhir_server.store.connection import Connection, Row
from fhir_server.store.index import Named
from fhir_server.store.indexing import index_rows
from fhir_server.store.owners import Indexed, indexed, moved, owners
from fhir_server.store.permission import Permitted
from fhir_server.store.resolve import resolved
from fhir_server.store.search import plan
from fhir_server.store.search.keys import place, referring
from fhir_server.store.search.query import Query
from fhir_server.store.search.sql import Match
from fhir_server.store.search.worded import Worded, ask
from fhir_server.store.view import SeenConnection, View
from fhir_server.store.whose import REGISTRYS, Whose
from fhir_server.store.write import (
    Commit,
    ConflictError,
    Guard,
    MissingError,
    ObjectedError,
    ReferredError,
    RefusedError,
    Write,
)

_MANY = 512
"""Most values in one statement."""
_MOST_REFERRING = 5
"""How many of those that refer to a resource are named."""

Refusal = (
    ConflictError
    | MissingError
    | ObjectedError
    | ReferredError
    | RefusedError
    | inbox.SettledError
    | jobs.GoneError
)

_REFUSALS = (
    ConflictError, MissingError, ObjectedError, ReferredError, RefusedError, inbox.SettledError,
    jobs.GoneError,
)  # fmt: skip


class _Version(NamedTuple):
    rid: int
    version: int
    deleted: bool
    whose: Whose


def carry_out(connection: Connection, commits: Sequence[Commit]) -> list[Refusal | None]:
    """Store the commits in the caller's transaction; returns the refusal of each that does not hold."""
    batch = _Batch(connection, commits)
    refusals = [batch.take(commit) for commit in commits]
    batch.flush()
    return refusals


class _Batch:
    """Writes that are accepted and not yet stored, and what stands at the places they are about."""

    def __init__(self, connection: Connection, commits: Sequence[Commit]) -> None:
        self.connection = connection
        self.next = connection.reserve(sum(len(commit.writes) for commit in commits) or 1)
        self.current = dict(_current(connection, commits))
        self.writes: dict[int, tuple[Indexed, Whose]] = {}
        self.is_concerning = False
        self.changed: dict[Named, tuple[Whose, Whose]] = {}
        self.children: set[int] = set()
        self.organizations: set[int] = set()
        self.followed: dict[int, custody.Followed] = {}
        self.consents: dict[int, objections.Denied | None] = {}
        self.words: dict[str, dict[str, frozenset[int]]] = defaultdict(dict)
        self.superseded: dict[int, int] = {}
        self.audit: list[Row] = []
        self.told: dict[applied.Key, applied.Applied] = {}
        told = [each.place for commit in commits for each in commit.applied if not each.is_new]
        self.moments = applied.moments(connection, told) if told else {}
        self.index_is_whole = False
        self.found = self._before(commits)

    def take(self, commit: Commit) -> Refusal | None:
        """Check a commit and accept its writes, or return why it does not hold."""
        own = {(write.type, write.id): write for write in commit.writes}
        try:
            for write in commit.writes:
                self._follows(write)
            self._precede(commit)
            self._scope(commit)
            for guard in commit.guards:
                self._hold(commit, guard)
            written = [indexed(write) for write in commit.writes]
            told = owners(written, self.current, self.connection)
            allowed = self._allowed(commit, written, told)
            self._refer(commit, own, allowed)
            self._permit(commit, allowed, written, told)
            for named, write in own.items():
                if write.deleted:
                    self._unreferred(named, own, commit.view)
            self._undisturbed(commit)
            if commit.settlement is not None:
                inbox.settle(self.connection, commit.settlement)
            if commit.progress is not None:
                jobs.advance(self.connection, commit.progress)
        except _REFUSALS as refusal:
            return refusal
        for each in written:
            self._accept(each, told[each.named], commit.agent)
        for moment in commit.applied:
            self.told[moment.key] = moment
            self.moments[moment.key] = moment.moment
        return None

    def _allowed(
        self, commit: Commit, written: Sequence[Indexed], told: dict[Named, Whose]
    ) -> Permitted | None:
        """Return what a commit of hospitals may refer to; None: anything."""
        if commit.view is None or commit.view.hospitals is None:
            return None
        followed = {self.current[each.named].rid for each in written if each.named in self.current}
        if self.is_concerning or not followed.isdisjoint(self.writes):
            self.flush()  # what waits may decide on what is asked: who has a child, what stands there
        return permission.permitted(self.connection, commit.view, commit, written, told)

    def _permit(
        self,
        commit: Commit,
        allowed: Permitted | None,
        written: Sequence[Indexed],
        told: dict[Named, Whose],
    ) -> None:
        """Raise RefusedError for what hospitals, or the queries of scopes, may not write."""
        if commit.view is not None and allowed is not None:
            may = (commit.view, allowed, written, told, self.current)
            permission.refuse(self.connection, *may)
        if commit.view is not None and commit.view.scoped:
            reach.refuse(self.connection, commit.view, written, self.current)

    def _scope(self, commit: Commit) -> None:
        """Store what waits where the queries of scopes are to find it, too."""
        if commit.view is not None and commit.view.scoped:
            self._ask()

    def _undisturbed(self, commit: Commit) -> None:
        """Raise ObjectedError where somebody objects, or no longer does, since what is stored was read."""
        if commit.objections is not None:
            self.flush()
            if objections.changes(self.connection.read) != commit.objections:
                raise ObjectedError

    def _follows(self, write: Write) -> None:
        previous = self.current.get((write.type, write.id))
        if (previous.version if previous else 0) != write.version - 1:
            raise ConflictError

    def _precede(self, commit: Commit) -> None:
        """Raise ConflictError where a sender has told something since the commit was planned."""
        for each in commit.applied:
            if not each.is_new and self.moments.get(each.key) != each.before:
                raise ConflictError

    def _before(self, commits: Sequence[Commit]) -> dict[Worded, list[str]]:
        """Ask what the guards by words find before anything of the batch is stored."""
        asked = {
            guard.query: None
            for commit in commits
            for guard in commit.guards
            if isinstance(guard.query, Worded)
        }
        return self._ids(list(asked)) if asked else {}

    def _ids(self, asked: Sequence[Worded]) -> dict[Worded, list[str]]:
        self._ask()
        found = ask(self.connection, asked, "r.id")
        return {each: [row[0] for row in rows] for each, rows in zip(asked, found, strict=True)}

    def _ask(self) -> None:
        """Make ready to ask the index; raises FhirError 503 while it is being made anew."""
        self.flush()
        if not self.index_is_whole:
            renewal.refuse(renewal.under_way(self.connection.read))
            self.index_is_whole = True

    def _hold(self, commit: Commit, guard: Guard) -> None:
        if commit.view is not None and not guard.whole:
            view = msgspec.structs.replace(commit.view, letters=guard.letters)
            found = self._asked(guard.query, SeenConnection(self.connection, view))
        elif isinstance(guard.query, Worded):
            found = self._now(guard.query)
        else:
            found = self._asked(guard.query, self.connection)
        if sorted(found) != sorted(guard.ids):
            raise ConflictError

    def _asked(self, query: Query | Worded, reader: Connection | SeenConnection) -> list[str]:
        """Return what a search finds, all that has been accepted being stored first."""
        self._ask()
        if isinstance(query, Worded):
            return [row[0] for row in ask(reader, [query], "r.id")[0]]
        sql = plan.select(reader.dialect, resolved(reader, query), "r.id")
        return [row[0] for row in reader.read(sql.text, sql.parameters)]

    def _now(self, asked: Worded) -> list[str]:
        """Return what a search finds: before this batch, and in what the batch has accepted since.

        Where that is as much as the search may find, which are the newest is the database's to say.
        """
        before, written = self.found[asked], self.words[asked.type]
        found = [each for each in before if each not in written]
        found += [
            each
            for each, words in written.items()
            if not any(words.isdisjoint(group) for group in asked.words)
        ]
        if max(len(before), len(found)) < asked.most:
            return found
        return self._ids([asked])[asked]

    def _refer(self, commit: Commit, own: dict[Named, Write], allowed: Permitted | None) -> None:
        missing = {
            named: None
            for write in commit.writes
            for named in write.refers or ()
            if not self._stands(named, own, allowed)
        }
        if commit.view is not None and commit.view.scoped:
            others = {
                each: None for w in commit.writes for each in w.refers or () if each not in own
            }
            missing |= dict.fromkeys(reach.hidden(self.connection, commit.view, others))
        if missing:
            raise MissingError(tuple(missing))

    def _stands(self, named: Named, own: dict[Named, Write], allowed: Permitted | None) -> bool:
        if named in own:
            return not own[named].deleted
        found = self.current.get(named)
        if found is None or found.deleted:
            return False
        return allowed is None or allowed.sees(found.whose)

    def _unreferred(self, named: Named, own: dict[Named, Write], seen: View | None) -> None:
        """Raise ReferredError where something that stays refers to what is deleted; names what is seen."""
        self._ask()
        dialect = self.connection.dialect
        source = dialect.source([Match((referring(*named),))])
        conditions = " AND ".join(f"({each.text})" for each in source.where)
        found = self.connection.read(
            f"SELECT r.type, r.id FROM {source.tables} WHERE {conditions}"
            f" AND r.superseded IS NULL AND NOT r.deleted LIMIT {_MOST_REFERRING + len(own)}",
            [value for each in source.where for value in each.parameters],
        )
        others = [(row[0], row[1]) for row in found if (row[0], row[1]) not in own]
        if others:
            unseen = reach.hidden(self.connection, seen, others) if seen is not None else ()
            shown = [each for each in others if each not in unseen]
            raise ReferredError(named, shown[:_MOST_REFERRING])

    def _accept(self, each: Indexed, whose: Whose, agent: Agent) -> None:
        write, named = each.write, each.named
        if previous := self.current.get(named):
            self.superseded[previous.rid] = self.next
            if previous.whose != whose:
                first = self.changed.get(named, (previous.whose, whose))[0]
                self.changed[named] = (first, whose)
        if write.type in custody.CONCERNING:
            self.is_concerning = True
            self._concern(each, previous, whose)
        if write.type == "Consent":
            self.consents[place(*named)] = objections.denied(each.resource or {}, write.updated)
        self.writes[self.next] = (each, whose)
        if self.found:
            self.words[write.type][write.id] = frozenset(each.rows.words)
        self.current[named] = _Version(self.next, write.version, write.deleted, whose)
        self.next += 1
        done = "delete" if write.deleted else "create" if write.version == 1 else "update"
        told = _children(write, whose, previous)
        what = (done, write.type, write.id)
        self.audit.append(row(write.updated, agent, what, (write.version, None), told))

    def _concern(self, each: Indexed, previous: _Version | None, whose: Whose) -> None:
        """Take note of the children, or the organisation, of whom a version may change who sees them."""
        if each.write.type == "Organization":
            self.organizations.add(place(*each.named))
            return
        told = custody.told(each.rows)
        if previous is None and not told:
            return
        if previous is not None:
            is_valid = each.resource is not None and each.resource.get("status") != custody.VOID
            self.followed[previous.rid] = custody.Followed(whose, told if is_valid else None)
        if previous is None or previous.whose != whose:
            self.children.update(one for one in (previous and previous.whose, whose) if one)

    def flush(self) -> None:
        """Store what is accepted."""
        if self.told:
            applied.record(self.connection, self.told)
            self.told = {}
        if not self.writes:
            return
        resources: list[Row] = []
        for rid, (each, whose) in self.writes.items():
            write = each.write
            resources.append(
                (rid, write.type, write.id, write.version, write.updated, write.deleted,
                 self.superseded.pop(rid, None), place(write.type, write.id), whose)
            )  # fmt: skip
        indexed = index_rows((rid, each.rows) for rid, (each, _) in self.writes.items())
        content = [(rid, each.write.body) for rid, (each, _) in self.writes.items()]
        self.connection.insert(
            {"resource": resources, "content": content, **indexed, "audit": self.audit}
        )
        if self.superseded:
            self.connection.supersede(list(self.superseded.items()))
        self.writes, self.superseded, self.audit = {}, {}, []
        self.is_concerning = False
        self.children |= custody.changed(self.connection, self.followed)
        custody.renew(self.connection, self.children, self.organizations)
        self._object()
        moved(self.connection, self.changed)
        self.children, self.organizations, self.changed = set(), set(), {}
        self.followed = {}

    def _object(self) -> None:
        """Go by what is objected to since: by Consents, and by who is one person."""
        if self.children and objections.is_any(self.connection.read):
            objections.renew(self.connection, self.children)
        if self.consents:
            objections.decide(self.connection, self.consents)
            self.consents = {}


def _children(write: Write, whose: Whose, previous: _Version | None) -> set[int]:
    """Return the children whom a version is about, and whom the one before was about."""
    found = {each for each in (whose, previous and previous.whose) if each}
    if whose == REGISTRYS:
        found |= {place(*each) for each in write.refers or () if each[0] == "Patient"}
    return found


def _current(connection: Connection, commits: Sequence[Commit]) -> Iterator[tuple[Named, _Version]]:
    """Yield what stands where the commits write or refer to, what is fresh left out."""
    fresh = {(w.type, w.id) for commit in commits for w in commit.writes if w.fresh}
    named = {(w.type, w.id) for commit in commits for w in commit.writes}
    named |= {each for commit in commits for w in commit.writes for each in w.refers or ()}
    places = [place(*each) for each in named - fresh]
    for start in range(0, len(places), _MANY):
        among = connection.dialect.among("place", places[start : start + _MANY])
        rows = connection.read(
            "SELECT rid, type, id, version, deleted, whose FROM resource"
            f" WHERE {among.text} AND superseded IS NULL",
            among.parameters,
        )
        for rid, kind, key, version, deleted, whose in rows:
            yield (kind, key), _Version(rid, version, bool(deleted), whose)
