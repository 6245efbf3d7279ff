"""The one place where resources are stored: commits of one group, checked one by one, stored together.

What was read to plan a write may have changed since. Each write therefore names the version it follows,
each guard the matches its plan relied on, each reference what must be there; a commit that does not hold
stores nothing, and does not hinder the others of its group.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fhir_server.store import applied, inbox, jobs, renewal
from fhir_server.store.connection import Connection, Row
from fhir_server.store.index import EMPTY, Named, Rows, rows
from fhir_server.store.indexing import index_rows
from fhir_server.store.resolve import resolved
from fhir_server.store.search import plan
from fhir_server.store.search.keys import place, referring
from fhir_server.store.search.sql import Match
from fhir_server.store.search.worded import Worded, ask
from fhir_server.store.write import (
    Commit,
    ConflictError,
    Guard,
    MissingError,
    ReferredError,
    Write,
)
from r4.json import decode

_MANY = 512
"""Most values in one statement."""
_MOST_REFERRING = 5
"""How many of those that refer to a resource are named."""

Refusal = ConflictError | MissingError | ReferredError | inbox.SettledError | jobs.GoneError

_REFUSALS = (ConflictError, MissingError, ReferredError, inbox.SettledError, jobs.GoneError)


class _Version(NamedTuple):
    rid: int
    version: int
    deleted: bool


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
        self.writes: dict[int, tuple[Write, Rows]] = {}
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
            for guard in commit.guards:
                self._hold(guard)
            self._refer(commit, own)
            for named, write in own.items():
                if write.deleted:
                    self._unreferred(named, own)
            if commit.settlement is not None:
                inbox.settle(self.connection, commit.settlement)
            if commit.progress is not None:
                jobs.advance(self.connection, commit.progress)
        except _REFUSALS as refusal:
            return refusal
        for write in commit.writes:
            self._accept(write, commit.principal)
        for each in commit.applied:
            self.told[each.key] = each
            self.moments[each.key] = each.moment
        return None

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

    def _hold(self, guard: Guard) -> None:
        if isinstance(guard.query, Worded):
            found = self._now(guard.query)
        else:
            self._ask()
            query = resolved(self.connection, guard.query)
            sql = plan.select(self.connection.dialect, query, "r.id")
            found = [row[0] for row in self.connection.read(sql.text, sql.parameters)]
        if sorted(found) != sorted(guard.ids):
            raise ConflictError

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

    def _refer(self, commit: Commit, own: dict[Named, Write]) -> None:
        missing = {
            named: None
            for write in commit.writes
            for named in write.refers or ()
            if not self._stands(named, own)
        }
        if missing:
            raise MissingError(tuple(missing))

    def _stands(self, named: Named, own: dict[Named, Write]) -> bool:
        if named in own:
            return not own[named].deleted
        found = self.current.get(named)
        return found is not None and not found.deleted

    def _unreferred(self, named: Named, own: dict[Named, Write]) -> None:
        """Raise ReferredError where something that stays refers to what is deleted."""
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
            raise ReferredError(named, others[:_MOST_REFERRING])

    def _accept(self, write: Write, principal: str) -> None:
        named = (write.type, write.id)
        if previous := self.current.get(named):
            self.superseded[previous.rid] = self.next
        indexed = _rows(write)
        self.writes[self.next] = (write, indexed)
        if self.found:
            self.words[write.type][write.id] = frozenset(indexed.words)
        self.current[named] = _Version(self.next, write.version, write.deleted)
        self.next += 1
        done = "delete" if write.deleted else "create" if write.version == 1 else "update"
        self.audit.append(
            (write.updated, principal, done, write.type, write.id, write.version, None)
        )

    def flush(self) -> None:
        """Store what is accepted."""
        if self.told:
            applied.record(self.connection, self.told)
            self.told = {}
        if not self.writes:
            return
        resources: list[Row] = []
        for rid, (write, _) in self.writes.items():
            following = self.superseded.pop(rid, None)
            where = place(write.type, write.id)
            resources.append(
                (rid, write.type, write.id, write.version, write.updated, write.deleted,
                 following, where)
            )  # fmt: skip
        indexed = index_rows((rid, found) for rid, (_, found) in self.writes.items())
        content = [(rid, write.body) for rid, (write, _) in self.writes.items()]
        self.connection.insert(
            {"resource": resources, "content": content, **indexed, "audit": self.audit}
        )
        if self.superseded:
            self.connection.supersede(list(self.superseded.items()))
        self.writes, self.superseded, self.audit = {}, {}, []


def _rows(write: Write) -> Rows:
    return EMPTY if write.deleted else rows(decode(write.body), write.refers)


def _current(connection: Connection, commits: Sequence[Commit]) -> Iterator[tuple[Named, _Version]]:
    """Yield what stands where the commits write or refer to, what is fresh left out."""
    fresh = {(w.type, w.id) for commit in commits for w in commit.writes if w.fresh}
    named = {(w.type, w.id) for commit in commits for w in commit.writes}
    named |= {each for commit in commits for w in commit.writes for each in w.refers or ()}
    places = [place(*each) for each in named - fresh]
    for start in range(0, len(places), _MANY):
        among = connection.dialect.among("place", places[start : start + _MANY])
        rows = connection.read(
            "SELECT rid, type, id, version, deleted FROM resource"
            f" WHERE {among.text} AND superseded IS NULL",
            among.parameters,
        )
        for rid, kind, key, version, deleted in rows:
            yield (kind, key), _Version(rid, version, bool(deleted))
