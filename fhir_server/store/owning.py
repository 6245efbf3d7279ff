"""Whose all versions are, told anew after the index: what is told by others, what moved, the custody.

As the index it goes slice by slice; a position says how far it is.
"""

from fhir_server.store import custody
from fhir_server.store.connection import Connection
from fhir_server.store.owners import Indexed, owners, stored
from fhir_server.store.search.keys import place
from fhir_server.store.whose import REGISTRYS, Whose, asks, whose

SLICE = 500
"""Rows in one commit."""
_STEPS = ("told", "told again", "custody", "moved")
"""What is told by others may be told by what is told by others: it is looked at twice."""


def of_itself(each: Indexed) -> Whose:
    """Tell whose a version is by itself; the registry's, where others have to be known for it."""
    if each.resource is None or asks(each.resource, each.refers):
        return REGISTRYS
    return whose(each.resource, each.refers, {})


def record(connection: Connection, found: dict[int, Whose]) -> None:
    """Record of rows whose they are."""
    by_owner: dict[Whose, list[int]] = {}
    for rid, one in found.items():
        by_owner.setdefault(one, []).append(rid)
    for one, rids in by_owner.items():
        for start in range(0, len(rids), SLICE):
            among = connection.dialect.among("rid", rids[start : start + SLICE])
            sql = f"UPDATE resource SET whose = ? WHERE {among.text}"
            connection.execute(sql, (one, *among.parameters))


def advance(connection: Connection, position: str) -> str | None:
    """Do the next slice of it; returns the new position, None where there is nothing left."""
    step, _, row = (position or f"{_STEPS[0]}:0").partition(":")
    last = _WORK[step](connection, int(row))
    if last is not None:
        return f"{step}:{last}"
    following = _STEPS.index(step) + 1
    return f"{_STEPS[following]}:0" if following < len(_STEPS) else None


def _tell(connection: Connection, after: int) -> int | None:
    """Tell whose those are of which others tell, and documents by their Provenance."""
    rows = connection.read(
        "SELECT rid FROM resource WHERE rid > ? AND (whose = 0 OR type = 'Provenance')"
        f" ORDER BY rid LIMIT {SLICE}",
        (after,),
    )
    for rid, each in stored(connection, [row[0] for row in rows]).items():
        if each.resource is None:
            _as_before(connection, rid)
            continue
        told = owners([each], {}, connection)[each.named]
        if asks(each.resource, each.refers):
            record(connection, {rid: told})
        if each.write.type == "Provenance" and told != REGISTRYS:
            for kind, key in each.refers:
                if kind == "Bundle":
                    connection.execute(
                        "UPDATE resource SET whose = ? WHERE place = ? AND type = 'Bundle'",
                        (told, place(kind, key)),
                    )
    return rows[-1][0] if rows else None


def _as_before(connection: Connection, rid: int) -> None:
    """Say of a deletion that it is whose the version was that it deleted."""
    connection.execute(
        "UPDATE resource SET whose = (SELECT b.whose FROM resource AS b WHERE b.superseded = ?)"
        " WHERE rid = ?",
        (rid, rid),
    )


def _hand_over(connection: Connection, after: int) -> int | None:
    rows = connection.read(
        "SELECT rid, type, place FROM resource WHERE rid > ? AND superseded IS NULL"
        f" AND type IN ('Patient', 'Organization') ORDER BY rid LIMIT {SLICE}",
        (after,),
    )
    of = {kind: [row[2] for row in rows if row[1] == kind] for kind in ("Patient", "Organization")}
    custody.renew(connection, of["Patient"], of["Organization"])
    return rows[-1][0] if rows else None


def _hide(connection: Connection, after: int) -> int | None:
    """Leave to the registry what was written of a resource before it became another one's."""
    rows = connection.read(
        "SELECT r.rid, r.whose, n.whose FROM resource AS r JOIN resource AS n ON n.place = r.place"
        " AND n.type = r.type AND n.id = r.id AND n.superseded IS NULL WHERE r.rid > ?"
        " AND r.superseded IS NOT NULL AND (r.whose IS NULL OR r.whose <> 0)"
        f" AND coalesce(r.whose, 0) <> coalesce(n.whose, 0) ORDER BY r.rid LIMIT {SLICE}",
        (after,),
    )
    hidden = [rid for rid, was, now in rows if not _is_one(connection, was, now)]
    record(connection, dict.fromkeys(hidden, REGISTRYS))
    return rows[-1][0] if rows else None


def _is_one(connection: Connection, was: Whose, now: Whose) -> bool:
    return bool(was and now and custody.are_one(connection, was, now))


_WORK = {"told": _tell, "told again": _tell, "custody": _hand_over, "moved": _hide}
