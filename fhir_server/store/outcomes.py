"""The outcomes that are kept, and the cursors that say up to which row of the history they are true.

What is found anew, and the cursors that were moved to find it, are stored by one commit: after a kill
it is found again from where the cursors stand.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import partial

import msgspec

from fhir_server.store.connection import Connection, Database, Row, portions
from fhir_server.store.search.keys import place
from fhir_server.store.search.sql import marks

_MANY = 500
"""Most values in one statement."""


Place = tuple[str, str, str]
"""Where an outcome stands among those of a measure by day: the day, the child and the case."""


class Kept(msgspec.Struct, frozen=True):
    """A child's outcome by a measure; the columns are those of `tables.outcomes.KeptOutcome`."""

    measure: str
    child: str
    case_id: str
    generation: str
    position: int
    as_of: str
    hospital: str | None
    case_date: str
    outcome_class: str | None
    score: int | None
    body: bytes

    @property
    def key(self) -> tuple[str, str, str]:
        """The measure, the child and the case."""
        return self.measure, self.child, self.case_id

    @property
    def place(self) -> Place:
        """The day on which the case began, the child and the case."""
        return self.case_date, self.child, self.case_id


class Cursor(msgspec.Struct, frozen=True):
    """How far the outcomes of a measure follow; as `tables.outcomes.OutcomeCursor`."""

    measure: str
    generation: str
    position: int
    swept: int
    sweep_to: int

    @property
    def is_swept(self) -> bool:
        """Tell whether every child has been looked at since the generation began."""
        return self.swept > self.sweep_to


class Refresh(msgspec.Struct, frozen=True):
    """What a commit of outcomes does: cursors from where they stood to where they stand, rows out and in."""

    before: tuple[Cursor, ...]
    after: tuple[Cursor, ...]
    gone: tuple[tuple[str, str, str], ...] = ()
    found: tuple[Kept, ...] = ()


class OvertakenError(Exception):
    """Another follower has moved the cursors: read them anew."""


_KEPT = Kept.__struct_fields__
_CURSOR = Cursor.__struct_fields__
_COLUMNS = ", ".join(_KEPT)
_SELECT = f"SELECT {_COLUMNS} FROM outcome"
_CHANGED = "SELECT 1 FROM resource WHERE {rows} AND type IN ({types}) LIMIT 1"


def cursors(database: Database) -> tuple[Cursor, ...]:
    """Return the cursor of every measure whose outcomes are kept."""
    sql = f"SELECT {', '.join(_CURSOR)} FROM outcome_cursor ORDER BY measure"
    return tuple(Cursor(*row) for row in database.read(sql))


def of_children(database: Database, children: Iterable[str]) -> list[Kept]:
    """Return what is kept of some children, by any measure."""
    found: list[Kept] = []
    listed = list(dict.fromkeys(children))
    for start in range(0, len(listed), _MANY):
        some = listed[start : start + _MANY]
        found += map(_kept, database.read(f"{_SELECT} WHERE child IN ({marks(some)})", some))
    return found


def of_others(database: Database, measure: str, generation: str, most: int) -> list[Kept]:
    """Return outcomes of a measure that are not of a generation, so many at most."""
    sql = f"{_SELECT} WHERE measure = ? AND generation <> ? ORDER BY child, case_id LIMIT ?"
    return [_kept(row) for row in database.read(sql, (measure, generation, most))]


def of_days(database: Database, measure: str, after: Place, last: str, most: int) -> list[Kept]:
    """Return the next outcomes by the day on which their case began: behind a place, up to a day.

    Those without a day come before the first day. most: how many are returned at most.
    """
    sql = (
        f"{_SELECT} WHERE measure = ? AND case_date >= ? AND case_date <= ?"
        " AND (case_date, child, case_id) > (?, ?, ?) ORDER BY case_date, child, case_id LIMIT ?"
    )
    rows = database.read(sql, (measure, after[0], last, *after, most))
    return [_kept(row) for row in rows]


def cases(database: Database, after: int, until: int, most: int) -> list[int]:
    """Return rows of current EpisodeOfCares behind a row and up to another one, the first ones."""
    rows = database.read(
        "SELECT rid FROM resource WHERE type = 'EpisodeOfCare' AND rid > ? AND rid <= ?"
        " AND superseded IS NULL AND NOT deleted ORDER BY rid LIMIT ?",
        (after, until, most),
    )
    return [row[0] for row in rows]


def changed(database: Database, types: Sequence[str], rows: tuple[int, int]) -> list[int]:
    """Return the versions of some types behind a row and up to another one, and those before them."""
    after, until = rows
    found = database.read(
        "SELECT r.rid, p.rid FROM resource AS r LEFT JOIN resource AS p ON p.place = r.place"
        " AND p.type = r.type AND p.id = r.id AND p.version = r.version - 1"
        f" WHERE r.rid > ? AND r.rid <= ? AND r.type IN ({marks(types)})",
        (after, until, *types),
    )
    return sorted({rid for row in found for rid in row if rid is not None})


def is_any_case(database: Database, row: int) -> bool:
    """Tell whether a case has been stored up to a row, be it deleted by now."""
    sql = _CHANGED.format(rows="rid <= ?", types="?")
    return bool(database.read(sql, (row, "EpisodeOfCare")))


def is_changed_after(database: Database, types: Sequence[str], row: int) -> bool:
    """Tell whether a version of some types has been stored behind a row."""
    sql = _CHANGED.format(rows="rid > ?", types=marks(types))
    return bool(database.read(sql, (row, *types)))


def is_later(database: Database, types: Sequence[str], row: int, moment: int) -> bool:
    """Tell whether a version of some types, up to a row, was stored after a moment in microseconds."""
    sql = _CHANGED.format(rows="updated > ? AND rid <= ?", types=marks(types))
    return bool(database.read(sql, (moment, row, *types)))


async def refresh(database: Database, done: Refresh) -> None:
    """Store outcomes and where the cursors stand now; raises OvertakenError where they stood elsewhere."""
    await database.write(partial(_refresh, done=done))


def _refresh(connection: Connection, done: Refresh) -> None:
    for each in done.before:
        values = [getattr(each, name) for name in _CURSOR]
        conditions = " AND ".join(f"{name} = ?" for name in _CURSOR)
        if not connection.execute(f"DELETE FROM outcome_cursor WHERE {conditions}", values):
            raise OvertakenError
    for each in done.after:
        taken = connection.execute(
            f"INSERT INTO outcome_cursor ({', '.join(_CURSOR)}) VALUES ({marks(_CURSOR)})"
            " ON CONFLICT (measure) DO NOTHING",
            [getattr(each, name) for name in _CURSOR],
        )
        if not taken:
            raise OvertakenError
    kept = {each.measure for each in done.after}
    for measure in {each.measure for each in done.before} - kept:
        connection.execute("DELETE FROM outcome WHERE measure = ?", (measure,))
    for key in {*done.gone, *(each.key for each in done.found)}:
        connection.execute(
            "DELETE FROM outcome WHERE measure = ? AND child = ? AND case_id = ?", key
        )
    for some in portions(_standing(connection, done.found)):
        connection.execute(
            f"INSERT INTO outcome ({_COLUMNS}) VALUES"
            f" {', '.join([f'({marks(_KEPT)})'] * len(some))}",
            [getattr(each, name) for each in some for name in _KEPT],
        )


def _standing(connection: Connection, found: Sequence[Kept]) -> list[Kept]:
    """Leave out outcomes whose case has gone since: it may have been purged, and nothing may stay."""
    here: set[int] = set()
    places = {each.case_id: place("EpisodeOfCare", each.case_id) for each in found}
    listed = list(places.values())
    for start in range(0, len(listed), _MANY):
        among = connection.dialect.among("place", listed[start : start + _MANY])
        rows = connection.read(
            f"SELECT place FROM resource WHERE {among.text} AND superseded IS NULL AND NOT deleted",
            among.parameters,
        )
        here |= {row[0] for row in rows}
    return [each for each in found if places[each.case_id] in here]


def forget(connection: Connection, children: Collection[str]) -> None:
    """Forget the outcomes of some children, in the transaction of the caller."""
    for child in children:
        connection.execute("DELETE FROM outcome WHERE child = ?", (child,))


def _kept(row: Row) -> Kept:
    return Kept(*row)
