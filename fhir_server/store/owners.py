"""Whose the versions of a commit are, told before they are stored, and what a change of that takes along.

https://hl7.org/fhir/R4/provenance.html
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from fhir_server.store import custody
from fhir_server.store.connection import Connection
from fhir_server.store.custody import Reader
from fhir_server.store.index import EMPTY, Named, Rows, referred, rows
from fhir_server.store.search.keys import place, referring
from fhir_server.store.search.sql import Match
from fhir_server.store.whose import REGISTRYS, Whose, asks, whose
from fhir_server.store.write import Write
from r4.json import Resource, decode

_MANY = 500
"""Most values in one statement."""


class Standing(Protocol):
    """What stands at a place."""

    @property
    def rid(self) -> int:
        """Return the row of its version."""
        ...

    @property
    def whose(self) -> Whose:
        """Return whose it is."""
        ...


class Indexed(NamedTuple):
    """A write with its resource (None: a deletion), its index rows, and what it refers to here."""

    write: Write
    resource: Resource | None
    rows: Rows
    refers: Sequence[Named]

    @property
    def named(self) -> Named:
        """Type and id."""
        return self.write.type, self.write.id


def owners(
    written: Sequence[Indexed], before: Mapping[Named, Standing], connection: Reader
) -> dict[Named, Whose]:
    """Tell whose each write is; a deletion is whose what it deletes was.

    before: whose what stands is, where that is known; the rest is looked for.
    """
    found: dict[Named, Whose] = {}
    waiting: list[Indexed] = []
    for each in written:
        if each.resource is None:
            stood = before.get(each.named)
            found[each.named] = stood.whose if stood else REGISTRYS
        elif asks(each.resource, each.refers):
            waiting.append(each)
        else:
            found[each.named] = whose(each.resource, each.refers, {})
    if waiting:
        found |= _led(waiting, found, _known(waiting, before, connection))
    return found | _documents(written, found)


def _known(
    waiting: Sequence[Indexed], before: Mapping[Named, Standing], connection: Reader
) -> dict[Named, Whose]:
    wanted = {
        named
        for each in waiting
        if each.resource is not None
        for named in asks(each.resource, each.refers)
    }
    known = {named: before[named].whose for named in wanted if named in before}
    return known | standing(connection, wanted - set(known))


def _led(
    waiting: Sequence[Indexed], own: Mapping[Named, Whose], known: dict[Named, Whose]
) -> dict[Named, Whose]:
    """Tell of those that ask for others, one after another as those are told; in a circle, of none."""
    found: dict[Named, Whose] = {}
    known |= own
    left = list(waiting)
    while left:
        open_ = {each.named for each in left}
        told = [e for e in left if open_.isdisjoint(asks(e.resource or {}, e.refers))]
        for each in told or left:
            told_of = whose(each.resource or {}, each.refers, known) if told else REGISTRYS
            found[each.named] = known[each.named] = told_of
        left = [each for each in left if each.named not in found]
    return found


def _documents(written: Sequence[Indexed], found: Mapping[Named, Whose]) -> dict[Named, Whose]:
    """Tell of documents whose they are: that of the Provenance that is stored with them."""
    told = {
        named: found[each.named]
        for each in written
        if each.write.type == "Provenance"
        for named in each.refers
        if named[0] == "Bundle"
    }
    return {each.named: told[each.named] for each in written if each.named in told}


def standing(connection: Reader, named: Iterable[Named]) -> dict[Named, Whose]:
    """Return whose the current versions of resources are."""
    wanted = list(named)
    found: dict[Named, Whose] = {}
    for start in range(0, len(wanted), _MANY):
        places = [place(*each) for each in wanted[start : start + _MANY]]
        among = connection.dialect.among("place", places)
        sql = f"SELECT type, id, whose FROM resource WHERE {among.text} AND superseded IS NULL"
        found |= {(row[0], row[1]): row[2] for row in connection.read(sql, among.parameters)}
    return found


def moved(connection: Connection, changed: Mapping[Named, tuple[Whose, Whose]]) -> None:
    """Follow resources that have become another one's, and what is told to be somebody's by them.

    Their earlier versions are for the registry alone from then on, but where the one whose they were and
    the one whose they are is the same person.
    """
    waiting, seen = list(changed.items()), set(changed)
    while waiting:
        named, (before, now) = waiting.pop()
        if before and now and custody.are_one(connection, before, now):
            continue
        connection.execute(
            "UPDATE resource SET whose = 0 WHERE place = ? AND superseded IS NOT NULL",
            (place(*named),),
        )
        for each, told in _dependent(connection, named):
            was = standing(connection, [each]).get(each, REGISTRYS)
            if each not in seen and was != told:
                connection.execute(
                    "UPDATE resource SET whose = ? WHERE place = ? AND superseded IS NULL",
                    (told, place(*each)),
                )
                waiting.append((each, (was, told)))
            seen.add(each)


def _dependent(connection: Connection, named: Named) -> Iterator[tuple[Named, Whose]]:
    """Yield what is told to be somebody's by a resource, and whose it is now."""
    source = connection.dialect.source([Match((referring(*named),))])
    where = " AND ".join(f"({each.text})" for each in source.where)
    rows = connection.read(
        f"SELECT r.rid FROM {source.tables} WHERE {where} AND r.superseded IS NULL AND NOT r.deleted",
        [value for each in source.where for value in each.parameters],
    )
    for each in stored(connection, [row[0] for row in rows], rowless=True).values():
        if each.resource is not None and named in asks(each.resource, each.refers):
            told = owners([each], {}, connection)[each.named]
            yield each.named, told
            yield from ((one, told) for one in each.refers if one[0] == "Bundle")


def stored(reader: Reader, rids: Sequence[int], *, rowless: bool = False) -> dict[int, Indexed]:
    """Return versions by their rows, in the order of these; their index rows are made anew, or none."""
    found: dict[int, Indexed] = {}
    for start in range(0, len(rids), _MANY):
        among = reader.dialect.among("r.rid", rids[start : start + _MANY])
        for rid, kind, key, version, updated, deleted, body in reader.read(
            "SELECT r.rid, r.type, r.id, r.version, r.updated, r.deleted, c.body FROM resource AS r"
            f" JOIN content AS c ON c.rid = r.rid WHERE {among.text} ORDER BY r.rid",
            among.parameters,
        ):
            write = Write(kind, key, version, updated, body, deleted=bool(deleted))
            found[rid] = indexed(write, rowless=rowless)
    return found


def indexed(write: Write, *, rowless: bool = False) -> Indexed:
    """Return a write with what follows from its body; its index rows left out, if `rowless`."""
    if write.deleted:
        return Indexed(write, None, EMPTY, ())
    resource = decode(write.body)
    refers = referred(resource) if write.refers is None else write.refers
    return Indexed(write, resource, EMPTY if rowless else rows(resource, refers), refers)
