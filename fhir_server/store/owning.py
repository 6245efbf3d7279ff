"""Whose all versions are, told anew with the index: by themselves first, then by others, and the custody.

As the index it goes slice by slice; a position says how far it is. What is not told yet is the
registry's, and so are earlier versions of what has become another one's: less is seen meanwhile.
"""

from collections.abc import Iterable, Mapping

from fhir_server.store import custody, objections
from fhir_server.store.connection import Connection
from fhir_server.store.owners import Indexed, owners, stored
from fhir_server.store.search.keys import place
from fhir_server.store.whose import REGISTRYS, Whose, asks, whose

SLICE = 500
"""Rows in one commit."""
_STEPS = ("told", "told again", "custody")
"""What is told by others may be told by what is told by others: it is looked at twice."""
_NEWEST = (
    "SELECT r.rid, (SELECT max(n.rid) FROM resource AS n WHERE n.place = r.place"
    " AND NOT n.deleted) FROM resource AS r WHERE NOT r.deleted AND {among}"
)
"""Each version with the newest one of its resource that is no deletion."""


def tell(connection: Connection, found: Mapping[int, Indexed]) -> None:
    """Record of a slice of rows whose they are by themselves, and what Consents deny."""
    newest = _newest(connection, found)
    _object(connection, found)
    others = stored(connection, sorted(set(newest.values()) - set(found)), rowless=True)
    told = {rid: _of_itself(each) for rid, each in {**found, **others}.items()}
    _record(
        connection,
        {rid: told[rid] if told[rid] == told[newest.get(rid, rid)] else REGISTRYS for rid in found},
    )


def advance(connection: Connection, position: str) -> str | None:
    """Do the next slice of the rest; returns the new position, None where there is nothing left."""
    step, _, row = (position or f"{_STEPS[0]}:0").partition(":")
    last = _hand_over(connection, int(row)) if step == "custody" else _follow(connection, int(row))
    if last is not None:
        return f"{step}:{last}"
    following = _STEPS.index(step) + 1
    return f"{_STEPS[following]}:0" if following < len(_STEPS) else None


def _of_itself(each: Indexed) -> Whose:
    """Tell whose a version is by itself; the registry's, where others have to be known for it."""
    if each.resource is None or asks(each.resource, each.refers):
        return REGISTRYS
    return whose(each.resource, each.refers, {})


def _object(connection: Connection, found: Mapping[int, Indexed]) -> None:
    consents = [rid for rid, each in found.items() if each.write.type == "Consent"]
    if not consents:
        return
    among = connection.dialect.among("rid", consents)
    sql = f"SELECT rid FROM resource WHERE {among.text} AND superseded IS NULL"
    current = [found[row[0]] for row in connection.read(sql, among.parameters)]
    objections.decide(
        connection,
        {
            place(*each.named): objections.denied(each.resource or {}, each.write.updated)
            for each in current
        },
    )


def _newest(connection: Connection, rids: Iterable[int]) -> dict[int, int]:
    among = connection.dialect.among("r.rid", sorted(rids))
    return {
        row[0]: row[1]
        for row in connection.read(_NEWEST.format(among=among.text), among.parameters)
    }


def _record(connection: Connection, found: Mapping[int, Whose]) -> None:
    by_owner: dict[Whose, list[int]] = {}
    for rid, one in found.items():
        by_owner.setdefault(one, []).append(rid)
    for one, rids in by_owner.items():
        among = connection.dialect.among("rid", rids)
        sql = f"UPDATE resource SET whose = ? WHERE {among.text}"
        connection.execute(sql, (one, *among.parameters))


def _follow(connection: Connection, after: int) -> int | None:
    """Tell whose those are of which others tell, and documents by their Provenance."""
    rows = connection.read(
        "SELECT rid FROM resource WHERE rid > ? AND (whose = 0 OR type = 'Provenance')"
        f" ORDER BY rid LIMIT {SLICE}",
        (after,),
    )
    found = stored(connection, [row[0] for row in rows], rowless=True)
    newest = _newest(connection, found)
    for rid, each in found.items():
        if each.resource is None:
            _as_before(connection, rid)
            continue
        told = owners([each], {}, connection)[each.named]
        if told == REGISTRYS or not _stays(connection, told, rid, newest[rid]):
            continue
        _record(connection, {rid: told})
        if each.write.type == "Provenance" and newest[rid] == rid:
            for kind, key in each.refers:
                if kind == "Bundle":
                    connection.execute(
                        "UPDATE resource SET whose = ? WHERE place = ? AND type = 'Bundle'",
                        (told, place(kind, key)),
                    )
    return rows[-1][0] if rows else None


def _stays(connection: Connection, told: Whose, rid: int, newest: int) -> bool:
    """Tell whether a version is still whose it was: its resource has not become another one's."""
    if newest == rid:
        return True
    now: Whose = connection.read("SELECT whose FROM resource WHERE rid = ?", (newest,))[0][0]
    return told == now or bool(told and now and custody.are_one(connection, told, now))


def _as_before(connection: Connection, rid: int) -> None:
    """Say of a deletion that it is whose the version was that it deleted."""
    connection.execute(
        "UPDATE resource SET whose = (SELECT b.whose FROM resource AS b WHERE b.place = resource.place"
        " AND b.type = resource.type AND b.id = resource.id AND b.version = resource.version - 1)"
        " WHERE rid = ?",
        (rid,),
    )


def _hand_over(connection: Connection, after: int) -> int | None:
    """Tell who has the children of a slice, and whose its organisations are."""
    rows = connection.read(
        "SELECT rid, type, place FROM resource WHERE rid > ? AND superseded IS NULL"
        f" AND type IN ('Patient', 'Organization') ORDER BY rid LIMIT {SLICE}",
        (after,),
    )
    of = {kind: [row[2] for row in rows if row[1] == kind] for kind in ("Patient", "Organization")}
    custody.renew(connection, of["Patient"], of["Organization"])
    objections.renew(connection, of["Patient"])
    return rows[-1][0] if rows else None
